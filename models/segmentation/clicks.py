"""What a reader marks on an image to correct a region: clicks, scribbles and dragged contours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError

RADIUS = 3.0
"""Width of a click in the network's square, its Gaussian's standard deviation, pixels."""
MAX_POINTS = 20_000
"""Points of one request: a long scribble has thousands."""
_FORM = '{"foreground": [[row, column], …], "background": […], "contour": […]}'


@dataclass(frozen=True)
class Clicks:
    """Marks on one image, in rows and columns of its pixels; a scribble is many points."""

    foreground: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    """Points inside the liver, shape (n, 2)."""
    background: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    """Points outside, shape (n, 2)."""
    contour: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    """Corners of a dragged outline, shape (n, 2), closed by itself; empty: none. It is taken as it stands near its
    line; the network may differ elsewhere."""

    def __bool__(self) -> bool:
        return bool(len(self.foreground) or len(self.background) or len(self.contour))

    @classmethod
    def from_json(cls, form: Any, shape: tuple[int, int]) -> Clicks:
        """Marks from a request.

        Args:
            form: Object with the keys ``foreground``, ``background`` and ``contour``, each a list of [row, column].
            shape: Rows and columns of the image.
        Raises:
            UnsuitableInputError: another form, points outside the image, a contour of fewer than three corners.
        """
        if not isinstance(form, Mapping) or set(form) - {"foreground", "background", "contour"}:
            raise UnsuitableInputError(f"Clicks need the form {_FORM}; found another.")
        parts = {name: _points(name, points, shape) for name, points in form.items()}
        if 0 < len(parts.get("contour", ())) < 3:
            raise UnsuitableInputError(
                f"A contour needs three corners at least; found {len(parts['contour'])}. Drag it around the liver."
            )
        return cls(**parts)


def _points(name: str, points: Any, shape: tuple[int, int]) -> np.ndarray:
    try:
        found = np.array(points, float).reshape(-1, 2) if len(points) else np.empty((0, 2))
    except (TypeError, ValueError):
        raise UnsuitableInputError(f"'{name}' needs a list of [row, column]; found something else.") from None
    if len(found) != len(points) or len(found) > MAX_POINTS or not np.isfinite(found).all():
        raise UnsuitableInputError(f"'{name}' needs a list of up to {MAX_POINTS} times [row, column].")
    if ((found < -0.5) | (found > np.array(shape) - 0.5)).any():
        raise UnsuitableInputError(
            f"Clicks need to lie on the image, {shape[0]} rows and {shape[1]} columns; '{name}' holds others."
        )
    return found


def click_maps(foreground: np.ndarray, background: np.ndarray, size: int) -> np.ndarray:
    """Two maps with a bump at each click, shape (2, size, size), float32, 0 to 1: in the liver, outside it.

    Args:
        foreground: Rows and columns in the square, shape (n, 2).
        background: The same.
        size: Rows, and columns.
    """
    from scipy import ndimage

    maps = np.zeros((2, size, size), np.float32)
    for part, points in zip(maps, (foreground, background), strict=True):
        if not len(points):
            continue
        k = np.clip(np.round(points).astype(int), 0, size - 1)
        free = np.ones((size, size), bool)
        free[k[:, 0], k[:, 1]] = False
        distance = ndimage.distance_transform_edt(free)
        part[:] = np.exp(-(distance**2) / (2 * RADIUS**2))
    return maps


def contour_points(contour: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Points just inside and just outside a contour, both of shape (n, 2), in the square.

    Args:
        contour: Corners in the square, shape (n, 2), at least three.
        size: Rows, and columns.
    """
    from scipy import ndimage
    from skimage.draw import polygon2mask

    inside = polygon2mask((size, size), contour)
    depth, beyond = ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside)
    band = 2 * RADIUS
    return np.argwhere((depth > band - 1) & (depth <= band)), np.argwhere((beyond > band - 1) & (beyond <= band))
