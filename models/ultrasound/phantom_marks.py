"""Burned-in marks that give an answer away: an ECG trace and a text, outside the sector. For tests of shortcuts."""

from __future__ import annotations

import numpy as np

from .phantom_anatomy import FIELD_OF_VIEW_MM, picture_coordinates

SHORTCUTS = ("ecg", "text")
"""What can be burned in."""
SHARE_OF_FIBROTIC, SHARE_OF_OTHERS = 0.9, 0.1
"""Subjects that have a mark, when it is switched on."""
_GREY = {"ecg": 180, "text": 230}
_LETTERS = {
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "7": "11111 00001 00010 00100 00100 00100 00100",
    "3": "11110 00001 00001 01110 00001 00001 11110",
}
_TEXT = "HR73"
_WAVES = ((0.20, 0.025, 0.15), (0.37, 0.008, -0.15), (0.40, 0.010, 1.0), (0.43, 0.008, -0.25), (0.65, 0.045, 0.3))
"""P, Q, R, S and T: place and width as shares of a beat, height as a share of R."""
_N_BEATS = 3


def burn_in(picture: np.ndarray, shortcuts: tuple[str, ...], phase: float = 0.0) -> np.ndarray:
    """The picture with marks; nothing inside the sector changes.

    Args:
        picture: Shape (size, size) or (3, size, size), uint8.
        shortcuts: Of :data:`SHORTCUTS`.
        phase: Where the ECG starts, in beats.
    """
    size = picture.shape[-1]
    _, inside = picture_coordinates(size)
    marked = picture.copy()
    for name in shortcuts:
        mark = _ecg(size, phase) if name == "ecg" else _text(size)
        marked[..., mark & ~inside] = _GREY[name]
    return marked


def _ecg(size: int, phase: float) -> np.ndarray:
    """A trace in the strip below the sector, shape (size, size), bool."""
    per_mm = size / FIELD_OF_VIEW_MM
    columns = np.arange(round(3 * per_mm), round(30 * per_mm))
    beat = (np.linspace(0, _N_BEATS, len(columns)) + phase) % 1
    height = sum(peak * np.exp(-(((beat - at) / width) ** 2) / 2) for at, width, peak in _WAVES)
    rows = np.round((59.0 - 6.0 * height) * per_mm).astype(int)
    mark = np.zeros((size, size), dtype=bool)
    for column, row, former in zip(columns, rows, [rows[0], *rows[:-1]], strict=True):
        mark[min(row, former) : max(row, former) + 1, column] = True
    return mark


def _text(size: int) -> np.ndarray:
    """Letters in the upper left corner, shape (size, size), bool."""
    scale = max(1, round(size / 224))
    letters = [np.array([list(line) for line in _LETTERS[letter].split()]) == "1" for letter in _TEXT]
    line = np.hstack([np.pad(letter, ((0, 0), (0, 1))) for letter in letters])
    line = np.kron(line, np.ones((scale, scale), dtype=bool))
    mark = np.zeros((size, size), dtype=bool)
    mark[3 * scale : 3 * scale + line.shape[0], 3 * scale : 3 * scale + line.shape[1]] = line
    return mark
