"""What repeated out-of-fold answers say: areas, what one way of training gains over another, calibration.

Answers are log-odds of shape (n_seeds, n_frames): every frame was answered once a seed, by a network that saw no frame
of its patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...learning.calibration import expected_calibration_error
from ...learning.diagnostic import diagnostic
from ...learning.intervals import bootstrap_interval
from ...learning.probability_calibration import brier_score
from ...learning.roc import Auc, auc, auc_difference

FEW_BINS = 5
"""Bins of the calibration error: a fold of some ten patients fills no more."""


@dataclass(frozen=True)
class Cohort:
    """The frames that were answered."""

    is_fatty: np.ndarray
    """Shape (n_frames,), bool."""
    patient_ids: tuple[str, ...]
    """Of whom each frame is."""
    folds: np.ndarray
    """In which fold each was held out, shape (n_frames,)."""

    @property
    def patients(self) -> tuple[str, ...]:
        """Everybody once, sorted."""
        return tuple(sorted(set(self.patient_ids)))

    @property
    def is_fatty_patient(self) -> np.ndarray:
        """Answer of :attr:`patients`, shape (n_patients,)."""
        return self.mean_of_patients(self.is_fatty.astype(float)) > 0.5

    def mean_of_patients(self, values: np.ndarray) -> np.ndarray:
        """Mean over the frames of each patient.

        Args:
            values: Shape (..., n_frames).
        Returns:
            Shape (..., n_patients).
        """
        index = {patient: k for k, patient in enumerate(self.patients)}
        member = np.zeros((len(self.patient_ids), len(index)))
        member[np.arange(len(self.patient_ids)), [index[patient] for patient in self.patient_ids]] = 1
        return np.asarray(values, float) @ (member / member.sum(axis=0))


@dataclass(frozen=True)
class Performance:
    """How well one way of training tells fatty from healthy."""

    image: Auc
    """Of log-odds averaged over seeds, each frame a case; interval by resampling patients."""
    patient: Auc
    """The same of patients: log-odds averaged over seeds and frames."""
    image_seeds: np.ndarray
    """AUC of each seed alone over frames, shape (n_seeds,)."""
    patient_seeds: np.ndarray
    """The same over patients."""
    fold_mean: np.ndarray
    """AUC of each seed over frames, taken fold by fold and averaged, shape (n_seeds,); NaN: a fold of one class."""
    brier: float
    """Mean over folds and seeds, of frames."""
    calibration_error: float
    """The same of the expected calibration error."""


@dataclass(frozen=True)
class Gain:
    """What one way of training gains over another on the same frames and seeds."""

    value: float
    """AUC difference of answers averaged over seeds."""
    low: float
    """Lower end of its 95 % interval by resampling patients."""
    high: float
    """Upper end."""
    delong_p: float
    """Of no difference, by DeLong."""
    mean_over_seeds: float
    """Mean of the differences seed by seed."""
    t: float
    """Of the paired t test over seeds, which says nothing of other patients; NaN below two seeds."""
    t_p: float
    """Its p."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0

    @property
    def is_harm_shown(self) -> bool:
        """Whether it lies below."""
        return self.high < 0


def performance(logits: np.ndarray, cohort: Cohort, n_resamples: int, seed: int = 0) -> Performance:
    """Everything that is said of one way of training.

    Args:
        logits: Shape (n_seeds, n_frames).
        cohort: The frames.
        n_resamples: Of the patients.
        seed: Of the resampling.
    """
    mean, patients = logits.mean(axis=0), cohort.mean_of_patients(logits)
    truth = cohort.is_fatty_patient
    folds = [np.flatnonzero(cohort.folds == fold) for fold in np.unique(cohort.folds)]
    probability = 1 / (1 + np.exp(-logits))
    parts = [(row[fold], cohort.is_fatty[fold]) for row in probability for fold in folds]
    return Performance(
        image=auc(mean, cohort.is_fatty, cohort.patient_ids, n_resamples=n_resamples, seed=seed),
        patient=auc(patients.mean(axis=0), truth, n_resamples=n_resamples, seed=seed),
        image_seeds=np.array([auc(row, cohort.is_fatty).value for row in logits]),
        patient_seeds=np.array([auc(row, truth).value for row in patients]),
        fold_mean=np.array([np.mean([_auc(row[fold], cohort.is_fatty[fold]) for fold in folds]) for row in logits]),
        brier=float(np.mean([brier_score(p, y) for p, y in parts])),
        calibration_error=float(np.mean([expected_calibration_error(p, y, FEW_BINS) for p, y in parts])),
    )


