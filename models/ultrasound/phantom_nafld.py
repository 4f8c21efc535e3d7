"""Simulated patients with and without fatty liver: several frames each, as the public set has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError
from .frames import FrameSet, prepare_frame, sides_of
from .phantom import SimulatedFrame, simulate_frame

FATTY_FROM_PERCENT = 5.0
"""Fat of the liver from which it counts as fatty."""
HEALTHY_FAT_PERCENT = (0.5, 5.0)
"""Range of those without, uniform."""
FATTY_MEDIAN_PERCENT, FATTY_LOG_STD, MOST_FAT_PERCENT = 16.0, 0.6, 45.0
"""Of those with: log-normal, at least 5 %."""
FIBROSIS = (0.3, 0.15)
"""Mean and spread of how coarse the texture is, the same in both groups."""
_PICTURE = {"small": 224, "paper": 434}
"""Rows of the simulated picture before it is prepared."""
_ORDER, _PATIENT, _VALUES, _FRAME = range(4)
"""What a seed is for, so that no two draws share one."""


@dataclass(frozen=True, eq=False)
class NafldCohort:
    """Simulated patients in a fixed order; a frame is computed each time it is asked for."""

    labels: np.ndarray
    """Fatty liver or not, shape (n_patients,), bool."""
    fat_percent: np.ndarray
    """Of each liver's volume, shape (n_patients,)."""
    fibrosis: np.ndarray
    """How coarse each liver's texture is, shape (n_patients,), 0 to 1."""
    n_frames: int
    """Of each patient."""
    seed: int
    """Of the cohort."""
    size: str
    """Of :data:`~.frames.FRAME_SIZES`: decides the picture's rows."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Ids of the patients."""
        return tuple(f"simulated-patient-{number:03d}" for number in range(1, len(self) + 1))

    def frame(self, index: int, number: int) -> SimulatedFrame:
        """One frame of a patient with its truth; it depends on neither ``n_frames`` nor other patients.

        Args:
            index: Of the patient, from 0.
            number: Of the frame, from 0.
        """
        return simulate_frame(
            float(self.fat_percent[index]),
            fibrosis=float(self.fibrosis[index]),
            seed=_seed(self.seed, _FRAME, index + 1, number),
            size=_PICTURE[self.size],
            patient_seed=_seed(self.seed, _PATIENT, index + 1),
        )


def simulate_nafld_cohort(
    n_healthy: int = 17, n_fatty: int = 38, n_frames: int = 10, seed: int = 0, size: str = "small"
) -> NafldCohort:
    """Simulated patients in random order; the defaults are the public set's numbers.

    Args:
        n_healthy: Patients with less than 5 % fat.
        n_fatty: Patients with more.
        n_frames: Of each patient; they share body and gain, not the place of the probe.
        seed: The same seed gives the same bytes.
        size: Of :data:`~.frames.FRAME_SIZES`.
    Raises:
        UnsuitableInputError: no patient of one class, no frame, or an unknown size.
    """
    if min(n_healthy, n_fatty, n_frames) < 1 or seed < 0:
        raise UnsuitableInputError(
            f"Simulated patients need at least one of each class, one frame, and a seed from 0; found {n_healthy} "
            f"healthy, {n_fatty} fatty, {n_frames} frames, seed {seed}. Ask for more."
        )
    sides_of(size)
    n = n_healthy + n_fatty
    labels = np.random.default_rng([seed, _ORDER]).permutation(n) < n_fatty
    values = [
        _values(bool(is_fatty), np.random.default_rng([seed, _VALUES, number]))
        for number, is_fatty in enumerate(labels, start=1)
    ]
    fat, fibrosis = np.array(values).T
    return NafldCohort(labels, fat, fibrosis, n_frames, seed, size)


def simulate_nafld_frames(
    n_healthy: int = 17,
    n_fatty: int = 38,
    n_frames: int = 10,
    seed: int = 0,
    size: str = "small",
    progress: Callable[[int, int], None] | None = None,
) -> FrameSet:
    """Prepared frames of :func:`simulate_nafld_cohort`, whose arguments it shares.

    Args:
        n_healthy: As there.
        n_fatty: As there.
        n_frames: As there.
        seed: As there.
        size: As there.
        progress: Called with patients done and patients in all.
    Raises:
        UnsuitableInputError: as there.
    """
    cohort = simulate_nafld_cohort(n_healthy, n_fatty, n_frames, seed, size)
    images, patients, names = [], [], []
    for index, case_id in enumerate(cohort.case_ids):
        if progress:
            progress(index, len(cohort))
        for k in range(n_frames):
            images.append(prepare_frame(cohort.frame(index, k).b_mode, sides_of(size)[0]))
            patients.append(case_id)
            names.append(f"{case_id}/{k + 1:02d}")
    if progress:
        progress(len(cohort), len(cohort))
    labels = np.repeat(cohort.labels, n_frames)
    return FrameSet(np.stack(images), labels, tuple(patients), tuple(names), is_simulated=True)


def _values(is_fatty: bool, rng: np.random.Generator) -> tuple[float, float]:
    """Fat (percent) and how coarse the texture is."""
    score, fibrosis = rng.standard_normal(), float(np.clip(rng.normal(*FIBROSIS), 0, 1))
    low = rng.uniform(*HEALTHY_FAT_PERCENT)
    high = np.clip(FATTY_MEDIAN_PERCENT * np.exp(FATTY_LOG_STD * score), FATTY_FROM_PERCENT, MOST_FAT_PERCENT)
    return float(high if is_fatty else low), fibrosis


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])
