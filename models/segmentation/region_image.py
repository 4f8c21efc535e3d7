"""One image as the network reads it, and its answer back on the image.

Arrays are (row, column), rows downwards, as in ``models/ultrasound``; a slice of an MRI volume is taken the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError
from .region_options import KINDS, SIZE

PERCENTILE = 99.0
"""Of the image's positive values, taken as its brightest."""
NOISE = 0.024
"""Share of the brightest value up to which an ultrasound image is black: 6 of 255, as JPEG leaves beside the sector."""
MIN_PART = 0.05
"""Share of all that is not black below which a part is lettering or a scale, not the image."""


@dataclass(frozen=True)
class RegionExample:
    """One image with the reader's region."""

    case_id: str
    """Of the case; slices of one case share it."""
    patient_id: str
    """What every split groups by."""
    kind: str
    """One of :data:`.region_options.KINDS`."""
    image: np.ndarray
    """Grey levels or magnitudes, shape (rows, columns); 0 where there is nothing."""
    region: np.ndarray
    """Same shape, bool; empty where the liver is not in the image."""
    is_simulated: bool = False
    """True when the image was computed, not measured."""

    def __post_init__(self):
        check_image(self.image, self.kind)
        if self.region.shape != self.image.shape:
            raise UnsuitableInputError(
                f"A region needs the size of its image, {_size(self.image)}; found {_size(self.region)}. Draw it on "
                "that image."
            )


@dataclass(frozen=True)
class Placement:
    """Where the network's square lies on an image: the smallest one around all that is not black."""

    top: float
    """First row of the square; may be negative, outside the image."""
    left: float
    """First column."""
    side: float
    """Rows, and columns, of the square on the image."""
    shape: tuple[int, int]
    """Rows and columns of the image."""

    @classmethod
    def of(cls, image: np.ndarray, kind: str) -> Placement:
        """Around what is not black."""
        shown = shown_part(image, kind)
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        side = float(max(height, width))
        top, left = rows[0] - (side - height) / 2, columns[0] - (side - width) / 2
        return cls(float(top), float(left), side, image.shape)

    def to_square(self, array: np.ndarray) -> np.ndarray:
        """The square of an image, shape (SIZE, SIZE), float32; 0 outside the image."""
        from scipy import ndimage

        step = self.side / SIZE
        array = np.asarray(array, np.float32)
        if step > 1:
            array = ndimage.gaussian_filter(array, 0.4 * step, mode="constant")
        start = (self.top + step / 2 - 0.5, self.left + step / 2 - 0.5)
        square = ndimage.affine_transform(array, [step, step], start, (SIZE, SIZE), order=1, mode="constant")
        return square.astype(np.float32)

    def to_image(self, square: np.ndarray) -> np.ndarray:
        """What was found on the square, on the image, shape of the image, float32; 0 outside the square."""
        from scipy import ndimage

        step = SIZE / self.side
        start = ((0.5 - self.top) * step - 0.5, (0.5 - self.left) * step - 0.5)
        found = ndimage.affine_transform(
            np.asarray(square, np.float32), [step, step], start, self.shape, order=1, mode="constant"
        )
        return found.astype(np.float32)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Rows and columns on the image as rows and columns of the square, shape (n, 2)."""
        points = np.asarray(points, float).reshape(-1, 2)
        return (points + 0.5 - (self.top, self.left)) * (SIZE / self.side) - 0.5


def check_image(image: np.ndarray, kind: str) -> None:
    """Refuse what no liver can be outlined on.

    Raises:
        UnsuitableInputError: an unknown kind, another shape than (rows, columns), values not finite, black all over.
    """
    if kind not in KINDS:
        raise UnsuitableInputError(f"The kind of an image needs to be one of {', '.join(KINDS)}; found {kind!r}.")
    if image.ndim != 2 or min(image.shape) < 8:
        raise UnsuitableInputError(
            f"One image of at least 8 x 8 pixels is needed; found the shape {image.shape}. Send slices one by one."
        )
    if not np.isfinite(image).all():
        raise UnsuitableInputError("An image needs finite values; this one holds NaN or infinity. Export it again.")
    if not image.any():
        raise UnsuitableInputError("An image is needed; this one is black all over. Check the file.")


@dataclass(frozen=True)
class Square:
    """What the network reads of one image."""

    placement: Placement
    """Where it lies."""
    field: np.ndarray
    """What the image shows, shape (SIZE, SIZE), bool; of ultrasound the sector, dark places in it too."""
    values: np.ndarray
    """Brightness that does not depend on gain or units, same shape, float32: 0 outside the field, else mean 0 and
    standard deviation 1."""

    @classmethod
    def of(cls, image: np.ndarray, kind: str) -> Square:
        """Of an image that was checked."""
        placement = Placement.of(image, kind)
        square = placement.to_square(image)
        field = shown_part(square, kind)
        if kind == "ultrasound" and field.any():
            from skimage.morphology import convex_hull_image

            field = convex_hull_image(field)
        return cls(placement, field, _normalised(square, field))


def shown_part(image: np.ndarray, kind: str) -> np.ndarray:
    """Where an image is not black, same shape, bool; of ultrasound without noise and without lettering beside it."""
    if kind != "ultrasound":
        return image > 0
    from scipy import ndimage

    shown = image > NOISE * image.max()
    labels, n = ndimage.label(shown, np.ones((3, 3)))
    if n < 2:
        return shown
    sizes = np.bincount(labels.ravel())[1:]
    return np.isin(labels, np.flatnonzero(sizes >= MIN_PART * sizes.sum()) + 1) if sizes.max() > 1 else shown


def _normalised(square: np.ndarray, field: np.ndarray) -> np.ndarray:
    if not field.any():
        return np.zeros_like(square)
    bright = max(float(np.percentile(square[field], PERCENTILE)), np.finfo(np.float32).tiny)
    root = np.sqrt(np.clip(square / bright, 0, 1))
    inside = root[field]
    return np.where(field, (root - inside.mean()) / max(float(inside.std()), 1e-3), 0).astype(np.float32)


def _size(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))
