"""How a test decides at a threshold: sensitivity, specificity, predictive values, F1, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from .intervals import wilson_interval
from .roc import roc_curve


@dataclass(frozen=True)
class Share:
    """A share of independent cases with its 95 % interval."""

    value: float | None
    """Fraction; None when no case counts towards it."""
    low: float
    """Lower end by Wilson."""
    high: float
    """Upper end."""
    n: int
    """Cases it is a share of."""

    @classmethod
    def of(cls, successes: int, total: int) -> Share:
        """The share of ``successes`` among ``total``."""
        return cls(successes / total if total else None, *wilson_interval(successes, total), total)


@dataclass(frozen=True)
class Diagnostic:
    """Decisions against the truth."""

    threshold: float
    """A probability at or above it counts as positive."""
    true_positives: int
    """Positive and true."""
    false_positives: int
    """Positive and not true."""
    true_negatives: int
    """Negative and not true."""
    false_negatives: int
    """Negative and true."""
    accuracy: Share
    """Of all cases those decided rightly."""
    sensitivity: Share
    """Of the true those found (recall)."""
    specificity: Share
    """Of the others those left alone."""
    ppv: Share
    """Of those called positive the true (precision)."""
    npv: Share
    """Of those called negative the others."""
    f1: float | None
    """2·TP/(2·TP + FP + FN); None when nobody is true or called so."""
    balanced_accuracy: float | None
    """Mean of sensitivity and specificity; None when a class is absent."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


def diagnostic(probability: Sequence[float], is_true: Sequence[bool], threshold: float = 0.5) -> Diagnostic:
    """Decide at a threshold and compare.

    Args:
        probability: Shape (n,); one a subject, as the intervals take cases for independent.
        is_true: Shape (n,).
        threshold: Chosen on other data.
    Raises:
        UnsuitableInputError: no case, or a probability that is not finite.
    """
    probability, is_true = np.asarray(probability, float), np.asarray(is_true, bool)
    if probability.shape != is_true.shape or probability.ndim != 1:
        raise ValueError(
            f"Probabilities and answers need one value a case; found {probability.shape}, {is_true.shape}."
        )
    if not probability.size or not np.isfinite(probability).all():
        raise UnsuitableInputError(
            f"A diagnostic table needs a finite probability for every case, one at least; found {probability.size} "
            f"cases, {int((~np.isfinite(probability)).sum())} without. Leave these out, and say so."
        )
    called = probability >= threshold
    tp, fp = int((called & is_true).sum()), int((called & ~is_true).sum())
    fn, tn = int((~called & is_true).sum()), int((~called & ~is_true).sum())
    sensitivity, specificity = Share.of(tp, tp + fn), Share.of(tn, tn + fp)
    both = sensitivity.value is not None and specificity.value is not None
    return Diagnostic(
        threshold=float(threshold),
        true_positives=tp,
        false_positives=fp,
        true_negatives=tn,
        false_negatives=fn,
        accuracy=Share.of(tp + tn, probability.size),
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=Share.of(tp, tp + fp),
        npv=Share.of(tn, tn + fn),
        f1=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
        balanced_accuracy=(sensitivity.value + specificity.value) / 2 if both else None,
    )


def youden_threshold(probability: Sequence[float], is_true: Sequence[bool]) -> float:
    """The threshold of largest sensitivity + specificity; the largest of several. Report it on other cases only.

    Raises:
        UnsuitableInputError: only one class, a probability that is not finite.
    Source: Youden WJ, Cancer 1950, 10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
    """
    curve = roc_curve(probability, is_true)
    best = int(np.argmax((curve.sensitivity - curve.false_positive_rate)[1:])) + 1
    return float(curve.thresholds[best])
