"""Square regions of interest placed without a reader: deep inside a lobe or a vial, the same place every time."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

LOBE_SIDE_MM = 17.5
"""Side of a lobe's square: 9 voxels of 2 mm (192 x 192) or 17 of 1 mm (384 x 384)."""
VIAL_SIDE_MM = 9.0
"""Side of a vial's square: 9 voxels of 1 mm."""
SMALLEST_SHARE = 0.5
"""A square that does not fit is shrunk to this part of its side at most; a lobe that holds none has no region."""
RIGHT_LOBE_FROM_MM, LEFT_LOBE_FROM_MM = 40.0, 15.0
"""The simulated right lobe lies further to the right of the middle than the first, the left lobe less than the
second."""


def square_side(side_mm: float, pixel_mm: float) -> int:
    """Odd number of voxels nearest to a length, at least 1."""
    return max(2 * round((side_mm / pixel_mm - 1) / 2) + 1, 1)


def place_square(mask: np.ndarray, pixel_mm: tuple[float, float], side_mm: float) -> np.ndarray | None:
    """The square that lies deepest inside a region.

    Of all places where the square fits into one slice, the one whose middle is furthest from the region's edge; of
    equals the first. Where none fits, the square is shrunk, two voxels a step.

    Args:
        mask: Where it may lie, without vessels, shape (x, y, z), bool.
        pixel_mm: Voxel size along x and y, mm.
        side_mm: Length of its sides, mm.
    Returns:
        Shape (x, y, z), bool; None when not even the smallest fits.
    """
    sides = tuple(square_side(side_mm, size) for size in pixel_mm)
    depth = np.zeros(mask.shape)
    for z in range(mask.shape[2]):
        # The image's border is an edge too.
        padded = np.pad(mask[:, :, z], 1)
        depth[:, :, z] = ndimage.distance_transform_edt(padded, sampling=pixel_mm)[1:-1, 1:-1]
    while min(side * size for side, size in zip(sides, pixel_mm, strict=True)) >= SMALLEST_SHARE * side_mm:
        fits = ndimage.binary_erosion(mask, np.ones((*sides, 1), bool))
        if fits.any():
            x, y, z = np.unravel_index(np.argmax(np.where(fits, depth, 0)), mask.shape)
            square = np.zeros(mask.shape, bool)
            half_x, half_y = sides[0] // 2, sides[1] // 2
            square[x - half_x : x + half_x + 1, y - half_y : y + half_y + 1, z] = True
            return square
        if min(sides) <= 1:
            return None
        sides = tuple(max(side - 2, 1) for side in sides)
    return None


def lobe_squares(liver_mask: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray]:
    """The right- and left-lobe regions of a simulated liver.

    Args:
        liver_mask: Voxels that are liver and no vessel, shape (x, y, z), bool.
        affine: Voxels to RAS millimetres, shape (4, 4).
    Returns:
        "right_lobe" and "left_lobe", as far as they fit, each of shape (x, y, z).
    """
    index = np.stack(np.meshgrid(*map(np.arange, liver_mask.shape), indexing="ij"), axis=-1)
    to_the_right_mm = index @ affine[0, :3] + affine[0, 3]
    lobes = {
        "right_lobe": liver_mask & (to_the_right_mm > RIGHT_LOBE_FROM_MM),
        "left_lobe": liver_mask & (to_the_right_mm < LEFT_LOBE_FROM_MM),
    }
    return _placed(lobes, affine, LOBE_SIDE_MM)


def vial_squares(rois: dict[str, np.ndarray], affine: np.ndarray) -> dict[str, np.ndarray]:
    """A square in each simulated vial.

    Args:
        rois: Name of a vial -> its voxels without the rim, shape (x, y, z).
        affine: Voxels to RAS millimetres, shape (4, 4).
    Returns:
        The same names, each with its square.
    """
    return _placed(rois, affine, VIAL_SIDE_MM)


def _placed(masks, affine, side_mm):
    pixel_mm = tuple(float(size) for size in np.linalg.norm(affine[:3, :2], axis=0))
    squares = {name: place_square(mask, pixel_mm, side_mm) for name, mask in masks.items()}
    return {name: square for name, square in squares.items() if square is not None}
