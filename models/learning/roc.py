"""Receiver operating characteristic: the curve, its area, intervals, and the comparison of two models.

| symbol | here |
|---|---|
| V10(i), share of the negatives that positive i scores above, ties half | ``above`` |
| V01(j), share of the positives that score above negative j | ``below`` |

AUC = mean V10 = mean V01; Var AUC = Var V10/n₊ + Var V01/n₋, and likewise the covariance of two models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from .intervals import bootstrap_interval


@dataclass(frozen=True)
class RocCurve:
    """Points of the curve from (0, 0) to (1, 1)."""

    false_positive_rate: np.ndarray
    """1 - specificity, increasing, shape (n_points,)."""
    sensitivity: np.ndarray
    """Increasing, same shape."""
    thresholds: np.ndarray
    """A case at or above counts as positive; the first is infinite; same shape."""


@dataclass(frozen=True)
class Auc:
    """Area under the curve with its interval."""

    value: float
    """Fraction."""
    std: float
    """Standard error by DeLong."""
    low: float
    """Lower end of the interval by DeLong, cut at 0."""
    high: float
    """Upper end, cut at 1."""
    bootstrap_low: float | None = None
    """Lower end of the interval by resampling patients; None: not asked for."""
    bootstrap_high: float | None = None
    """Its upper end."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class AucDifference:
    """How far two models' areas differ on the same cases."""

    value: float
    """First minus second."""
    std: float
    """Standard error by DeLong."""
    p_value: float
    """Of the two-sided test of no difference; 1 when the models score alike."""
    low: float
    """Lower end of the interval by resampling patients."""
    high: float
    """Its upper end."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


def roc_curve(score: Sequence[float], is_true: Sequence[bool]) -> RocCurve:
    """The curve with one point for each distinct score.

    Args:
        score: Higher means more likely true, shape (n,).
        is_true: Shape (n,).
    Raises:
        UnsuitableInputError: only one class, a score that is not finite.
    """
    score, is_true = _checked(score, is_true)
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    hits = np.cumsum(is_true[order])[ends]
    false = ends + 1 - hits
    return RocCurve(
        np.append(0.0, false / (~is_true).sum()),
        np.append(0.0, hits / is_true.sum()),
        np.append(np.inf, score[order][ends]),
    )


def auc(
    score: Sequence[float],
    is_true: Sequence[bool],
    groups: Sequence[Any] | None = None,
    confidence: float = 0.95,
    n_resamples: int = 0,
    seed: int = 0,
) -> Auc:
    """Area under the curve with DeLong's interval and, if asked, one by resampling patients.

    Args:
        score: Higher means more likely true, shape (n,).
        is_true: Shape (n,).
        groups: Patient of each case, for the bootstrap; None: every case is a patient. DeLong's formula takes cases
            for independent: with several a patient its interval is too narrow.
        confidence: Share of such intervals that hold the truth.
        n_resamples: Of the bootstrap; 0: none.
        seed: Of the bootstrap.
    Raises:
        UnsuitableInputError: only one class, a score that is not finite.
    Source: DeLong ER et al., Biometrics 1988, 10.2307/2531595; fast form Sun X, Xu W, IEEE SPL 2014,
        10.1109/LSP.2014.2337313.
    """
    score, is_true = _checked(score, is_true)
    above, below = _placements(score, is_true)
    value, std = float(above.mean()), float(np.sqrt(_variance(above) + _variance(below)))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * std
    ends = (None, None)
    if n_resamples:
        rows = np.stack([score, is_true], axis=1)
        ends = bootstrap_interval(rows, _auc_of_rows, groups, confidence, n_resamples, seed)
    return Auc(value, std, max(value - reach, 0.0), min(value + reach, 1.0), *ends)


def auc_difference(
    first: Sequence[float],
    second: Sequence[float],
    is_true: Sequence[bool],
    groups: Sequence[Any] | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> AucDifference:
    """Compare two models on the same cases.

    Args:
        first: Scores of one model, shape (n,).
        second: Scores of the other, shape (n,).
        is_true: Shape (n,).
        groups: Patient of each case; None: every case is a patient.
        confidence: Of the interval.
        n_resamples: Of the patients.
        seed: Of the resampling.
    Raises:
        UnsuitableInputError: only one class, a score that is not finite.
    Source: DeLong ER et al., Biometrics 1988, 10.2307/2531595.
    """
    first, is_true = _checked(first, is_true)
    second, _ = _checked(second, is_true)
    parts = [a - b for a, b in zip(_placements(first, is_true), _placements(second, is_true), strict=True)]
    value, std = float(parts[0].mean()), float(np.sqrt(sum(_variance(part) for part in parts)))
    p_value = 2 * NormalDist().cdf(-abs(value) / std) if std > 0 else float(value == 0)
    rows = np.stack([first, second, is_true], axis=1)
    low, high = bootstrap_interval(rows, _difference_of_rows, groups, confidence, n_resamples, seed)
    return AucDifference(value, std, p_value, low, high)


def _checked(score, is_true):
    score, is_true = np.asarray(score, float), np.asarray(is_true, bool)
    if score.shape != is_true.shape or score.ndim != 1:
        raise ValueError(f"Scores and answers need one value a case; found {score.shape} and {is_true.shape}.")
    if not is_true.any() or is_true.all():
        raise UnsuitableInputError(
            f"A ROC curve needs cases of both classes; found {int(is_true.sum())} positive of {is_true.size}. Add "
            "cases of the class that lacks."
        )
    if not np.isfinite(score).all():
        raise UnsuitableInputError(
            f"A ROC curve needs a finite score for every case; {int((~np.isfinite(score)).sum())} of {score.size} have "
            "none. Leave these cases out, and say so."
        )
    return score, is_true


def _placements(score, is_true):
    """V10 of the positives and V01 of the negatives, by midranks."""
    n_true, n_false = int(is_true.sum()), int((~is_true).sum())
    ranks = _midranks(score)
    above = (ranks[is_true] - _midranks(score[is_true])) / n_false
    below = 1 - (ranks[~is_true] - _midranks(score[~is_true])) / n_true
    return above, below


def _midranks(values):
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _variance(placements):
    """Of the mean of placements; 0 for a single one."""
    return float(placements.var(ddof=1) / placements.size) if placements.size > 1 else 0.0


def _auc_of_rows(rows):
    is_true = rows[:, 1] > 0
    if not is_true.any() or is_true.all():
        return float("nan")
    return float(_placements(rows[:, 0], is_true)[0].mean())


def _difference_of_rows(rows):
    return _auc_of_rows(rows[:, [0, 2]]) - _auc_of_rows(rows[:, [1, 2]])
