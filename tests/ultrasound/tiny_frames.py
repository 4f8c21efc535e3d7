"""Tiny frames whose answer is written into them: a bright half above for fatty livers."""

from __future__ import annotations

import numpy as np

from liver_models.ultrasound.frames import FrameSet


def tiny_frames(n_patients: int = 12, n_frames: int = 2, seed: int = 0, side: int = 80, start: int = 0) -> FrameSet:
    """Two of three patients are fatty."""
    rng = np.random.default_rng([seed, start])
    images = rng.integers(40, 90, (n_patients * n_frames, side, side)).astype(np.uint8)
    labels = np.repeat([k % 3 != 0 for k in range(n_patients)], n_frames)
    images[labels, : side // 2] += 90
    patients = tuple(f"patient-{start + k:03d}" for k in range(n_patients) for _ in range(n_frames))
    names = tuple(f"{patient}/{k % n_frames}" for k, patient in enumerate(patients))
    return FrameSet(images, labels, patients, names, is_simulated=True)
