"""What a PDFF method answers: maps, their standard deviations, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PdffMaps:
    """Maps of one study; every array has shape (x, y, z) and is float32 unless said otherwise.

    A voxel that could not be estimated is False in ``valid_mask`` and NaN in the maps, never 0 % fat. PDFF is not
    clipped: noise around 0 % gives negative values, and a mean over them stays unbiased.
    """

    pdff_percent: np.ndarray
    """Proton density fat fraction, percent, not clipped."""
    pdff_std_percent: np.ndarray
    """One standard deviation of PDFF, percentage points."""
    r2_star_per_s: np.ndarray
    """Transverse relaxation rate R2*, 1/s."""
    r2_star_std_per_s: np.ndarray
    """One standard deviation of R2*, 1/s."""
    field_map_hz: np.ndarray
    """Off-resonance, Hz; for equally spaced echoes known up to a multiple of 1/ΔTE."""
    field_map_std_hz: np.ndarray
    """One standard deviation of the off-resonance, Hz."""
    water: np.ndarray
    """Magnitude of the water signal at TE = 0, units of the input."""
    fat: np.ndarray
    """Magnitude of the fat signal at TE = 0, units of the input."""
    swap_probability: np.ndarray
    """Probability that water and fat are exchanged; NaN everywhere for a method that does not state it."""
    valid_mask: np.ndarray
    """True where the maps were estimated and the model fits, bool."""
    method: str
    """Name of the method, as in ``--method``."""
    spectrum: str
    """Name of the fat spectrum used."""
    settings: dict = field(default_factory=dict)
    """What was assumed or found: precession, bipolar phase, noise standard deviation …; JSON-ready."""
    warnings: tuple[str, ...] = ()
    """Sentences the reader should see beside the numbers and those of the study."""


VOLUME_FIELDS = (
    "pdff_percent",
    "pdff_std_percent",
    "r2_star_per_s",
    "r2_star_std_per_s",
    "field_map_hz",
    "field_map_std_hz",
    "water",
    "fat",
    "swap_probability",
    "valid_mask",
)
"""The maps that are written, in order; each name is also its file's stem. The first is what a one-map client gets."""


def blank_maps(shape) -> dict[str, np.ndarray]:
    """Every map of :class:`PdffMaps` without a voxel estimated, to be filled."""
    maps = {name: np.full(shape, np.nan, np.float32) for name in VOLUME_FIELDS if name != "valid_mask"}
    return maps | {"valid_mask": np.zeros(shape, bool)}
