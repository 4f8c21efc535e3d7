"""Where PDFF is read in a liver: one disc in each lobe, away from edges and vessels, for the reader to move."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import UnsuitableInputError

LOBES = {1: "right_lobe", 2: "left_lobe"}
"""Number in the label volume -> name, as :func:`..mri.roi_stats.roi_table` shows it."""
RADIUS_MM = 8.5
"""Of a disc: 17 pixels of 1 mm across."""
MARGIN_MM = 10.0
"""Least distance of a disc from the liver's edge, where there is room."""
VESSEL_STD = 2.5
"""Robust standard deviations from the liver's local brightness beyond which a pixel is taken for a vessel."""
RIGHT_SHARE = 0.6
"""Share of the liver's width, from its right, taken for the right lobe: the split of most axial slices."""


def place_rois(liver: np.ndarray, image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """A disc in each lobe, in the slice where it lies deepest.

    Args:
        liver: Shape (x, y, z), bool.
        image: Magnitudes of the same shape; vessels are brighter or darker than the liver.
        affine: Index to world millimetres, RAS+: tells the patient's right from left.
    Returns:
        Shape (x, y, z), uint8: the numbers of :data:`LOBES`. A lobe without room for a disc has none.
    Raises:
        UnsuitableInputError: no liver.
    """
    if not liver.any():
        raise UnsuitableInputError("Measurement regions need a liver; the mask is empty. Outline the liver first.")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    across = (affine[0, :3] @ np.indices(liver.shape).reshape(3, -1)).reshape(liver.shape)
    right, left = across[liver].max(), across[liver].min()
    is_right = across > right - RIGHT_SHARE * (right - left)
    free = liver & ~ndimage.binary_dilation(vessels(liver, image), iterations=1)
    rois = np.zeros(liver.shape, np.uint8)
    for number, lobe in ((1, is_right), (2, ~is_right)):
        best = None
        for k in range(liver.shape[2]):
            if not (free[:, :, k] & lobe[:, :, k]).any():
                continue
            inside = np.pad(free[:, :, k], 1)
            depth = ndimage.distance_transform_edt(inside, sampling=spacing[:2])[1:-1, 1:-1]
            edge = ndimage.distance_transform_edt(np.pad(liver[:, :, k], 1), sampling=spacing[:2])[1:-1, 1:-1]
            worth = np.where(lobe[:, :, k], np.minimum(depth, RADIUS_MM) + 0.1 * np.minimum(edge, 3 * MARGIN_MM), 0)
            place = np.unravel_index(int(worth.argmax()), worth.shape)
            if depth[place] >= RADIUS_MM and (best is None or worth[place] > best[0]):
                best = float(worth[place]), k, place
        if best is not None:
            _, k, (i, j) = best
            x, y = np.ogrid[: liver.shape[0], : liver.shape[1]]
            disc = ((x - i) * spacing[0]) ** 2 + ((y - j) * spacing[1]) ** 2 <= RADIUS_MM**2
            rois[:, :, k][disc & liver[:, :, k]] = number
    return rois


def vessels(liver: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Liver pixels far brighter or darker than those around them, shape (x, y, z), bool; slice by slice."""
    found = np.zeros(liver.shape, bool)
    for k in range(liver.shape[2]):
        mask = liver[:, :, k]
        if not mask.any():
            continue
        values, share = np.where(mask, image[:, :, k], 0.0), mask.astype(float)
        around = ndimage.gaussian_filter(values, 8) / np.maximum(ndimage.gaussian_filter(share, 8), 1e-6)
        smooth = ndimage.gaussian_filter(values, 0.7) / np.maximum(ndimage.gaussian_filter(share, 0.7), 1e-6)
        rest = (smooth - around)[mask]
        spread = 1.4826 * np.median(np.abs(rest - np.median(rest)))
        found[:, :, k][mask] = np.abs(rest - np.median(rest)) > VESSEL_STD * max(spread, 1e-12)
    return found
