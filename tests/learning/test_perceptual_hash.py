"""The perceptual hash: copies are found whatever was done to them, and other pictures are not."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from liver_models.errors import UnsuitableInputError
from liver_models.learning.perceptual_hash import (
    MAX_DISTANCE,
    PerceptualHash,
    duplicate_groups,
    hamming_distance,
    perceptual_hash,
)

SHAPE = (180, 260)


def fan(shape=SHAPE):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    radius = np.hypot(rows + 0.3 * shape[0], columns - shape[1] / 2)
    angle = np.abs(np.arctan2(columns - shape[1] / 2, rows + 0.3 * shape[0]))
    return (radius > 0.4 * shape[0]) & (radius < 1.2 * shape[0]) & (angle < 0.55)


def speckle(seed, shape=SHAPE):
    """A fan of correlated Rayleigh speckle that darkens with depth, as every simulated liver does."""
    rng = np.random.default_rng(seed)
    real, imaginary = (ndimage.gaussian_filter(rng.normal(size=shape), (1.5, 2.5)) for _ in range(2))
    depth = np.exp(-np.arange(shape[0]) / shape[0])[:, None]
    return np.where(fan(shape), np.clip(900 * np.hypot(real, imaginary) * depth, 4, 255), 0).astype(np.uint8)


def resized(image, shape):
    return np.array(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))


def jpeg(image, quality=40):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


CHANGES = {
    "smaller": lambda image: resized(image, (117, 169)),
    "stretched": lambda image: resized(image, (260, 260)),
    "brighter": lambda image: np.where(image > 0, np.clip(image * 1.2 + 15, 0, 255), 0).astype(np.uint8),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "jpeg": jpeg,
    "all": lambda image: jpeg(resized((image * 0.8).astype(np.uint8), (130, 188)), 60),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_is_found_whatever_was_done_to_it(change, seed):
    image = speckle(seed)
    copy = change(image)
    one, other = perceptual_hash(image, fan()), perceptual_hash(copy, resized(fan(), copy.shape))
    assert hamming_distance(one, other) <= MAX_DISTANCE
    assert duplicate_groups([one, other]) == [[0, 1]]


def test_different_speckle_in_the_same_sector_is_no_copy():
    hashes = [perceptual_hash(speckle(seed), fan()) for seed in range(60)]
    assert duplicate_groups(hashes) == []
    distances = [hamming_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > MAX_DISTANCE
    assert 28 < np.mean(distances) < 34


def test_flat_pictures_are_not_taken_for_copies():
    flat = [perceptual_hash(np.full((50, 70), level, np.uint8)) for level in (10, 200)]
    assert duplicate_groups(flat) == []


def test_the_picture_outside_the_mask_does_not_count():
    image = speckle(4)
    labelled = np.where(fan(), image, 255).astype(np.uint8)
    assert perceptual_hash(image, fan()).bits == perceptual_hash(labelled, fan()).bits


def test_groups_join_over_block_borders_and_stay_in_order():
    rng = np.random.default_rng(0)
    detail = rng.normal(size=(1300, 256)).astype(np.float32)
    detail /= np.linalg.norm(detail, axis=1, keepdims=True)
    bits = rng.integers(0, 2**64, 1300, dtype=np.uint64)
    for copy, original in ((1290, 3), (700, 3), (701, 600)):
        bits[copy], detail[copy] = bits[original], detail[original]
    hashes = [PerceptualHash(*pair) for pair in zip(bits, detail, strict=True)]
    assert duplicate_groups(hashes) == [[3, 700, 1290], [600, 701]]


def test_five_thousand_pictures_are_compared_in_seconds():
    rng = np.random.default_rng(1)
    detail = rng.normal(size=(5000, 256)).astype(np.float32) / 16
    bits = rng.integers(0, 2**64, 5000, dtype=np.uint64)
    hashes = [PerceptualHash(*pair) for pair in zip(bits, detail, strict=True)]
    start = time.process_time()
    duplicate_groups(hashes)
    assert time.process_time() - start < 10


def test_a_colour_image_is_refused():
    with pytest.raises(UnsuitableInputError, match="grey image of rows and columns"):
        perceptual_hash(np.zeros((3, 20, 20), np.uint8))
