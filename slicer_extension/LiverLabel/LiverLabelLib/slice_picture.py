"""One slice of a map as a PNG: the patient's right on the left, the outline of a region drawn over it, a colour bar."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .geometry import voxel_sides_mm

MISSING = (33, 38, 46)
"""Colour of voxels without an estimate; on no colour scale."""
OUTLINE = (60, 220, 255)
Colours = Sequence[tuple[int, int, int]]
"""Steps of a colour scale, red, green and blue from 0 to 255."""
_ACROSS_AND_DOWN = {2: ((-1, 0, 0), (0, -1, 0)), 1: ((-1, 0, 0), (0, 0, -1)), 0: ((0, -1, 0), (0, 0, -1))}
"""World axis across the slice -> directions in RAS that run across and down the picture."""
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""World axis -> letters of its lower and its upper end."""


@dataclass(frozen=True)
class Picture:
    """A picture for a page."""

    png: bytes
    """The file."""
    size: tuple[int, int]
    """(columns, rows)."""
    edges: tuple[str, str, str, str]
    """Letters at the left, right, top and bottom edge: R, L, A, P, S or I."""


@dataclass(frozen=True)
class _View:
    """Which way round a volume's slices are shown."""

    axis: int
    across: int
    down: int
    is_across_flipped: bool
    is_down_flipped: bool
    edges: tuple[str, str, str, str]
    pixel_mm: tuple[float, float]

    def plane(self, volume: np.ndarray, index: int) -> np.ndarray:
        """A slice, shape (rows, columns)."""
        plane = np.take(volume, index, axis=self.axis)
        plane = plane.T if self.down > self.across else plane
        plane = plane[::-1] if self.is_down_flipped else plane
        return plane[:, ::-1] if self.is_across_flipped else plane


def slice_axis(affine: np.ndarray) -> int:
    """The axis that runs through the slices: the one of the longest voxel side, the last where several are."""
    sides = voxel_sides_mm(affine)
    return int(np.flatnonzero(np.isclose(sides, sides.max(), rtol=1e-3))[-1])


def middle_slice(mask: np.ndarray, axis: int) -> int:
    """The slice in the middle of a region that holds some of it; the volume's middle where it is empty."""
    slices = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return int(slices[len(slices) // 2]) if slices.size else mask.shape[axis] // 2


def slice_picture(
    values: np.ndarray,
    affine: np.ndarray,
    index: int,
    window: tuple[float, float],
    colours: Colours,
    mask: np.ndarray | None = None,
    longest_px: int = 640,
) -> Picture:
    """Draw one slice square on, its pixels square.

    Args:
        values: A map, shape (x, y, z); what is not finite has the colour ``MISSING``.
        affine: Index to world millimetres, RAS+, shape (4, 4).
        index: Of the slice along :func:`slice_axis`.
        window: (low, high) ends of the colour scale, unit of the map.
        colours: Steps of the scale.
        mask: Region whose outline is drawn, the same shape; None: none.
        longest_px: Of the longer side of the picture.
    """
    view = _view(affine)
    plane = view.plane(values, index)
    height_mm, width_mm = plane.shape[0] * view.pixel_mm[1], plane.shape[1] * view.pixel_mm[0]
    scale = longest_px / max(height_mm, width_mm)
    n_rows, n_columns = max(round(height_mm * scale), 1), max(round(width_mm * scale), 1)
    rows = np.arange(n_rows) * plane.shape[0] // n_rows
    columns = np.arange(n_columns) * plane.shape[1] // n_columns
    pixels = coloured(plane, window, colours)[rows[:, None], columns]
    if mask is not None:
        inside = np.asarray(view.plane(mask, index), bool)[rows[:, None], columns]
        pixels[inside & ~_eroded(_eroded(inside))] = OUTLINE
    return Picture(png_bytes(pixels), (n_columns, n_rows), view.edges)


def colour_bar(colours: Colours, width_px: int = 18, height_px: int = 256) -> Picture:
    """The colour scale from its high end on top to its low end."""
    scale = np.repeat(np.linspace(1, 0, height_px)[:, None], width_px, axis=1)
    return Picture(png_bytes(coloured(scale, (0, 1), colours)), (width_px, height_px), ("", "", "", ""))


def coloured(values: np.ndarray, window: tuple[float, float], colours: Colours) -> np.ndarray:
    """Values as red, green and blue, shape (..., 3), uint8; beyond the window the ends of the scale are taken."""
    low, high = window
    steps = np.asarray(colours, float)
    with np.errstate(invalid="ignore"):
        share = np.clip((np.asarray(values, float) - low) / (high - low), 0, 1) * (len(steps) - 1)
    is_known = np.isfinite(share) & np.isfinite(values)
    share = np.where(is_known, share, 0)
    pixels = np.stack([np.interp(share, np.arange(len(steps)), steps[:, i]) for i in range(3)], axis=-1)
    pixels[~is_known] = MISSING
    return np.rint(pixels).astype(np.uint8)


def png_bytes(pixels: np.ndarray) -> bytes:
    """A PNG of red, green and blue, shape (rows, columns, 3), uint8. Source: PNG specification, W3C REC-PNG."""
    n_rows, n_columns, _ = pixels.shape
    lines = np.concatenate([np.zeros((n_rows, 1), np.uint8), pixels.reshape(n_rows, -1)], axis=1)
    head = struct.pack(">2I5B", n_columns, n_rows, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _view(affine: np.ndarray) -> _View:
    sides = voxel_sides_mm(affine)
    directions = np.asarray(affine, float)[:3, :3] / sides
    axis = slice_axis(affine)
    across, down = (one for one in range(3) if one != axis)
    normal = np.cross(directions[:, across], directions[:, down])
    to_right, to_bottom = map(np.array, _ACROSS_AND_DOWN[int(np.abs(normal).argmax())])
    straight = abs(directions[:, across] @ to_right) + abs(directions[:, down] @ to_bottom)
    if straight < abs(directions[:, down] @ to_right) + abs(directions[:, across] @ to_bottom):
        across, down = down, across
    flips = bool(directions[:, across] @ to_right < 0), bool(directions[:, down] @ to_bottom < 0)
    # Where the picture's directions end in the patient: their largest world axis.
    letters = []
    for direction, is_flipped in ((directions[:, across], flips[0]), (directions[:, down], flips[1])):
        world = int(np.abs(direction).argmax())
        is_rising = (direction[world] > 0) != is_flipped
        letters += _LETTERS[world] if is_rising else _LETTERS[world][::-1]
    return _View(axis, across, down, *flips, tuple(letters), (sides[across], sides[down]))


def _eroded(mask: np.ndarray) -> np.ndarray:
    """A mask without the pixels that touch its outside or the picture's edge."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
