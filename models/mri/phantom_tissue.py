"""What the simulated tissues are made of, and the grid they are laid out on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

AIR_PPM = 0.36
"""Volume susceptibility of air (SI), ppm (Schenck, Med Phys 1996, 10.1118/1.597854)."""
WATER_PPM = -9.05
"""Volume susceptibility of water at 37 °C (SI), ppm (same source)."""
FAT_PPM = -7.79
"""Volume susceptibility of fat (SI), ppm (Hopkins and Wehrli, Magn Reson Med 1997, 10.1002/mrm.1910370404)."""


@dataclass(frozen=True)
class Tissue:
    """One simulated material."""

    name: str
    density: float
    """Water plus fat signal at TE = 0, liver = 1."""
    fat_fraction: float
    """0 to 1."""
    r2_star_per_s: float
    """At 1.5 T, 1/s."""
    susceptibility_ppm: float
    """Volume susceptibility (SI), ppm."""
    is_body: bool = True
    """False where a reader expects no answer: air, lung, cortical bone."""


@dataclass(frozen=True)
class Region:
    """Where a region of interest is looked for."""

    name: str
    """Its name in the results."""
    label: int
    """The tissue it lies in."""
    x_range_mm: tuple[float, float] = (-np.inf, np.inf)
    """Limits towards the patient's left, mm from the centre."""
    radius_mm: float | None = None
    """Radius of a disc around the deepest point, mm; None: all of the tissue but its rim."""


@dataclass(frozen=True)
class Layout:
    """A simulated object: which tissue is where."""

    tissues: tuple[Tissue, ...]
    """Index = label; the first is the surrounding."""
    label_at: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """Labels (uint8) on an open grid: x towards the patient's left (n, 1, 1), y towards the back (1, n, 1), z towards
    the head (1, 1, n), each increasing, in mm from the centre."""
    field_of_view_mm: float
    """Width and height of the image, mm."""
    slice_thickness_mm: float
    """Distance of the slices, mm."""
    field_extent_mm: float
    """Height of the volume in which the field is computed, centred on the slices, mm."""
    margin_mm: float
    """Surrounding added on each side in the plane before the field is computed, mm."""
    field_spacing_mm: float
    """Voxel size of that volume, mm."""
    residual_ppm: tuple[float, float, float]
    """What the second-order shim leaves: offset, slope along x and slope along y (over half the field of view), ppm."""
    regions: tuple[Region, ...]
    """Where the ROIs are."""
    reference_label: int | None
    """The tissue whose mean signal defines SNR; None: every body voxel."""


ROI_MARGIN_MM = 4.0
"""How far inside a tissue an ROI begins, mm: past every voxel that holds two tissues."""
