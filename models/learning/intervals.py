"""Confidence intervals: by bootstrap over patients, and of a share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    groups: Sequence[Any] | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a statistic by resampling whole patients.

    The percentiles are those of the normal distribution at ±√(n/(n-1))·t, t of n-1 degrees of freedom, n groups: plain
    percentiles are too narrow when patients are few.

    Args:
        values: One row a case, shape (n_cases, ...); what the statistic takes.
        statistic: Of rows like those of ``values``; resamples for which it is not finite, as an AUROC of one class, are
            left out.
        groups: Patient of each case; None means that every case is a patient of its own.
        confidence: Share of such intervals that hold the truth.
        n_resamples: Of the patients, with replacement.
        seed: Of the resampling.
    Returns:
        Low and high; NaN with fewer than two groups or no finite resample.
    Source: Hesterberg T, Am Stat 2015, 10.1080/00031305.2015.1089789 (expanded percentiles).
    """
    values = np.asarray(values)
    if groups is not None and len(groups) != len(values):
        raise ValueError(f"Groups need one value a case; found {len(groups)} for {len(values)} cases.")
    members = None if groups is None else _members(groups)
    n = len(values) if members is None else len(members)
    if n < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    found = np.empty(n_resamples)
    for i in range(n_resamples):
        drawn = rng.integers(n, size=n)
        found[i] = statistic(values[drawn if members is None else np.concatenate([members[j] for j in drawn])])
    return expanded_percentiles(found, n, confidence)


def expanded_percentiles(found: np.ndarray, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval from resamples of a statistic.

    Args:
        found: The statistic of each resample; those that are not finite are left out.
        n: Groups that were resampled, at least 2.
        confidence: Share of such intervals that hold the truth.
    Returns:
        Low and high; NaN without a finite resample.
    Source: as :func:`bootstrap_interval`.
    """
    from scipy.special import ndtr, stdtrit

    found = found[np.isfinite(found)]
    if not found.size:
        return float("nan"), float("nan")
    tail = ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - confidence) / 2))
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _members(groups):
    """Indices of the cases of each group."""
    _, group_of = np.unique([str(group) for group in groups], return_inverse=True)
    return np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a share among independent cases; it stays in [0, 1] and is honest at 0 of n.

    (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n)

    Args:
        successes: Cases that count.
        total: All cases; with none the interval is [0, 1].
        confidence: Share of such intervals that hold the truth.
    Returns:
        Low and high, as fractions.
    Source: Wilson EB, J Am Stat Assoc 1927, 10.1080/01621459.1927.10502953.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"A share needs 0 to {total} successes; found {successes}.")
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, n = successes / total, total
    middle = p + z**2 / (2 * n)
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    # At the ends the root is exact; rounding must not move them off 0 and 1.
    return (0.0 if successes == 0 else low), (1.0 if successes == total else high)
