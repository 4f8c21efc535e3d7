"""Every unit of an experiment put together: one out-of-fold answer a subject, model and mode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...learning.conformal import SplitConformal
from .options import NashExperimentOptions
from .units import Unit

COVERAGE = 0.9
"""Asked of the conformal sets."""


def expit(logit):
    """Probability of log-odds."""
    return 1 / (1 + np.exp(-np.asarray(logit, float)))


@dataclass(frozen=True)
class Pooled:
    """Out-of-fold answers of one model over all subjects; arrays of shape (n_subjects,)."""

    model: str
    """Name of the model."""
    mode: str
    """"default" or "paper"."""
    logits: np.ndarray
    """Calibrated log-odds."""
    folds: np.ndarray
    """In which fold each subject was tested."""
    sets: tuple[frozenset, ...]
    """Conformal set of each subject; fitted inside its fold's training part."""

    @property
    def probability(self) -> np.ndarray:
        """Probability of fibrotic NASH."""
        return expit(self.logits)


class Results:
    """The cohort's answers and every unit.

    Args:
        case_ids: Of the subjects in their order.
        patient_ids: Of the same.
        labels: Whether fibrotic NASH is present, shape (n_subjects,).
        units: All of them.
        options: Of the experiment.
    """

    def __init__(self, case_ids, patient_ids, labels, units: Iterable[Unit], options: NashExperimentOptions):
        self.case_ids, self.patient_ids = tuple(case_ids), tuple(patient_ids)
        self.labels = np.asarray(labels, bool)
        self.options = options
        self.units = {(unit.place.model, unit.place.mode, unit.place.fold): unit for unit in units}
        self.pooled = {(model, mode): self._pool(model, mode) for mode in options.modes for model in options.models}

    def fold_units(self, model: str, mode: str) -> list[Unit]:
        """Of one model and mode, in the order of the folds."""
        return [self.units[model, mode, fold] for fold in range(self.options.n_folds)]

    def label_of(self, case_ids) -> np.ndarray:
        """Answers of some subjects."""
        index = {case_id: k for k, case_id in enumerate(self.case_ids)}
        return self.labels[[index[case_id] for case_id in case_ids]]

    def _pool(self, model, mode):
        index = {case_id: k for k, case_id in enumerate(self.case_ids)}
        logits, folds = np.full(len(index), np.nan), np.zeros(len(index), int)
        sets = [frozenset()] * len(index)
        for unit in self.fold_units(model, mode):
            conformal = SplitConformal.fit(expit(unit.calibration_logits), unit.calibration_labels, COVERAGE)
            found = conformal.predict(expit(unit.logits))
            for k, case_id in enumerate(unit.case_ids):
                logits[index[case_id]], folds[index[case_id]] = unit.logits[k], unit.place.fold
                sets[index[case_id]] = found[k]
        return Pooled(model, mode, logits, folds, tuple(sets))
