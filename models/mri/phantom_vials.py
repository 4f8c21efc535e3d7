"""Seven simulated vials of known fat fraction, decay and susceptibility in a tray."""

from __future__ import annotations

import numpy as np

from .phantom_tissue import AIR_PPM, WATER_PPM, Layout, Region, Tissue

VIAL_PDFF_PERCENT = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0)
"""Fat fraction of each vial, percent; the first stands in the middle."""
VIAL_R2_STAR_PER_S = (25.0, 40.0, 60.0, 80.0, 100.0, 50.0, 30.0)
"""Decay rate of each vial at 1.5 T, 1/s."""
VIAL_SUSCEPTIBILITY_PPM = (0.0, 0.1, 0.3, 0.5, 0.8, 0.6, 1.2)
"""Susceptibility of each vial relative to water, ppm."""
RADIUS_MM, RING_MM, HALF_LENGTH_MM = 17.0, 56.0, 30.0


def lay_out_vials(background: str, slice_thickness_mm: float, residual_ppm: tuple[float, float, float]) -> Layout:
    """The tray as tissues in space.

    Args:
        background: "water": the vials stand in a cylinder of water; "air": they stand free.
        slice_thickness_mm: Distance of the slices, mm.
        residual_ppm: Offset and slopes of the linear field, ppm over half the field of view.
    """
    vials = tuple(
        Tissue(f"vial {percent:g} %", 1.0, percent / 100, rate, WATER_PPM + shift)
        for percent, rate, shift in zip(VIAL_PDFF_PERCENT, VIAL_R2_STAR_PER_S, VIAL_SUSCEPTIBILITY_PPM, strict=True)
    )
    bath = Tissue("water", 1.0, 0.0, 5.0, WATER_PPM)
    tissues = (Tissue("air", 0.0, 0.0, 0.0, AIR_PPM, is_body=False), *vials, bath)
    angles = np.arange(6) * np.pi / 3
    centres = [(0.0, 0.0), *zip(RING_MM * np.cos(angles), RING_MM * np.sin(angles), strict=True)]

    def label_at(x, y, z):
        shape = np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z))
        label = np.zeros(shape, np.uint8)
        if background == "water":
            label[np.broadcast_to(np.hypot(x, y) < RING_MM + RADIUS_MM + 8, shape)] = len(tissues) - 1
        for number, (cx, cy) in enumerate(centres, start=1):
            inside = (np.hypot(x - cx, y - cy) < RADIUS_MM) & (np.abs(z) < HALF_LENGTH_MM)
            label[np.broadcast_to(inside, shape)] = number
        return label

    return Layout(
        tissues=tissues,
        label_at=label_at,
        field_of_view_mm=192.0,
        slice_thickness_mm=slice_thickness_mm,
        field_extent_mm=144.0,
        margin_mm=48.0,
        field_spacing_mm=1.5,
        residual_ppm=residual_ppm,
        regions=tuple(
            Region(f"vial_{percent:g}_percent", number) for number, percent in enumerate(VIAL_PDFF_PERCENT, start=1)
        ),
        reference_label=None,
    )
