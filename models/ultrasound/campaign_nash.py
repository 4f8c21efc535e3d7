"""Fibrotic NASH as a campaign's task: a logistic regression of clinical values and stiffness, with bootstrap members.

The regression is that of the values models (:mod:`.fusion_training`): standardised values, ridge penalty of 1. Members
are refits on resampled labelled cases, drawn class by class so that none lacks a class.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.acquisition import Candidates
from ..learning.roc import auc
from .fusion_data import SWE_FEATURE, Standard, features_of
from .fusion_training import REGULARISATION
from .phantom import simulate_cohort
from .reading import read_cohort
from .subject import CLINICAL_FEATURES, UltrasoundSubject

N_MEMBERS = 20
"""Bootstrap refits."""
N_STEPS = 12
"""Newton steps; with the ridge a few suffice."""
PUBLISHED_SHARE = 23 / 87
"""Share of simulated subjects with fibrotic NASH: the published cohort's."""
MIN_OF_A_CLASS = 6
"""Fewer subjects of a class leave nothing to hold out."""


@dataclass(frozen=True)
class NashModel:
    """A fitted regression with its members."""

    standard: Standard
    """Of the labelled cases."""
    beta: np.ndarray
    """Intercept and coefficients, shape (1 + n_members, 1 + n_columns); the first is the model itself."""

    def probability(self, table: np.ndarray) -> np.ndarray:
        """Of fibrotic NASH by the model and each member, shape (1 + n_members, n)."""
        return _logistic(self.beta @ _design(self.standard, table).T)


@dataclass(frozen=True, eq=False)
class NashLearner:
    """Subjects with known answers, and the regression that learns from part of them."""

    case_ids: tuple[str, ...]
    """Of the subjects."""
    patient_ids: tuple[str, ...]
    """Patient of each."""
    labels: np.ndarray
    """Fibrotic NASH or not, shape (n,), bool."""
    table: np.ndarray
    """Clinical values and median stiffness as the values models read them, NaN where missing, shape (n, 12)."""
    data: str
    """"simulated", "partly_simulated" or "measured"."""
    quality_name = "AUC"
    """Area under the curve on held-out patients."""
    chance = 0.5
    """Area of a model that knows nothing."""

    @property
    def n_cases(self) -> int:
        """Subjects."""
        return len(self.case_ids)

    @property
    def digest(self) -> str:
        """SHA-256 of the values."""
        return hashlib.sha256(np.ascontiguousarray(self.table).tobytes()).hexdigest()

    def fit(self, indices: np.ndarray, seed: int) -> NashModel:
        """The regression on these subjects, and on resamples of them."""
        standard, is_true = Standard.of(self.table[indices]), self.labels[indices]
        rng = np.random.default_rng(seed)
        weight = np.ones((1 + N_MEMBERS, len(indices)))
        for rows in (np.flatnonzero(is_true), np.flatnonzero(~is_true)):
            for member in weight[1:] if rows.size else ():
                member[rows] = np.bincount(rng.integers(rows.size, size=rows.size), minlength=rows.size)
        return NashModel(standard, ridge_logistic(_design(standard, self.table[indices]), is_true, weight))

    def candidates(self, model: NashModel, indices: np.ndarray, labelled: np.ndarray) -> Candidates:
        """Probabilities, and distances in values standardised over all subjects that may be asked."""
        first, *members = model.probability(self.table[indices])
        standard = Standard.of(self.table[np.append(indices, labelled)])
        return Candidates(
            case_ids=[self.case_ids[k] for k in indices],
            patient_ids=[self.patient_ids[k] for k in indices],
            probability=_both(first),
            member_probability=_both(np.array(members)),
            features=standard.apply(self.table[indices]),
            labelled_patients=[self.patient_ids[k] for k in labelled],
            labelled_features=standard.apply(self.table[labelled]),
        )

    def quality(self, model: NashModel, test_indices: np.ndarray) -> float:
        """AUC."""
        return auc(model.probability(self.table[test_indices])[0], self.labels[test_indices]).value


