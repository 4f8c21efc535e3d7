"""Semantic maps of frames: five classes of brightness, which stand for what tissue a place is.

The paper thresholds frames by Otsu's method and halves them; how many thresholds it takes, and how its maps are
distorted for sampling, is in SPECS section 2.

Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z (Latent diffusion models); Otsu N, IEEE Trans Syst Man
Cybern 1979, 10.1109/TSMC.1979.4310076.
"""

from __future__ import annotations

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..ultrasound.frames import Crops
from .ldm_options import N_MAP_CLASSES

MAX_DISTORTION = 0.02
"""Standard deviation of a node's move, share of the side: more tears anatomy."""
N_NODES = 4
"""Of the grid of a distortion, along each side."""


def otsu_levels(image: np.ndarray, n_classes: int = N_MAP_CLASSES) -> np.ndarray:
    """First grey level of each class but the lowest, where the variance between classes is greatest.

    The sum over classes of (sum of levels)^2 / (number of pixels) is greatest there. It is built up class by class,
    which is exact and takes 256^2 steps a class; trying all sets of four thresholds takes 256^4 / 24.

    Args:
        image: Any shape, uint8.
        n_classes: 2 or more.
    Returns:
        Increasing levels, shape (n_classes - 1,).
    Raises:
        UnsuitableInputError: fewer grey levels than classes.
    """
    counts = np.bincount(image.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    if levels.size < n_classes:
        raise UnsuitableInputError(
            f"A semantic map needs {n_classes} grey levels in a frame; found {levels.size}. Leave that frame out."
        )
    pixels, sums = (np.concatenate([[0.0], np.cumsum(v)]) for v in (counts[levels], (counts * np.arange(256))[levels]))
    n = np.subtract.outer(pixels, pixels).T  # Of the levels from row to column.
    gain = np.where(n > 0, np.subtract.outer(sums, sums).T ** 2 / np.where(n > 0, n, 1), -np.inf)
    best, cuts = gain[0], []
    for _ in range(n_classes - 1):
        total = best[:, None] + gain
        cuts.append(total.argmax(0))
        best = total.max(0)
    found, end = [], levels.size
    for cut in reversed(cuts):
        end = int(cut[end])
        found.append(levels[end])
    return np.array(found[::-1])


def semantic_maps(images: np.ndarray) -> np.ndarray:
    """Brightness class of each second pixel: multi-Otsu with four thresholds, frame by frame.

    Args:
        images: Shape (n, side, side), uint8.
    Returns:
        Classes 0 to 4, shape (n, side / 2, side / 2), uint8.
    Raises:
        UnsuitableInputError: a frame with fewer than five grey levels.
    """
    return np.stack([np.digitize(image, otsu_levels(image))[::2, ::2] for image in images]).astype(np.uint8)


def crop_maps(maps: np.ndarray, crops: Crops, side: int) -> np.ndarray:
    """What a random crop sees of maps: the nearest class.

    Args:
        maps: Shape (n, rows, rows), uint8.
        crops: One a map.
        side: Rows, and columns, of the result.
    Returns:
        Shape (n, side, side), uint8.
    """
    n, centres = maps.shape[1], (np.arange(side) + 0.5) / side
    rows, columns = (
        np.clip(((start[:, None] + size[:, None] * centres) * n).astype(np.intp), 0, n - 1)
        for start, size in ((crops.top, crops.height), (crops.left, crops.width))
    )
    return maps[np.arange(len(maps))[:, None, None], rows[:, :, None], columns[:, None, :]]


def distort_map(one: np.ndarray, rng: np.random.Generator, scale: float = MAX_DISTORTION) -> np.ndarray:
    """A weak piecewise affine distortion: the nodes of a grid move at random, and what lies between with them.

    Args:
        one: Classes, shape (side, side), uint8.
        rng: Draws the moves.
        scale: Their standard deviation, share of the side, 0 to :data:`MAX_DISTORTION`.
    Returns:
        Shape (side, side), uint8.
    """
    from skimage.transform import PiecewiseAffineTransform, warp

    if not 0 <= scale <= MAX_DISTORTION:
        raise ValueError(f"A distortion needs a scale from 0 to {MAX_DISTORTION}; found {scale}.")
    side = one.shape[0]
    line = np.linspace(0, side - 1, N_NODES)
    nodes = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    moved = nodes + rng.normal(0, scale * side, nodes.shape)
    transform = PiecewiseAffineTransform.from_estimate(nodes, moved)
    return warp(one, transform, order=0, mode="edge", preserve_range=True).astype(np.uint8)


def one_hot(maps: np.ndarray) -> torch.Tensor:
    """Maps as the network reads them: shape (n, 5, side, side), float32."""
    return torch.nn.functional.one_hot(torch.from_numpy(maps).long(), N_MAP_CLASSES).permute(0, 3, 1, 2).float()