def gain(first: np.ndarray, second: np.ndarray, cohort: Cohort, *, per: str, n_resamples: int, seed: int = 0) -> Gain:
    """What the first way of training gains over the second.

    Args:
        first: Log-odds, shape (n_seeds, n_frames).
        second: Of the same seeds and frames.
        cohort: The frames.
        per: "patient": patients are the cases; "image": frames are.
        n_resamples: Of the patients.
        seed: Of the resampling.
    """
    truth, groups = cohort.is_fatty, cohort.patient_ids
    if per == "patient":
        first, second = cohort.mean_of_patients(first), cohort.mean_of_patients(second)
        truth, groups = cohort.is_fatty_patient, None
    means = first.mean(axis=0), second.mean(axis=0)
    found = auc_difference(*means, truth, groups, n_resamples=n_resamples, seed=seed)
    seeds = [auc(a, truth).value - auc(b, truth).value for a, b in zip(first, second, strict=True)]
    t, p = paired_t(seeds)
    return Gain(found.value, found.low, found.high, found.p_value, float(np.mean(seeds)), t, p)


def paired_t(differences: Sequence[float]) -> tuple[float, float]:
    """t = mean/(s/√n) of differences and its two-sided p; NaN below two or where all are the same."""
    from scipy.stats import t as student

    values = np.asarray(differences, float)
    spread = values.std(ddof=1) if values.size > 1 else 0.0
    if not spread > 1e-12:
        return float("nan"), float("nan")
    found = float(values.mean() / (spread / np.sqrt(values.size)))
    return found, float(2 * student.sf(abs(found), values.size - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p corrected for the number of comparisons, in their order; NaN stays and does not count.

    Source: Holm S, Scand J Stat 1979, 6:65-70.
    """
    p = np.asarray(p_values, float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    corrected = np.full(p.size, np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)), 1)
    return [float(value) for value in corrected]


@dataclass(frozen=True)
class Decisions:
    """Accuracy and, averaged over both classes as weighted by their cases, precision, recall and F1."""

    accuracy: float
    """Share of frames decided rightly."""
    precision: float
    """Weighted mean over the classes; a class that is never called counts 0."""
    recall: float
    """Weighted mean, which is the accuracy."""
    f1: float
    """Weighted mean."""


def decisions(logits: np.ndarray, is_fatty: np.ndarray) -> Decisions:
    """Decide at a probability of one half, as the stacked GAN's paper does.

    Args:
        logits: Shape (n,).
        is_fatty: Shape (n,), bool.
    """
    probability, is_fatty = 1 / (1 + np.exp(-np.asarray(logits, float))), np.asarray(is_fatty, bool)
    found = [diagnostic(probability, is_fatty), diagnostic(np.nextafter(1 - probability, 0), ~is_fatty)]
    shares = np.array([is_fatty.mean(), 1 - is_fatty.mean()])
    values = [[one.ppv.value or 0.0, one.sensitivity.value or 0.0, one.f1 or 0.0] for one in found]
    return Decisions(found[0].accuracy.value, *(float(value) for value in shares @ np.array(values)))


def accuracy_gain(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    is_fatty: Sequence[np.ndarray],
    patient_ids: Sequence[Sequence[str]],
    n_resamples: int,
    seed: int = 0,
) -> Gain:
    """What the first gains in accuracy over repeated splits: mean, paired t over splits, patient bootstrap.

    Args:
        first: Log-odds of the tested frames, one array a split.
        second: Of the same frames.
        is_fatty: Their answers.
        patient_ids: Their patients; a patient tested in several splits is drawn with all its frames.
        n_resamples: Of the patients.
        seed: Of the resampling.
    """
    right = [[(logit > 0) == truth for logit, truth in zip(one, is_fatty, strict=True)] for one in (first, second)]
    per_split = [float(a.mean() - b.mean()) for a, b in zip(*right, strict=True)]
    rows = np.concatenate(right[0]).astype(float) - np.concatenate(right[1])
    groups = [patient for one in patient_ids for patient in one]
    low, high = bootstrap_interval(rows, lambda drawn: float(drawn.mean()), groups, 0.95, n_resamples, seed)
    t, p = paired_t(per_split)
    return Gain(float(rows.mean()), low, high, float("nan"), float(np.mean(per_split)), t, p)


def _auc(score, is_true):
    return auc(score, is_true).value if is_true.any() and not is_true.all() else float("nan")