def simulated_learner(n_subjects: int, seed: int = 0) -> NashLearner:
    """Simulated subjects without images: their stiffness is the one their elastograms would vary about by 6 %.

    Args:
        n_subjects: All of them; 23 of 87 have fibrotic NASH.
        seed: Of the cohort.
    Raises:
        UnsuitableInputError: too few subjects, or too many.
    """
    cohort = simulate_cohort(n_subjects, round(n_subjects * PUBLISHED_SHARE), seed)
    subjects = [
        UltrasoundSubject(name, name, clinical=dict(value.clinical))
        for name, value in zip(cohort.case_ids, cohort.values, strict=True)
    ]
    table = np.column_stack([features_of(subjects, CLINICAL_FEATURES), np.log(cohort.stiffness_kpa)])
    return _checked(NashLearner(cohort.case_ids, cohort.case_ids, np.asarray(cohort.labels, bool), table, "simulated"))


def cohort_learner(folder: Path | str) -> NashLearner:
    """The subjects of a cohort's or studies folder whose answer is known.

    Raises:
        UnsuitableInputError: no subjects, files with a fault, too few of a class.
    """
    cohort = read_cohort(folder)
    known = [k for k, source in enumerate(cohort.sources) if source.is_fibrotic_nash is not None]
    names, rows, about = (*CLINICAL_FEATURES, SWE_FEATURE), [], []
    for k in known:
        # One by one: images are large, and only their median stays.
        subject = cohort[k]
        rows.append(features_of([subject], names)[0])
        about.append((subject.case_id, subject.patient_id, subject.is_fibrotic_nash, subject.is_simulated))
    case_ids, patient_ids, labels, simulated = zip(*about, strict=True) if about else ((), (), (), ())
    table = np.array(rows).reshape(len(rows), len(names))
    data = "simulated" if all(simulated) else "partly_simulated" if any(simulated) else "measured"
    return _checked(NashLearner(case_ids, patient_ids, np.array(labels, bool), table, data))


def ridge_logistic(design: np.ndarray, is_true: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Logistic regressions of the same cases with several weights, by Newton's method.

    minimises Σ weight·log(1 + exp(-±x·β)) + |β without intercept|²/2

    Args:
        design: Shape (n, p), the first column 1.
        is_true: Shape (n,), bool.
        weight: Of each case in each regression, shape (m, n).
    Returns:
        Coefficients, shape (m, p).
    """
    n_columns = design.shape[1]
    penalty = np.full(n_columns, 1 / REGULARISATION)
    penalty[0] = 1e-6  # Of the intercept: none, but for cases of one class only.
    beta = np.zeros((len(weight), n_columns))
    for _ in range(N_STEPS):
        probability = _logistic(beta @ design.T)
        gradient = (weight * (probability - is_true)) @ design + penalty * beta
        curvature = (weight * np.maximum(probability * (1 - probability), 1e-9))[:, None, :] * design.T
        step = np.linalg.solve(curvature @ design + np.diag(penalty), gradient[..., None])[..., 0]
        # A full step may overshoot where classes are nearly separated.
        beta = beta - step * np.minimum(1, 4 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    return beta


def _design(standard: Standard, table: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(table)), standard.apply(table)]).astype(float)


def _logistic(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logit, -40, 40)))


def _both(probability: np.ndarray) -> np.ndarray:
    """Of no and yes, last axis."""
    return np.stack([1 - probability, probability], axis=-1)


def _checked(learner: NashLearner) -> NashLearner:
    n_true = int(learner.labels.sum())
    if min(n_true, learner.n_cases - n_true) < MIN_OF_A_CLASS:
        raise UnsuitableInputError(
            f"A campaign needs at least {MIN_OF_A_CLASS} subjects of each class; found {n_true} with fibrotic NASH and "
            f"{learner.n_cases - n_true} without. Add subjects, or label more."
        )
    return learner
