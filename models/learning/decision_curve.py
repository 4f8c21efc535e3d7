"""Decision curves: is acting on a model better than treating everybody or nobody?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError

THRESHOLDS = np.arange(1, 100) / 100
"""Threshold probabilities unless others are asked for."""


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefits; arrays of shape (n_thresholds,)."""

    thresholds: np.ndarray
    """Probability at or above which one acts."""
    net_benefit: np.ndarray
    """Of acting on the model, true positives a subject."""
    treat_all: np.ndarray
    """Of acting on everybody; on nobody it is 0."""


def decision_curve(
    probability: Sequence[float], is_true: Sequence[bool], thresholds: Sequence[float] | None = None
) -> DecisionCurve:
    """Net benefit TP/n - FP/n·p/(1-p) at each threshold p.

    With cross-validation, give the pooled out-of-fold answers once: curves of folds do not average to it.

    Args:
        probability: Shape (n,), within [0, 1].
        is_true: Shape (n,).
        thresholds: Within (0, 1); None: 0.01 to 0.99.
    Raises:
        UnsuitableInputError: no case, or values outside their range.
    Source: Vickers AJ, Elkin EB, Med Decis Making 2006, 10.1177/0272989X06295361.
    """
    probability, is_true = np.asarray(probability, float), np.asarray(is_true, bool)
    p = THRESHOLDS if thresholds is None else np.asarray(thresholds, float)
    if not probability.size or not ((probability >= 0) & (probability <= 1)).all():
        raise UnsuitableInputError(
            "A decision curve needs cases with a probability from 0 to 1 each; found "
            f"{probability.size} cases, {int((~((probability >= 0) & (probability <= 1))).sum())} without one."
        )
    if not ((p > 0) & (p < 1)).all():
        raise UnsuitableInputError(f"The thresholds of a decision curve need to lie between 0 and 1; found {p}.")
    called = probability >= p[:, None]
    odds, n = p / (1 - p), probability.size
    benefit = (called & is_true).sum(axis=1) / n - (called & ~is_true).sum(axis=1) / n * odds
    share = is_true.mean()
    return DecisionCurve(p, benefit, share - (1 - share) * odds)
