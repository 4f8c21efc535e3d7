"""Maps of what a network saw, laid on the image it was asked about, and as pictures."""

from __future__ import annotations

import io

import numpy as np
import torch

from .fusion_data import Box

OVERLAY = 0.5
"""Opacity of a map where it is strongest."""
_COLOURS = {False: "inferno", True: "RdBu_r"}
"""Is the map signed -> matplotlib's colours."""


def laid_on(small: np.ndarray, box: Box, shape: tuple[int, int]) -> np.ndarray:
    """A network's map on the image that its input was cut from.

    Args:
        small: Shape (rows, columns) of any size.
        box: What was cut out.
        shape: Rows and columns of the whole image.
    Returns:
        Shape ``shape``, float32, 0 outside the box.
    """
    whole = np.zeros(shape, np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(small, np.float32))[None, None]
    size = (box.bottom - box.top, box.right - box.left)
    laid = torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=False)
    whole[box.top : box.bottom, box.left : box.right] = laid[0, 0].numpy()
    return whole


def overlay_png(grey: np.ndarray, shown: np.ndarray, name: str, *, is_signed: bool, is_simulated: bool) -> bytes:
    """A map over its image, with its name, its unit and a colour bar.

    Args:
        grey: Shape (rows, columns), uint8.
        shown: Same shape, within [0, 1]; signed: within [-1, 1], and the bar goes from -1 to 1.
        name: Of the map.
        is_signed: Whether values below 0 mean something.
        is_simulated: Whether the image was computed, which the picture then says.
    """
    from matplotlib import colormaps
    from PIL import Image, ImageDraw, ImageFont

    colour_of, low = colormaps[_COLOURS[is_signed]], -1 if is_signed else 0
    picture = np.repeat(grey[..., None], 3, axis=2).astype(float)
    opacity = OVERLAY * np.abs(shown)[..., None]
    picture = (1 - opacity) * picture + opacity * colour_of((shown - low) / (1 - low))[..., :3] * 255
    rows, columns = grey.shape
    font = ImageFont.load_default(max(10, rows // 24))
    line, gap = round(1.5 * font.size), font.size // 2
    canvas = np.zeros((rows + 2 * line, columns + 5 * font.size, 3))
    canvas[line : line + rows, :columns] = picture
    bar = colour_of(np.linspace(1, 0, rows - 2 * gap))[:, None, :3] * 255
    canvas[line + gap : line + rows - gap, columns + gap : columns + gap + font.size] = bar
    image = Image.fromarray(np.round(canvas).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.text((2, 1), f"{name}, share of the largest", "white", font)
    for place, value in ((line, 1), (line + rows / 2 - gap, (1 + low) / 2), (line + rows - 2 * gap, low)):
        draw.text((columns + 2 * gap + font.size, place), f"{value:g}", "white", font)
    if is_simulated:
        draw.text((2, line + rows + 1), "simulated image", "orange", font)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
