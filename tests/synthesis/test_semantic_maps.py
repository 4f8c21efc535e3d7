"""Laws of semantic maps."""

import numpy as np
import pytest
from skimage.filters import threshold_multiotsu

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.semantic_maps import (
    MAX_DISTORTION,
    crop_maps,
    distort_map,
    one_hot,
    otsu_levels,
    semantic_maps,
)
from liver_models.ultrasound.frames import Crops


def test_otsu_levels_are_those_of_scikit_image():
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 4):
        image = (rng.integers(0, 30, (40, 40)) + 20 * rng.integers(0, 4, (40, 40))).astype(np.uint8)
        theirs = threshold_multiotsu(image, n_classes)  # The last level of the lower class; ours is the next.
        assert np.array_equal(np.digitize(image, otsu_levels(image, n_classes)), np.digitize(image, theirs, right=True))


def test_five_grey_levels_are_five_classes_in_their_order():
    image = np.repeat(np.array([10, 60, 90, 150, 220], np.uint8), 4)[:, None].repeat(20, 1)
    assert np.array_equal(semantic_maps(image[None])[0], np.repeat(np.arange(5), 2)[:, None].repeat(10, 1))


def test_maps_do_not_change_with_gain_and_offset():
    image = np.random.default_rng(1).integers(0, 100, (1, 32, 32)).astype(np.uint8)
    assert np.array_equal(semantic_maps(image), semantic_maps(image * 2 + 20))


def test_a_frame_of_four_grey_levels_is_refused():
    with pytest.raises(UnsuitableInputError, match="needs 5 grey levels in a frame; found 4"):
        semantic_maps(np.arange(4, dtype=np.uint8).repeat(64).reshape(1, 16, 16))


def test_the_whole_crop_is_the_map_and_a_quarter_is_its_quarter():
    maps = np.random.default_rng(2).integers(0, 5, (2, 16, 16)).astype(np.uint8)
    zero, one, half = np.zeros(2), np.ones(2), np.full(2, 0.5)
    assert np.array_equal(crop_maps(maps, Crops(zero, zero, one, one), 16), maps)
    assert np.array_equal(crop_maps(maps, Crops(half, zero, half, half), 8), maps[:, 8:, :8])


def test_a_distortion_is_weak_seeded_and_invents_no_class():
    one = np.kron(np.array([[0, 1], [3, 4]]), np.ones((16, 16))).astype(np.uint8)
    first, again, other = (distort_map(one, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert set(np.unique(first)) <= {0, 1, 3, 4}
    assert 0 < (first != one).mean() < 0.15
    assert np.array_equal(distort_map(one, np.random.default_rng(0), scale=0.0), one)
    with pytest.raises(ValueError, match="scale from 0"):
        distort_map(one, np.random.default_rng(0), scale=2 * MAX_DISTORTION)


def test_one_hot_has_one_class_a_place():
    maps = np.random.default_rng(3).integers(0, 5, (2, 8, 8)).astype(np.uint8)
    found = one_hot(maps).numpy()
    assert found.shape == (2, 5, 8, 8) and np.array_equal(found.argmax(1), maps) and (found.sum(1) == 1).all()
