"""Shear-wave elastograms: colours inverted to Young's modulus by their colour bar.

The picture of an elastogram is opacity · colour + (1 - opacity) · grey, with the colours of a bar that stands for
values from low to high. What lies off the bar (grey where nothing was measured, text, cursors) is NaN, never a value.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from ..errors import UnsuitableInputError
from ..io.ultrasound_manifest import Box, ElastogramScale

__all__ = ["ElastogramScale", "bar_colours", "check_stiffness", "stiffness_map", "to_kpa"]

_N_COLOURS = 256
_STEPS_BETWEEN = 16
"""Points of the search between two colours of the bar."""
_TOLERANCE = 24.0
"""Distance from the bar up to which a pixel is on it, RGB levels (0-255) of the opaque colour."""
_SAME_COLOUR = 1e-3
"""Between two points of the bar, RGB levels."""
_MIN_CHROMA = 24.0
"""A pixel with less is grey, RGB levels."""
_MIN_SHARE_ON_BAR = 0.5
"""Of the coloured pixels; with fewer the bar is another one."""
_KPA_PER_PA = 1e-3
_GREY_AXIS = np.ones(3) / np.sqrt(3)
_PLAUSIBLE_KPA = {"rat": (1.8, 40.0), "human": (1.8, 75.0), None: (1.8, 75.0)}
"""Median Young's modulus of a liver, kPa: healthy livers have 2 to 7, the stiffest that scanners measure 75; cirrhotic
rats stay below 40. A speed of 0.8 to 1.8 m/s, which is what most livers have, read as kPa lies below."""


def to_kpa(values: np.ndarray, scale: ElastogramScale) -> np.ndarray:
    """Young's modulus of values in the unit of the scale.

    E = 3ρc²

    Args:
        values: Any shape, in ``scale.unit``.
        scale: Says the unit, and the density.
    Returns:
        Same shape, kPa.
    Source: Bercoff et al. 2004, doi:10.1109/TUFFC.2004.1295425, for incompressible elastic tissue.
    """
    if scale.unit == "kPa":
        return np.asarray(values)
    return 3 * scale.density_kg_per_m3 * np.square(values) * _KPA_PER_PA


def bar_colours(scale: ElastogramScale, rgb: np.ndarray) -> np.ndarray:
    """The colours of the bar from low to high, shape (n, 3), 0 to 255.

    Args:
        scale: Names a colour map, or says where the bar is in the picture.
        rgb: The picture, shape (3, rows, columns), uint8.
    Raises:
        UnsuitableInputError: the bar lies outside the picture, or is grey.
    """
    if scale.colormap is not None:
        from matplotlib import colormaps

        return colormaps[scale.colormap](np.linspace(0, 1, _N_COLOURS))[:, :3] * 255
    top, left, bottom, right = _inside(scale.bar, rgb, "The colour bar")
    bar = rgb[:, top:bottom, left:right].astype(float)
    is_vertical = bottom - top >= right - left
    across = bar.shape[2 if is_vertical else 1]
    # The middle half of the bar: its frame and tick marks are at the edges.
    middle = slice(across // 4, max(across - across // 4, across // 4 + 1))
    colours = np.median(bar[:, :, middle], axis=2)[:, ::-1] if is_vertical else np.median(bar[:, middle], axis=1)
    chroma = np.ptp(colours, axis=0)
    if colours.shape[1] < 8 or np.mean(chroma > _MIN_CHROMA) < 0.8:
        raise UnsuitableInputError(
            f"A colour bar needs at least 8 pixels of colour along it; rectangle {list(scale.bar)} holds "
            f"{int((chroma > _MIN_CHROMA).sum())} of {colours.shape[1]}. Correct the rectangle, without frame and text."
        )
    return colours.T


def stiffness_map(
    rgb: np.ndarray,
    scale: ElastogramScale | None,
    box: Box | None = None,
    *,
    background: np.ndarray | None = None,
    tolerance: float = _TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Young's modulus of each pixel of an elastogram, from its colour.

    An opaque colour is the nearest on the bar. Through a transparent overlay the grey below is not known, so that only
    the chroma (the part across the grey axis) is compared: chroma(pixel) = opacity · chroma(colour).

    Args:
        rgb: The picture, shape (3, rows, columns), uint8.
        scale: The colour bar and its values; None is refused.
        box: The elasticity box; None: the largest coloured patch whose colours are on the bar.
        background: The grey picture below, shape (rows, columns), where it is known.
        tolerance: How far from the bar a colour may be, RGB levels; less for a bar of weak colours.
    Returns:
        Stiffness, shape (rows, columns), float32, kPa, NaN outside the box and where the colour is off the bar; and
        the distance from the bar, shape (rows, columns), float32, RGB levels of the opaque colour, NaN outside the box.
    Raises:
        UnsuitableInputError: no scale, a box outside the picture, no colour in it, or colours of another bar.
    """
    if scale is None:
        raise UnsuitableInputError(
            "Reading an elastogram needs its scale: the lowest and highest value of the colour bar, the unit (kPa or "
            "m/s) and the colours; none is stated. State it in ultrasound.json, as numbers beside the bar."
        )
    if rgb.ndim != 3 or rgb.shape[0] != 3:
        raise ValueError(f"an elastogram has the shape (3, rows, columns); found {rgb.shape}")
    colours = bar_colours(scale, rgb)
    mask = np.zeros(rgb.shape[1:], dtype=bool)
    top, left, bottom, right = _inside(box, rgb, "The elasticity box") if box else (0, 0, *mask.shape)
    mask[top:bottom, left:right] = True
    if scale.bar is not None:
        mask[scale.bar[0] : scale.bar[2], scale.bar[1] : scale.bar[3]] = False
    opacity = scale.opacity if scale.opacity is not None else _estimated_opacity(rgb[:, mask].T, colours)
    grey = None if background is None else background[mask].astype(float)
    position, distance = _nearest(rgb[:, mask].T, colours, opacity, grey)
    chroma = np.linalg.norm(_across_grey(colours), axis=1).min()
    is_on_bar = distance <= min(tolerance, chroma / 2)
    _check_colours(rgb[:, mask].T, is_on_bar, scale)
    value = scale.low + position * (scale.high - scale.low)
    stiffness = np.full(mask.shape, np.nan, dtype=np.float32)
    residual = np.full(mask.shape, np.nan, dtype=np.float32)
    residual[mask] = distance
    stiffness[mask] = np.where(is_on_bar, to_kpa(value, scale), np.nan)
    if box is None:
        patch = _largest(np.isfinite(stiffness))
        stiffness[~patch] = np.nan
        residual[~patch] = np.nan
    return stiffness, residual


