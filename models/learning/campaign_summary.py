"""What a campaign found: learning curves, and how many labels each strategy needs beside random choice.

A target is a share of what the whole pool teaches. Quality of a model that knows nothing is often not 0 (an AUC starts
at 0.5), so the same share of the gain over chance is a second, harder target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .campaign import BASELINE, Unit
from .intervals import bootstrap_interval

SHARE = 0.95
"""Of the whole pool's quality, or of its gain over chance, at which a strategy has arrived."""


@dataclass(frozen=True)
class LearningCurve:
    """Quality against labels of one strategy, mean over repetitions."""

    strategy: str
    """Its name."""
    n_labels: tuple[int, ...]
    """Labelled cases; rounds that every repetition has."""
    mean: tuple[float, ...]
    """Mean quality."""
    low: tuple[float, ...]
    """Lower end of the 95 % bootstrap interval over repetitions."""
    high: tuple[float, ...]
    """Upper end."""


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels until one strategy first reaches a target."""

    strategy: str
    """Its name."""
    target: str
    """"quality": a share of the whole pool's; "gain": chance and that share of the gain over it."""
    labels: tuple[int, ...]
    """In each repetition; the size of the pool where it was never reached."""
    n_not_reached: int
    """Repetitions that never did."""
    n_at_start: int
    """Repetitions that were there before a strategy chose anything: they cannot tell strategies apart."""
    mean: float
    """Mean of ``labels``."""
    ratio: float
    """Mean over that of random choice."""
    ratio_low: float
    """Lower end of its 95 % bootstrap interval, repetitions paired."""
    ratio_high: float
    """Upper end."""
    median_ratio: float
    """Median of each repetition's own ratio."""
    mean_curve_labels: int | None
    """Labels at which the mean curve reaches the mean target: free of the luck of a single held-out part; None: never
    within the rounds that every repetition has."""
    mean_curve_ratio: float | None
    """Over that of random choice."""


@dataclass(frozen=True)
class CampaignSummary:
    """Of all repetitions."""

    curves: tuple[LearningCurve, ...]
    """One a strategy."""
    needed: tuple[LabelsNeeded, ...]
    """One a strategy and target."""
    full_quality: float
    """Mean quality of models of the whole pool."""
    full_low: float
    """Lower end of its 95 % bootstrap interval over repetitions."""
    full_high: float
    """Upper end."""
    n_pool: tuple[int, ...]
    """Cases of the pool in each repetition."""

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)

    def of(self, strategy: str, target: str) -> LabelsNeeded:
        """One of ``needed``."""
        return next(one for one in self.needed if (one.strategy, one.target) == (strategy, target))


def summarise(units: Sequence[Unit], chance: float | None = None, share: float = SHARE) -> CampaignSummary:
    """Curves and labels needed.

    Args:
        units: Of one campaign, or of campaigns on several cohorts with different seeds; every strategy in every
            repetition, "random" among them.
        chance: Quality of a model that knows nothing; None or 0: no second target.
        share: Of the whole pool's quality or gain.
    """
    by_strategy = {}
    for unit in units:
        by_strategy.setdefault(unit.strategy, {})[unit.seed] = unit
    seeds = sorted(by_strategy[BASELINE])
    if any(sorted(found) != seeds for found in by_strategy.values()) or len(units) != len(seeds) * len(by_strategy):
        raise ValueError("A summary needs every strategy once in every repetition.")
    rows = {name: [found[seed] for seed in seeds] for name, found in by_strategy.items()}
    full = np.array([unit.full_quality for unit in rows[BASELINE]])
    curves = tuple(_curve(name, found) for name, found in rows.items())
    targets = {"quality": share * full}
    if chance:
        targets["gain"] = chance + share * (full - chance)
    needed = [one for target, values in targets.items() for one in _needed(target, values, rows, curves)]
    low, high = bootstrap_interval(full, np.mean)
    n_pool = tuple(unit.n_pool for unit in rows[BASELINE])
    return CampaignSummary(curves, tuple(needed), float(full.mean()), low, high, n_pool)


def _curve(name, units) -> LearningCurve:
    shared = set.intersection(*(set(unit.n_labels) for unit in units))
    counts = sorted(shared)
    table = np.array([[dict(zip(u.n_labels, u.quality, strict=True))[n] for n in counts] for u in units])
    # One set of resamples for the whole curve, so that its band is smooth.
    ends = np.array([bootstrap_interval(column, np.mean, n_resamples=1000) for column in table.T])
    mean = tuple(float(v) for v in table.mean(axis=0))
    return LearningCurve(name, tuple(counts), mean, tuple(map(float, ends[:, 0])), tuple(map(float, ends[:, 1])))


def _needed(target, values, rows, curves) -> list[LabelsNeeded]:
    found, on_mean = {}, {}
    for name, units in rows.items():
        found[name] = [_first(u.n_labels, u.quality, value) for u, value in zip(units, values, strict=True)]
    for curve in curves:
        on_mean[curve.strategy] = _first(curve.n_labels, curve.mean, float(values.mean()))
    n_pool = [unit.n_pool for unit in rows[BASELINE]]
    labels = {
        name: np.array([size if n is None else n for n, size in zip(each, n_pool, strict=True)])
        for name, each in found.items()
    }
    result = []
    for name, units in rows.items():
        pairs = np.stack([labels[name], labels[BASELINE]], axis=1).astype(float)
        low, high = bootstrap_interval(pairs, _ratio_of_means)
        mine, base = on_mean[name], on_mean[BASELINE]
        result.append(
            LabelsNeeded(
                strategy=name,
                target=target,
                labels=tuple(int(n) for n in labels[name]),
                n_not_reached=sum(n is None for n in found[name]),
                n_at_start=sum(n == u.n_labels[0] for n, u in zip(found[name], units, strict=True)),
                mean=float(labels[name].mean()),
                ratio=_ratio_of_means(pairs),
                ratio_low=low,
                ratio_high=high,
                median_ratio=float(np.median(pairs[:, 0] / pairs[:, 1])),
                mean_curve_labels=mine,
                mean_curve_ratio=mine / base if mine and base else None,
            )
        )
    return result


def _first(counts, qualities, target) -> int | None:
    """Labels of the first round at or above the target."""
    return next((n for n, quality in zip(counts, qualities, strict=True) if quality >= target), None)


def _ratio_of_means(pairs: np.ndarray) -> float:
    return float(pairs[:, 0].mean() / pairs[:, 1].mean())
