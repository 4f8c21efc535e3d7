"""The texture baseline: what its features see and do not see, and a forest that can be wrong."""

import numpy as np
import pytest
from scipy import ndimage

from liver_models.errors import UnsuitableInputError
from liver_models.learning.roc import auc
from liver_models.ultrasound.nafld_texture import (
    GLCM_FEATURES,
    forest_scores,
    glcm_features,
    glcm_table,
    out_of_fold_scores,
)


def speckle(seed, smooth=1.0, side=28):
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.standard_normal((side, side)), smooth)
    return np.clip(120 + 30 * values / values.std(), 0, 255).astype(np.uint8)


def test_texture_is_one_finite_number_a_name():
    found = glcm_features(speckle(0))
    assert found.shape == (len(GLCM_FEATURES),) and np.isfinite(found).all()
    assert np.isfinite(glcm_features(np.full((28, 28), 90, np.uint8), is_brightness_free=True)).all()


def test_a_quarter_turn_and_a_mirror_change_nothing():
    assert glcm_features(np.rot90(speckle(1))) == pytest.approx(glcm_features(speckle(1)))
    assert glcm_features(speckle(1)[:, ::-1]) == pytest.approx(glcm_features(speckle(1)))


def test_without_brightness_only_the_arrangement_counts():
    region = speckle(2)
    brighter = (region // 2 + 60).astype(np.uint8) * 1
    levels = np.unique(region)
    stretched = np.searchsorted(levels, region).astype(np.uint8) + 100
    free = glcm_features(region, is_brightness_free=True)
    assert glcm_features(stretched, is_brightness_free=True) == pytest.approx(free)
    assert np.abs(glcm_features(brighter) - glcm_features(region)).max() > 1
    shuffled = np.random.default_rng(0).permutation(region.ravel()).reshape(region.shape)
    assert np.abs(glcm_features(shuffled, is_brightness_free=True) - free).max() > 0.1


def test_contrast_grows_with_distance_until_speckle_ends():
    contrast = glcm_features(speckle(3, smooth=2))[:4]
    assert contrast[0] < contrast[1] < contrast[2]


def test_a_forest_tells_coarse_speckle_from_fine_and_nothing_from_nothing():
    fine, coarse = glcm_table([speckle(k) for k in range(30)]), glcm_table([speckle(k, 1.6) for k in range(30, 60)])
    table, truth = np.concatenate([fine, coarse]), np.arange(60) >= 30
    train = np.arange(60) % 2 == 0
    scores = forest_scores(table[train], truth[train], table[~train], seed=1, n_trees=40)
    assert scores[truth[~train]].min() > scores[~truth[~train]].max()
    again = forest_scores(table[train], truth[train], table[~train], seed=1, n_trees=40)
    assert (again == scores).all()


def test_what_has_no_texture_or_no_second_class_is_refused():
    with pytest.raises(UnsuitableInputError, match="16 x 16 pixels at least, uint8; found 12 x 28"):
        glcm_features(speckle(0)[:12])
    with pytest.raises(UnsuitableInputError, match="float64"):
        glcm_features(speckle(0) / 255)
    with pytest.raises(UnsuitableInputError, match="found 3 fatty of 3"):
        forest_scores(np.zeros((3, 2)), np.ones(3, bool), np.zeros((1, 2)))


def test_a_split_by_image_reads_the_patient_and_one_by_patient_does_not():
    # Every patient has a texture of his own that says nothing of the answer.
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(24), 6)
    features = rng.normal(size=(24, 5))[patients] + 0.2 * rng.normal(size=(144, 5))
    truth = patients % 2 == 0
    names = [f"p{k}" for k in patients]

    def area(is_split_by_patient):
        scores = out_of_fold_scores(features, truth, names, is_split_by_patient=is_split_by_patient, n_trees=40)
        return auc(scores, truth).value

    assert area(False) > 0.95 and area(True) < 0.75