def check_stiffness(stiffness_kpa: np.ndarray, scale: ElastogramScale, species: str | None = None) -> None:
    """Refuse values that no liver has: their unit is another one.

    Args:
        stiffness_kpa: Any shape, kPa, NaN where nothing was measured.
        scale: Says the unit that was declared.
        species: rat or human; None: either.
    Raises:
        UnsuitableInputError: the median is not that of a liver.
    """
    values = stiffness_kpa[np.isfinite(stiffness_kpa)]
    if not values.size:
        return
    middle = float(np.median(values))
    low, high = _PLAUSIBLE_KPA[species]
    if low <= middle <= high:
        return
    shown = middle if scale.unit == "kPa" else np.sqrt(middle / (3 * scale.density_kg_per_m3 * _KPA_PER_PA))
    other = "m/s" if scale.unit == "kPa" else "kPa"
    raise UnsuitableInputError(
        f"The stiffness of a liver needs a median of {low:g} to {high:g} kPa; this elastogram has {middle:.3g} kPa "
        f"(median {shown:.3g} {scale.unit} as declared). The unit is likely {other}: correct unit, low and high of "
        "its scale."
    )


def _nearest(
    pixels: np.ndarray, colours: np.ndarray, opacity: float, grey: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Place along the bar, 0 to 1, and distance from it in levels of the opaque colour, each shape (n_pixels,)."""
    steps = np.linspace(0, len(colours) - 1, (len(colours) - 1) * _STEPS_BETWEEN + 1)
    line = np.stack([np.interp(steps, np.arange(len(colours)), channel) for channel in colours.T], axis=1)
    # Where the bar keeps one colour for several steps, as jet does at pure blue and red, the middle of them is meant.
    run = np.concatenate([[0], np.cumsum(np.abs(np.diff(line, axis=0)).max(axis=1) > _SAME_COLOUR)])
    steps = np.bincount(run, steps) / np.bincount(run)
    line = line[np.unique(run, return_index=True)[1]]
    if opacity < 1 and grey is not None:
        distance, index = KDTree(line * opacity).query(pixels - (1 - opacity) * grey[:, None])
    else:
        # Each colour is looked up once: a picture has far fewer colours than pixels.
        codes, inverse = np.unique(pixels.astype(np.int64) @ (1 << 16, 1 << 8, 1), return_inverse=True)
        pixels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(float)
        if opacity < 1:
            line, pixels = _across_grey(line), _across_grey(pixels)
        distance, index = KDTree(line * opacity).query(pixels)
        distance, index = distance[inverse], index[inverse]
    return steps[index] / (len(colours) - 1), distance / opacity


def _across_grey(colours: np.ndarray) -> np.ndarray:
    """The part of colours, shape (n, 3), that is across the grey axis R = G = B."""
    return colours - (colours @ _GREY_AXIS)[:, None] * _GREY_AXIS


def _estimated_opacity(pixels: np.ndarray, colours: np.ndarray) -> float:
    """Opacity of the overlay: median of |chroma(pixel)| / |chroma(colour of the same hue)|.

    Hues that stand for several strengths of colour, as at the ends of a rainbow, say nothing and are left out.
    """
    chroma = _across_grey(pixels.astype(float))
    strength = np.linalg.norm(chroma, axis=1)
    chroma, strength = chroma[strength > _MIN_CHROMA], strength[strength > _MIN_CHROMA]
    bar = _across_grey(colours)
    bar_strength = np.linalg.norm(bar, axis=1)
    bar_hue = bar / np.maximum(bar_strength, 1e-9)[:, None]
    alike = bar_hue @ bar_hue.T > np.cos(np.deg2rad(2))
    ratio = np.where(alike, bar_strength[:, None] / np.maximum(bar_strength, 1e-9), 1)
    is_telling = (ratio.max(axis=0) < 1.1) & (ratio.min(axis=0) > 0.9)
    if not len(chroma) or not is_telling.any():
        return 1.0
    distance, index = KDTree(bar_hue[is_telling]).query(chroma / strength[:, None])
    usable = distance < np.deg2rad(3)
    if usable.sum() < 16:
        raise UnsuitableInputError(
            "The opacity of an elastogram can be estimated where its hues are those of the bar; too few are. State "
            "opacity in its scale."
        )
    return float(np.clip(np.median(strength[usable] / bar_strength[is_telling][index[usable]]), 0.1, 1))


def _check_colours(pixels: np.ndarray, is_on_bar: np.ndarray, scale: ElastogramScale) -> None:
    coloured = np.ptp(pixels.astype(int), axis=1) > _MIN_CHROMA
    bar = scale.colormap or f"in rectangle {list(scale.bar)}"
    if not (coloured & is_on_bar).any():
        raise UnsuitableInputError(
            f"An elastogram needs colours of its bar ({bar}) in its box; none of {len(pixels)} pixels has one. Correct "
            "the box, the colour bar or the opacity."
        )
    share = is_on_bar[coloured].mean()
    if share < _MIN_SHARE_ON_BAR:
        raise UnsuitableInputError(
            f"At least {_MIN_SHARE_ON_BAR:.0%} of the coloured pixels of an elastogram need to be on its bar ({bar}); "
            f"{share:.0%} are. Correct the colour bar or the opacity."
        )


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest patch of a mask, small gaps bridged."""
    labels, n_patches = ndimage.label(ndimage.binary_closing(mask, np.ones((5, 5)), border_value=0) | mask)
    if not n_patches:
        return mask
    return labels == np.bincount(labels[labels > 0]).argmax()


def _inside(box: Box, rgb: np.ndarray, what: str) -> Box:
    rows, columns = rgb.shape[1:]
    if not (0 <= box[0] < box[2] <= rows and 0 <= box[1] < box[3] <= columns):
        raise UnsuitableInputError(
            f"{what} needs to lie in the picture of {rows} x {columns} pixels; found [top, left, bottom, right] = "
            f"{list(box)}. Correct it."
        )
    return box
