"""Which pictures show the same thing: a 64-bit hash of coarse structure that survives resizing, gain and JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError

MAX_DISTANCE = 10
"""Bits of 64 in which two hashes of one picture may differ; unrelated pictures differ in 32 ± 4."""
MIN_CORRELATION = 0.85
"""Of the coefficients that the bits are taken from and finer ones. The bits alone ignore how strong a structure is:
pictures that share weak artefacts of geometry could pass."""
_SIDE = 32
"""Pixels a side of the thumbnail."""
_BITS = slice(1, 9)
"""Frequencies of the hash along either axis; not 0, which holds gain across depth and shading."""
_DETAIL = slice(1, 17)
"""Frequencies of the correlation."""
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class PerceptualHash:
    """Coarse structure of one picture."""

    bits: np.uint64
    """Signs of 64 coefficients of the discrete cosine transform."""
    detail: np.ndarray
    """Coefficients divided by their root of summed squares, shape (256,), float32; zeros for a picture without any."""


def perceptual_hash(image: np.ndarray, mask: np.ndarray | None = None) -> PerceptualHash:
    """Hash the tissue of a picture.

    The box around the mask is averaged to 32 x 32 pixels; each row less its own mean, since gain over depth is common
    to all pictures of a scanner; outside the mask 0, so that the shape of the sector counts little. The signs of the
    DCT coefficients (1..8, 1..8) are the bits.

    Args:
        image: Grey, shape (rows, columns).
        mask: Same shape, bool; None or all False: the whole picture.
    Raises:
        UnsuitableInputError: the image is not a plane of pixels.
    Source: Zauner 2010, Implementation and benchmarking of perceptual image hash functions, section 3.2.1 (DCT hash).
    """
    from PIL import Image
    from scipy.fft import dctn

    image = np.asarray(image)
    if image.ndim != 2 or not image.size:
        raise UnsuitableInputError(
            f"A perceptual hash needs a grey image of rows and columns; found the shape {image.shape}. Convert it."
        )
    if mask is None or not mask.any():
        mask = np.ones(image.shape, dtype=bool)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    weight = mask[box].astype(np.float32)
    small = [
        np.asarray(Image.fromarray(plane).resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)
        for plane in (image[box].astype(np.float32) * weight, weight)
    ]
    inside = small[1] > 0.5
    values = np.divide(small[0], small[1], out=np.zeros_like(small[0]), where=inside)
    row_means = values.sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    coefficients = dctn(np.where(inside, values - row_means, 0), norm="ortho")
    signs = (coefficients[_BITS, _BITS] > 0).ravel()
    detail = coefficients[_DETAIL, _DETAIL].ravel()
    norm = np.linalg.norm(detail)
    # Below, what is left is rounding of a flat picture.
    detail = detail / norm if norm > 1e-3 * _SIDE else np.zeros_like(detail)
    return PerceptualHash(np.packbits(signs).view(np.uint64)[0], detail.astype(np.float32))


def hamming_distance(one: PerceptualHash, other: PerceptualHash) -> int:
    """Bits in which two hashes differ, 0 to 64."""
    return int(np.bitwise_count(one.bits ^ other.bits))


def duplicate_groups(
    hashes: Sequence[PerceptualHash], *, max_distance: int = MAX_DISTANCE, min_correlation: float = MIN_CORRELATION
) -> list[list[int]]:
    """Pictures that show the same thing, also by way of a third.

    All pairs are compared, a block of rows at a time: memory grows with n, and 5,000 pictures take about a second.

    Args:
        hashes: Of :func:`perceptual_hash`.
        max_distance: Bits that may differ.
        min_correlation: Of :attr:`PerceptualHash.detail`.
    Returns:
        Groups of at least two, increasing indices, in the order of their first.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if len(hashes) < 2:
        return []
    bits = np.array([item.bits for item in hashes], dtype=np.uint64)
    detail = np.stack([item.detail for item in hashes])
    n = len(hashes)
    group = np.arange(n)
    for start in range(0, n, _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        near = np.bitwise_count(bits[block, None] ^ bits[None, start:]) <= max_distance
        near &= detail[block] @ detail[start:].T >= min_correlation
        one, other = np.nonzero(near)
        # The groups so far are edges too, so that only n labels are kept from block to block.
        edges = np.concatenate([one + start, np.arange(n)]), np.concatenate([other + start, group])
        _, labels = connected_components(coo_matrix((np.ones(edges[0].size, bool), edges), (n, n)), directed=False)
        _, first = np.unique(labels, return_index=True)
        group = first[labels]
    return [found.tolist() for first in np.unique(group) if (found := np.flatnonzero(group == first)).size > 1]
