"""Maps as pictures the way a reader expects them: anterior or head up, the patient's right on the left."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import nibabel
import numpy as np

MISSING_RGBA = (0.13, 0.15, 0.18, 1.0)
"""Colour of voxels without an estimate; on no colour scale."""


@dataclass(frozen=True)
class Window:
    """How one map is shown; the same in every report, so that two reports can be compared."""

    name: str
    """Field of the maps."""
    title: str
    """Heading of the picture."""
    unit: str
    """Unit at the colour bar."""
    low: float
    """Value at the dark end."""
    high: float
    """Value at the bright end; what lies beyond is shown alike."""
    colours: str
    """Matplotlib colour map."""


@dataclass(frozen=True)
class View:
    """Which way round the slices of a volume are shown."""

    slice_axis: int
    """Array axis that runs through the slices."""
    across_axis: int
    """Array axis shown from left to right."""
    down_axis: int
    """Array axis shown from top to bottom."""
    flip_across: bool
    """True when the array runs from right to left."""
    flip_down: bool
    """True when the array runs from bottom to top."""
    edges: tuple[str, str, str, str]
    """Letters at the left, right, top and bottom edge; empty when the orientation is not known."""
    pixel_mm: tuple[float, float]
    """Pixel size across and down, mm."""

    def plane(self, volume: np.ndarray, index: int) -> np.ndarray:
        """One slice, shape (rows, columns), first row on top."""
        image = np.take(volume, index, axis=self.slice_axis)
        if self.down_axis > self.across_axis:
            image = image.T
        image = image[::-1] if self.flip_down else image
        return image[:, ::-1] if self.flip_across else image


def choose_view(shape: tuple[int, int, int], affine: np.ndarray, *, is_orientation_known: bool = True) -> View:
    """The acquired plane in radiological convention.

    Args:
        shape: Of the volume, (x, y, z).
        affine: Voxels to RAS millimetres, shape (4, 4).
        is_orientation_known: False leaves the edges without letters.
    """
    spacing = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    codes = nibabel.aff2axcodes(affine)
    thin = [axis for axis in range(3) if shape[axis] == 1]
    slice_axis = thin[-1] if thin else max(range(3), key=lambda axis: (round(float(spacing[axis]), 3), axis))
    plane = [axis for axis in range(3) if axis != slice_axis]
    # Left-right always runs across; of the other two, head-foot always runs down.
    rank = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    across, down = sorted(plane, key=lambda axis: rank[codes[axis]])
    left = "R" if rank[codes[across]] == 0 else "A"
    top = "A" if rank[codes[down]] == 1 else "S"
    opposite = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
    return View(
        slice_axis=slice_axis,
        across_axis=across,
        down_axis=down,
        flip_across=codes[across] == left,
        flip_down=codes[down] == top,
        edges=(left, opposite[left], top, opposite[top]) if is_orientation_known else ("", "", "", ""),
        pixel_mm=(float(spacing[across]), float(spacing[down])),
    )


def _data_uri(rgba: np.ndarray) -> str:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, rgba, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture(image: np.ndarray, window: Window) -> str:
    """One slice in a window as a PNG data URI.

    Args:
        image: Shape (rows, columns); NaN is shown as missing.
        window: Its limits and colours.
    """
    from matplotlib import colormaps

    scaled = np.clip((image - window.low) / (window.high - window.low), 0, 1)
    rgba = colormaps[window.colours](np.where(np.isfinite(scaled), scaled, 0))
    rgba[~np.isfinite(image)] = MISSING_RGBA
    return _data_uri(np.round(rgba * 255).astype(np.uint8))


def colour_bar(window: Window) -> str:
    """The window's colours from low to high as a PNG data URI, 128 x 1 pixels."""
    from matplotlib import colormaps

    return _data_uri(np.round(colormaps[window.colours](np.linspace(0, 1, 128))[None] * 255).astype(np.uint8))


def outline_path(mask: np.ndarray) -> str:
    """Outline of a region along its pixels' edges as an SVG path, in pixels.

    Args:
        mask: Shape (rows, columns), bool.
    """
    padded = np.pad(mask.astype(np.int8), 1)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])
    pieces = [f"M{c} {r}h1" for r, c in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    pieces += [f"M{c} {r}v1" for r, c in zip(rows, columns, strict=True)]
    return "".join(pieces)
