"""Where a picture shows tissue: not the text, scales, ECG and coloured marks that are burned in around it.

A classifier that sees them learns the scanner and the protocol, not the liver.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..errors import UnsuitableInputError
from ..io.picture_file import UltrasoundRegion

_DARKEST_TISSUE = 3
"""Grey level above which a pixel is not background."""
_COLOURED = 40
"""Largest less smallest channel above which a pixel of a B-mode image is a mark, not tissue."""
_WINDOW = 15
"""Side of the window in which most pixels are bright where there is tissue, and few where there are strokes of text or
traces and the noise of JPEG around them; pixels in a picture of 480 rows."""
_SHARE_OF_TISSUE = 0.55
"""Of the window; above one half, for a straight edge of tissue to stay where it is."""
_USUAL_ROWS = 480
_SMALLEST_SHARE = 0.02
"""Of the picture; a smaller patch is no image of tissue."""


def tissue_mask(
    image: np.ndarray, regions: Sequence[UltrasoundRegion] = (), *, keeps_colour: bool = False
) -> np.ndarray:
    """The tissue of a B-mode picture: its largest patch that is not black, without strokes and coloured marks.

    Strokes and small print fill less than half of a window, and tissue most of it; dark vessels and shadows inside the
    patch belong to it: each column is filled from its first to its last row, which follows the concave upper edge of a
    curved probe. Print on the tissue itself stays, and shadows that are black down to the edge go.

    Args:
        image: Grey, shape (rows, columns), or RGB, shape (3, rows, columns), uint8.
        regions: What DICOM says; where it states 2-D tissue, nothing outside is tissue.
        keeps_colour: True for a picture with an elastogram, whose colours are no marks.
    Returns:
        Shape (rows, columns), bool.
    Raises:
        UnsuitableInputError: the picture is black, or shows no patch of tissue.
    """
    grey = image if image.ndim == 2 else image.max(axis=0)
    if not (grey > _DARKEST_TISSUE).any():
        raise UnsuitableInputError("An ultrasound image needs tissue; this one is black all over. Export it again.")
    bright = grey > _DARKEST_TISSUE
    coloured = np.zeros_like(bright)
    if image.ndim == 3 and not keeps_colour:
        coloured = np.ptp(image.astype(np.int16), axis=0) > _COLOURED
        bright &= ~coloured
    stated = [region.box for region in regions if region.kind in ("tissue", "colour")]
    allowed = np.full(bright.shape, not stated)
    for top, left, bottom, right in stated:
        allowed[top:bottom, left:right] = True
    bright &= allowed
    width = max(5, round(_WINDOW * grey.shape[0] / _USUAL_ROWS) | 1)
    share = ndimage.uniform_filter(bright.astype(np.float32), width, mode="constant")
    solid = ndimage.binary_opening(share > _SHARE_OF_TISSUE, np.ones((width, width)))
    labels, n_patches = ndimage.label(solid)
    sizes = np.bincount(labels.ravel())[1:]
    if not n_patches or sizes.max() < _SMALLEST_SHARE * grey.size:
        raise UnsuitableInputError(
            f"An ultrasound image needs a patch of tissue of at least {_SMALLEST_SHARE:.0%} of the picture; the "
            f"largest here has {sizes.max(initial=0) / grey.size:.1%}. Check that it is an ultrasound image."
        )
    patch = labels == sizes.argmax() + 1
    return _filled_columns(patch) & allowed & ~coloured


def _filled_columns(patch: np.ndarray) -> np.ndarray:
    """Each column from its first to its last row."""
    return np.maximum.accumulate(patch, axis=0) & np.maximum.accumulate(patch[::-1], axis=0)[::-1]
