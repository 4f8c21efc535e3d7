"""Simulated images whose liver is known: what demonstration weights learn from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from ..mri.phantom import make_phantom
from ..ultrasound.phantom import simulate_cohort
from ..ultrasound.phantom_anatomy import LIVER, PORTAL_WALL, VESSEL
from .region_image import RegionExample
from .region_reading import of_study

CONTRASTS = ("magnitude", "first_echo", "last_echo", "water")
"""What an MRI slice may show."""
CLOSING_MM = 7.0
"""Vessels up to about twice as wide count as liver, as readers outline it."""


def simulated_ultrasound(n_subjects: int, n_frames: int, seed: int, size: int = 160) -> Iterator[RegionExample]:
    """B-mode frames of simulated rats; the region is the liver with its vessels."""
    cohort = simulate_cohort(n_subjects, round(n_subjects * 23 / 87), seed, n_frames, size)
    for subject, case_id in enumerate(cohort.case_ids):
        name = f"{case_id}-seed-{seed}"
        for pair in range(n_frames):
            frame = cohort.frame(subject, pair)
            region = np.isin(frame.organ_map, (LIVER, VESSEL, PORTAL_WALL))
            yield RegionExample(name, name, "ultrasound", frame.b_mode, region, True)


def simulated_mri(n_subjects: int, n_slices: int, seed: int, size: int = 128) -> Iterator[RegionExample]:
    """Slices of simulated abdomens, each with a contrast drawn from :data:`CONTRASTS`."""
    for subject in range(n_subjects):
        rng = np.random.default_rng([seed, subject])
        study, truth = make_phantom(
            "liver",
            snr=float(np.exp(rng.uniform(np.log(10), np.log(80)))),
            field_strength_t=float(rng.choice([1.5, 3.0])),
            seed=int(rng.integers(2**31)),
            n_slices=n_slices,
            slice_thickness_mm=float(rng.uniform(4, 14)),
            size=size,
            dome=bool(rng.random() < 0.25),
        )
        case = of_study(study)
        radius = max(1, round(CLOSING_MM / float(np.linalg.norm(study.affine[:3, 0]))))
        closed = ndimage.binary_closing(truth.liver_mask, ndimage.generate_binary_structure(3, 1)[:, :, 1:2], radius)
        name = f"simulated-abdomen-{seed}-{subject}"
        for k in range(n_slices):
            shown = {
                "magnitude": case.images[k],
                "first_echo": case.view.image(np.abs(study.signal[0, :, :, k])),
                "last_echo": case.view.image(np.abs(study.signal[-1, :, :, k])),
                "water": case.view.image(np.nan_to_num(truth.water[:, :, k])),
            }[str(rng.choice(CONTRASTS, p=(0.55, 0.15, 0.15, 0.15)))]
            region = ndimage.binary_fill_holes(closed[:, :, k])
            yield RegionExample(name, name, "mri", shown.astype(np.float32), case.view.image(region), True)
