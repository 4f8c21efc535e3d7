"""How far two or more raters agree on a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from .intervals import bootstrap_interval


@dataclass(frozen=True)
class Agreement:
    """Agreement of two raters on the same cases."""

    icc: float
    """Intraclass correlation, two-way random effects, absolute agreement, single rater: ICC(2,1)."""
    icc_low: float
    """Lower end of its interval by resampling patients."""
    icc_high: float
    """Upper end."""
    mean_difference: float
    """First less second."""
    lower_limit: float
    """Of agreement: mean difference less 1.96 standard deviations of the differences."""
    upper_limit: float
    """Mean difference plus as much."""


def intraclass_correlation(values: np.ndarray) -> float:
    """ICC(2,1): share of the variance that is the cases', with a rater's constant offset counted as disagreement.

    (MS_case - MS_error) / (MS_case + (k-1)·MS_error + k·(MS_rater - MS_error)/n)

    Args:
        values: Shape (n_cases, n_raters), two of each at least.
    Returns:
        At most 1; NaN where nothing varies.
    Source: Shrout PE, Fleiss JL, Psychol Bull 1979, 10.1037/0033-2909.86.2.420.
    """
    values = np.asarray(values, float)
    n, k = values.shape
    of_case, of_rater, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    case = k * ((of_case - mean) ** 2).sum() / (n - 1)
    rater = n * ((of_rater - mean) ** 2).sum() / (k - 1)
    error = ((values - of_case[:, None] - of_rater + mean) ** 2).sum() / ((n - 1) * (k - 1))
    total = case + (k - 1) * error + k * (rater - error) / n
    return float((case - error) / total) if total > 0 else float("nan")


def agreement(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[Any] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Agreement:
    """Compare two raters.

    Args:
        first: Of one rater, shape (n,).
        second: Of the other, same shape.
        groups: Patient of each case; None: every case is a patient.
        n_resamples: Of patients.
        seed: Of the resampling.
    Raises:
        UnsuitableInputError: fewer than three cases, or a value that is not finite.
    Source: Bland JM, Altman DG, Lancet 1986, 10.1016/S0140-6736(86)90837-8.
    """
    values = np.stack([np.asarray(first, float), np.asarray(second, float)], axis=1)
    if len(values) < 3 or not np.isfinite(values).all():
        raise UnsuitableInputError(
            f"Agreement needs three cases at least, with a finite value of both raters; found {len(values)}, "
            f"{int((~np.isfinite(values)).any(axis=1).sum())} of them without. Leave these out, and say so."
        )
    low, high = bootstrap_interval(values, intraclass_correlation, groups, n_resamples=n_resamples, seed=seed)
    difference = values[:, 0] - values[:, 1]
    mean, reach = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    return Agreement(intraclass_correlation(values), low, high, mean, mean - reach, mean + reach)
