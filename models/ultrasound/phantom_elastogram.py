"""Simulated shear-wave elastograms: a stiffness field in a box over the liver, with dropout, drawn in colour."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..io.ultrasound_manifest import Box, ElastogramScale
from .phantom_anatomy import FIELD_OF_VIEW_MM, LIVER, TOP_MM, Anatomy

SCALE = ElastogramScale(low=0, high=20, unit="kPa", colormap="jet", opacity=0.6)
"""Of every simulated elastogram."""
BOX_MM = (11.0, 15.0)
"""Height and width of the elasticity box."""
_FRAME_LOG_STD = 0.06
"""Between elastograms of one subject."""
_FIELD_LOG_STD = 0.12
"""Inside one elastogram."""
_FIELD_STD_MM = 1.5
"""Of the Gaussian that smooths the field: shear waves of 100 to 300 Hz resolve no less."""
_DROPOUT = (0.04, 0.004)
"""Share of the box without a value: without fat, and more for each percent of fat."""
_DROPOUT_STD_MM = 0.8
_INSIDE_SCALE = (0.5, 19.5)
"""Where the colours of jet are one to one, kPa."""


def elasticity_box(anatomy: Anatomy, frame: np.random.Generator, size: int) -> Box:
    """Where the examiner puts the box: beside the middle beam, half a centimetre below the wall, left of the kidney.

    Args:
        anatomy: Says where the wall ends.
        frame: Draws, of this frame.
        size: Rows of the picture.
    """
    per_mm = size / FIELD_OF_VIEW_MM
    top = round((TOP_MM + 2.0 + anatomy.wall_mm + frame.uniform(5.0, 8.0)) * per_mm)
    left = round((FIELD_OF_VIEW_MM / 2 - 10.0 + frame.uniform(-2.0, 2.0)) * per_mm)
    return top, left, top + round(BOX_MM[0] * per_mm), left + round(BOX_MM[1] * per_mm)


def stiffness_field(
    median_kpa: float, organs: np.ndarray, box: Box, fat_percent: float, frame: np.random.Generator
) -> np.ndarray:
    """Young's modulus as a scanner would map it.

    Args:
        median_kpa: Of the subject; each elastogram has its own median, log-normal about it with 6 %.
        organs: The picture's organ map, shape (rows, columns).
        box: The elasticity box.
        fat_percent: Of the liver; with more of it fewer shear waves are tracked.
        frame: Draws, of this frame.
    Returns:
        Shape (rows, columns), float32, kPa; NaN outside the box, where it holds no liver, and where waves were lost.
    """
    top, left, bottom, right = box
    per_mm = organs.shape[0] / FIELD_OF_VIEW_MM
    shape = (bottom - top, right - left)
    own = median_kpa * np.exp(_FRAME_LOG_STD * frame.standard_normal())
    values = own * np.exp(_FIELD_LOG_STD * _smooth(shape, _FIELD_STD_MM * per_mm, frame))
    lost = _smooth(shape, _DROPOUT_STD_MM * per_mm, frame)
    share = _DROPOUT[0] + _DROPOUT[1] * fat_percent
    is_measured = (organs[top:bottom, left:right] == LIVER) & (lost < np.quantile(lost, 1 - share))
    # Divided by its own median, so that the median of what is shown is the stated one.
    values *= own / np.median(values[is_measured])
    field = np.full(organs.shape, np.nan, dtype=np.float32)
    field[top:bottom, left:right] = np.where(is_measured, np.clip(values, *_INSIDE_SCALE), np.nan)
    return field


def overlay(b_mode: np.ndarray, stiffness_kpa: np.ndarray) -> np.ndarray:
    """The picture of an elastogram: opacity · colour + (1 - opacity) · grey; grey alone where there is no value.

    Args:
        b_mode: Shape (rows, columns), uint8.
        stiffness_kpa: Same shape, NaN where nothing was measured.
    Returns:
        Shape (3, rows, columns), uint8.
    """
    from matplotlib import colormaps

    is_measured = np.isfinite(stiffness_kpa)
    steps = np.round((stiffness_kpa[is_measured] - SCALE.low) / (SCALE.high - SCALE.low) * 255).astype(int)
    colours = colormaps[SCALE.colormap](steps)[:, :3].T * 255
    picture = np.repeat(b_mode[None], 3, axis=0).astype(np.float64)
    picture[:, is_measured] = SCALE.opacity * colours + (1 - SCALE.opacity) * picture[:, is_measured]
    return np.round(picture).astype(np.uint8)


def _smooth(shape: tuple[int, int], std_pixels: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth Gaussian field of standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), std_pixels, mode="wrap")
    return (field - field.mean()) / field.std()
