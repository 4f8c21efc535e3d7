"""How bright the liver is beside the kidney, and how fast it darkens with depth: what fat does to B-mode.

Grey levels are taken as the scanner log-compressed them. Both measures need regions that a reader, or a phantom, gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError

MIN_PIXELS = 25
"""Fewer give a mean that speckle decides."""
MIN_ROWS = 8
"""Fewer depths give a slope that speckle decides."""
MAX_CLIPPED_SHARE = 0.25
"""Of a region's pixels at grey level 0 or 255: what is masked or saturated tells nothing of brightness."""
MAX_GREY = 255


@dataclass(frozen=True)
class AttenuationSlope:
    """How much darker the liver gets with each centimetre of depth."""

    value: float
    """Loss a centimetre, positive where deep tissue is darker; in :attr:`unit`."""
    std: float
    """Standard error of the fit, same unit; neighbouring rows are not independent, so it is a lower bound."""
    unit: str
    """``dB/cm`` where the dynamic range is known, ``grey levels/cm`` where it is not."""
    n_rows: int
    """Depths the line was fitted to."""


def hepatorenal_index(b_mode: np.ndarray, liver: np.ndarray, kidney: np.ndarray) -> float:
    """Mean grey level of the liver over that of the renal cortex.

    Args:
        b_mode: Grey, shape (rows, columns).
        liver: Region of liver at the depth of the kidney, same shape, bool.
        kidney: Region of renal cortex, same shape, bool.
    Returns:
        The ratio; above 1 the liver is the brighter.
    Raises:
        UnsuitableInputError: a region too small, overlapping the other, mostly black or saturated.
    Source: Byra M et al., Int J CARS 2018, 10.1007/s11548-018-1843-2.
    """
    levels = _pixels(b_mode, liver, "liver").mean(), _pixels(b_mode, kidney, "kidney").mean()
    if (np.asarray(liver, bool) & np.asarray(kidney, bool)).any():
        raise UnsuitableInputError(
            "The hepatorenal index needs two regions apart; liver and kidney overlap. Draw anew."
        )
    return float(levels[0] / levels[1])


def hepatorenal_difference_db(
    b_mode: np.ndarray, liver: np.ndarray, kidney: np.ndarray, dynamic_range_db: float
) -> float:
    """Echo level of the liver over that of the kidney in decibels, (mean liver - mean kidney)·range/255.

    Args:
        b_mode: Grey, shape (rows, columns), log-compressed.
        liver: Same shape, bool.
        kidney: Same shape, bool.
        dynamic_range_db: Decibels that the grey levels 0 to 255 span.
    Raises:
        UnsuitableInputError: as :func:`hepatorenal_index`, or a range that is not positive.
    """
    step = _decibels_a_level(dynamic_range_db)
    return float((_pixels(b_mode, liver, "liver").mean() - _pixels(b_mode, kidney, "kidney").mean()) * step)


def attenuation_slope(
    b_mode: np.ndarray, liver: np.ndarray, row_spacing_mm: float, dynamic_range_db: float | None = None
) -> AttenuationSlope:
    """Loss of brightness with depth: a straight line through the mean grey level of each row of the region.

    Rows weigh by their pixels. The scanner's gain over depth is in it: compare images of one setting only.

    Args:
        b_mode: Grey, shape (rows, columns), rows downwards with depth, log-compressed.
        liver: Region without large vessels, same shape, bool.
        row_spacing_mm: Distance between rows, mm.
        dynamic_range_db: Decibels that the grey levels 0 to 255 span; None: not known.
    Raises:
        UnsuitableInputError: a region too small or too flat, mostly black or saturated; a spacing or a range that is
            not positive.
    """
    if not np.isfinite(row_spacing_mm) or row_spacing_mm <= 0:
        raise UnsuitableInputError(
            f"An attenuation slope needs the distance between rows in mm; found {row_spacing_mm:g}. Calibrate the "
            "image."
        )
    _pixels(b_mode, liver, "liver")
    step = 1.0 if dynamic_range_db is None else _decibels_a_level(dynamic_range_db)
    liver = np.asarray(liver, bool)
    counts = liver.sum(axis=1)
    rows = np.flatnonzero(counts)
    if rows.size < MIN_ROWS:
        raise UnsuitableInputError(
            f"An attenuation slope needs a liver region of {MIN_ROWS} rows at least; found {rows.size}. Draw it taller."
        )
    level = np.where(liver, b_mode, 0).sum(axis=1)[rows] / counts[rows]
    depth_cm, weight = rows * row_spacing_mm / 10, counts[rows] / counts.sum()
    centred = depth_cm - weight @ depth_cm
    spread = weight @ centred**2
    slope = weight @ (centred * level) / spread
    residual = level - weight @ level - slope * centred
    std = np.sqrt(weight @ residual**2 / spread / (rows.size - 2))
    unit = "grey levels/cm" if dynamic_range_db is None else "dB/cm"
    return AttenuationSlope(float(-slope * step), float(std * step), unit, int(rows.size))


def _pixels(b_mode, region, name):
    b_mode, region = np.asarray(b_mode), np.asarray(region, bool)
    if b_mode.ndim != 2 or region.shape != b_mode.shape:
        raise UnsuitableInputError(
            f"A {name} region needs the shape of its grey image; found {region.shape} for {b_mode.shape}. Draw it on "
            "this image."
        )
    values = b_mode[region].astype(float)
    if values.size < MIN_PIXELS:
        raise UnsuitableInputError(
            f"A {name} region needs {MIN_PIXELS} pixels at least; found {values.size}. Draw it larger."
        )
    clipped = float(((values <= 0) | (values >= MAX_GREY)).mean())
    if clipped > MAX_CLIPPED_SHARE:
        raise UnsuitableInputError(
            f"A {name} region needs tissue that is neither black nor saturated; {clipped:.0%} of its pixels are. Move "
            "it, or take an image of another gain."
        )
    return values


def _decibels_a_level(dynamic_range_db):
    if not np.isfinite(dynamic_range_db) or dynamic_range_db <= 0:
        raise UnsuitableInputError(f"A dynamic range needs positive decibels; found {dynamic_range_db:g}. Correct it.")
    return dynamic_range_db / MAX_GREY
