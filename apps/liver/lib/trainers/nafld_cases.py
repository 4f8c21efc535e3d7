"""The frames that trainings on answers to ``nafld`` share, and their one split by patient.

A classifier learns from and calibrates with ``learnt``; a generator learns from ``for_generators``: everybody in
``learnt`` but those that calibrate. The same cases, share and seed give the same parts, whichever training asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .answered_cases import ADVICE, ANSWERED, hold_out, read_answered
from .job import Progress, TrainingRequest
from .site_cases import usable

if TYPE_CHECKING:
    from liver_models.ultrasound.frames import FrameSet
    from liver_models.ultrasound.nafld_options import NafldOptions

TASK = "nafld"


@dataclass(frozen=True)
class NafldCases:
    """Frames of the stored cases."""

    n_cases: int
    """That were read."""
    learnt: FrameSet
    """Of patients that trainings may see."""
    held_out: FrameSet
    """Of patients that decide on publishing."""
    for_generators: FrameSet
    """The part of ``learnt`` that generators may see."""
    calibrating: FrameSet
    """The other part: a classifier's training calibrates with it, and generators are judged by it."""

    @property
    def facts(self) -> dict:
        """What the reply says of them."""
        return {
            "n_cases": self.n_cases,
            "is_simulated": self.learnt.is_simulated or self.held_out.is_simulated,
            "n_training_subjects": len(self.learnt.patients),
            "n_held_out_subjects": len(self.held_out.patients),
        }


def read_nafld_cases(request: TrainingRequest, options: NafldOptions, progress: Progress) -> NafldCases:
    """Read the cases with B-mode frames and an answer, and split them.

    Args:
        request: With the cases.
        options: With size, share and seed.
        progress: Told how many were read.
    Raises:
        UnsuitableInputError: too few patients, a named case cannot be used, or there is none.
    """
    import numpy as np
    from liver_models.ultrasound.frames import frames_of
    from liver_models.ultrasound.nafld_training import training_parts

    def read(source: Path) -> list[FrameSet]:
        return [frames_of([read_answered(source, TASK, "is_fatty", with_elastograms=False)], options.size)]

    found = usable(request.sources, request.is_every_case_needed, progress, read, ANSWERED, ADVICE)
    frames = joined(found)
    # One answer a patient: where cases differ, trainings say whose.
    answers = dict(zip(frames.patient_ids, frames.is_fatty.tolist(), strict=True))
    patients = sorted(answers)
    share, seed = options.validation_fraction, options.seed
    parts = hold_out(patients, [answers[one] for one in patients], share, seed, "with fatty liver")
    owner = np.array(frames.patient_ids)
    learnt, held_out = (frames.subset(np.flatnonzero(np.isin(owner, [patients[k] for k in part]))) for part in parts)
    return NafldCases(len(found), learnt, held_out, *(learnt.subset(part) for part in training_parts(learnt, options)))


def joined(sets: list[FrameSet]) -> FrameSet:
    """All frames in one set."""
    import numpy as np
    from liver_models.ultrasound.frames import FrameSet

    return FrameSet(
        np.concatenate([one.images for one in sets]),
        np.concatenate([one.is_fatty for one in sets]),
        tuple(patient for one in sets for patient in one.patient_ids),
        tuple(name for one in sets for name in one.names),
        any(one.is_simulated for one in sets),
    )
