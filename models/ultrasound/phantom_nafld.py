"""Simulated patients with and without fatty liver: several frames each, as the public set has them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import UnsuitableInputError
from .frames import FrameSet, prepare_frame, sides_of
from .phantom import simulate_frame

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


def simulate_nafld_frames(
    n_healthy: int = 17,
    n_fatty: int = 38,
    n_frames: int = 10,
    seed: int = 0,
    size: str = "small",
    progress: Callable[[int, int], None] | None = None,
) -> FrameSet:
    """Frames of simulated patients in random order; the defaults are the public set's numbers.

    Args:
        n_healthy: Patients with less than 5 % fat.
        n_fatty: Patients with more.
        n_frames: Of each patient; they share body and gain, not the place of the probe.
        seed: The same seed gives the same bytes.
        size: Of :data:`~.frames.FRAME_SIZES`.
        progress: Called with patients done and patients in all.
    Raises:
        UnsuitableInputError: no patient of one class, no frame, or an unknown size.
    """
    if min(n_healthy, n_fatty, n_frames) < 1 or seed < 0:
        raise UnsuitableInputError(
            f"Simulated patients need at least one of each class, one frame, and a seed from 0; found {n_healthy} "
            f"healthy, {n_fatty} fatty, {n_frames} frames, seed {seed}. Ask for more."
        )
    side = sides_of(size)[0]
    n = n_healthy + n_fatty
    labels = np.random.default_rng([seed, _ORDER]).permutation(n) < n_fatty
    images, patients, names = [], [], []
    for number, is_fatty in enumerate(labels, start=1):
        if progress:
            progress(number - 1, n)
        fat, fibrosis = _values(bool(is_fatty), np.random.default_rng([seed, _VALUES, number]))
        for k in range(n_frames):
            frame = simulate_frame(
                fat,
                fibrosis=fibrosis,
                seed=_seed(seed, _FRAME, number, k),
                size=_PICTURE[size],
                patient_seed=_seed(seed, _PATIENT, number),
            )
            images.append(prepare_frame(frame.b_mode, side))
            patients.append(f"simulated-patient-{number:03d}")
            names.append(f"simulated-patient-{number:03d}/{k + 1:02d}")
    if progress:
        progress(n, n)
    return FrameSet(np.stack(images), np.repeat(labels, n_frames), tuple(patients), tuple(names), is_simulated=True)


def _values(is_fatty: bool, rng: np.random.Generator) -> tuple[float, float]:
    """Fat (percent) and how coarse the texture is."""
    score, fibrosis = rng.standard_normal(), float(np.clip(rng.normal(*FIBROSIS), 0, 1))
    low = rng.uniform(*HEALTHY_FAT_PERCENT)
    high = np.clip(FATTY_MEDIAN_PERCENT * np.exp(FATTY_LOG_STD * score), FATTY_FROM_PERCENT, MOST_FAT_PERCENT)
    return float(high if is_fatty else low), fibrosis


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])
