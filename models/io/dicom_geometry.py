"""Where a stack of DICOM slices lies: sorted along the normal, one grid for every echo, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_POSITION_MM = 0.02
"""Positions closer than this are one slice (they are written with few digits)."""
_SAME_DIRECTION = 1e-3
_SPACING_TOLERANCE = 0.02
"""How much slice spacings may differ, fraction of the spacing."""


@dataclass(frozen=True)
class Stack:
    """A regular stack of slices."""

    affine: np.ndarray
    """Index (column, row, slice) to world millimetres, RAS+, shape (4, 4)."""
    slice_of: tuple[int, ...]
    """For each position given, the number of its slice."""
    n_slices: int
    """Number of slices."""
    is_thickness_assumed: bool = False
    """True for one slice without a stated thickness: 1 mm."""


def stack_of(
    positions: Sequence[Sequence[float]],
    orientations: Sequence[Sequence[float]],
    pixel_spacings: Sequence[Sequence[float]],
    label: str,
    slice_spacing: float | None = None,
) -> Stack:
    """Sort slices along their normal and find the affine of the stack.

    Args:
        positions: ImagePositionPatient of each image, mm, LPS.
        orientations: ImageOrientationPatient of each image.
        pixel_spacings: PixelSpacing of each image (between rows, between columns), mm.
        label: How to name the acquisition to the user.
        slice_spacing: Distance of slices if there is only one, mm.
    Raises:
        UnsuitableInputError: orientations or spacings that differ, a gap, slices that are not stacked along the normal.
    """
    orientation, spacing = np.array(orientations[0], dtype=float), np.array(pixel_spacings[0], dtype=float)
    differ = np.abs(np.array(orientations) - orientation).max() > _SAME_DIRECTION
    differ = differ or np.abs(np.array(pixel_spacings) / spacing - 1).max() > _SAME_DIRECTION
    if differ:
        raise UnsuitableInputError(
            f"All echoes need one geometry; the images of {label} differ in orientation or pixel spacing. Export the "
            "echoes of one acquisition."
        )
    along_row, along_column = orientation[:3], orientation[3:]
    normal = np.cross(along_row, along_column)
    if abs(np.linalg.norm(normal) - 1) > _SAME_DIRECTION or abs(along_row @ along_column) > _SAME_DIRECTION:
        raise UnsuitableInputError(
            f"ImageOrientationPatient needs two perpendicular unit vectors; that of {label} is not. Export it again."
        )
    points = np.array(positions, dtype=float)
    heights = points @ normal
    slice_of, order = _slices(heights)
    corners = points[order]
    offsets = points - corners[slice_of]
    if np.abs(offsets).max() > 2 * _SAME_POSITION_MM:
        raise UnsuitableInputError(
            f"All echoes need one geometry; images of {label} at the same slice lie {np.abs(offsets).max():.3g} mm "
            "apart. Export the echoes of one acquisition."
        )
    assumed = False
    if len(order) == 1:
        assumed = slice_spacing is None
        step = normal * (slice_spacing or 1.0)
    else:
        step = _step(corners, normal, label)
    affine = np.eye(4)
    affine[:3, 0] = along_row * spacing[1]
    affine[:3, 1] = along_column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = corners[0]
    return Stack(LPS_TO_RAS @ affine, tuple(int(i) for i in slice_of), len(order), assumed)


def _slices(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slice number of each height, and for each slice the index of one image of it (independent of file order)."""
    order = np.argsort(heights, kind="stable")
    starts = np.concatenate([[True], np.diff(heights[order]) > _SAME_POSITION_MM])
    slice_of = np.empty(len(heights), dtype=int)
    slice_of[order] = np.cumsum(starts) - 1
    return slice_of, order[starts]


def _step(corners: np.ndarray, normal: np.ndarray, label: str) -> np.ndarray:
    gaps = np.diff(corners @ normal)
    mean = gaps.mean()
    if np.abs(gaps - np.median(gaps)).max() > max(_SPACING_TOLERANCE * np.median(gaps), _SAME_POSITION_MM):
        raise UnsuitableInputError(
            f"Slices need equal spacing; those of {label} are between {gaps.min():.3g} and {gaps.max():.3g} mm apart, "
            "so a slice is missing or two stacks are mixed. Export every slice of one acquisition."
        )
    step = (corners[-1] - corners[0]) / (len(corners) - 1)
    line = corners[0] + np.arange(len(corners))[:, None] * step
    is_sheared = np.linalg.norm(step - normal * mean) > _SPACING_TOLERANCE * mean
    if is_sheared or np.abs(line - corners).max() > max(_SPACING_TOLERANCE * mean, 2 * _SAME_POSITION_MM):
        raise UnsuitableInputError(
            f"Slices need to be stacked along their normal; those of {label} are shifted against each other. Export "
            "one acquisition that is not tilted."
        )
    return step
