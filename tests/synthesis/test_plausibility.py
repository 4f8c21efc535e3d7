"""The filter keeps what looks like the fold's real images of its class, and says why it drops the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from phantom_frames import Frames, frames
from scipy import ndimage

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.features import Classifier, small_network
from liver_models.synthesis.plausibility import (
    KEPT,
    OTHER_CLASS,
    UNLIKE,
    PlausibilityOptions,
    fit_plausibility,
)


@pytest.fixture(scope="module")
def train():
    return frames(0, 20)


@pytest.fixture(scope="module")
def fresh():
    return frames(200, 60, 1)


@pytest.fixture(scope="module")
def plausibility(train):
    return fit_plausibility(train, small_network())


def test_other_patients_frames_are_mostly_kept_under_their_own_class_and_dropped_under_the_other(plausibility, fresh):
    right, wrong = (plausibility(fresh.images, fatty) for fatty in (fresh.is_fatty, ~fresh.is_fatty))
    assert len(right.kept) > 0.75 * 60 and len(wrong.kept) < 0.25 * 60
    assert wrong.reason.count(OTHER_CLASS) > 0.75 * 60


@pytest.mark.parametrize("what", ["noise", "black", "blurred"])
def test_images_unlike_livers_are_dropped_for_that(plausibility, fresh, what):
    rng = np.random.default_rng(0)
    made = {
        "noise": rng.integers(0, 256, fresh.images.shape).astype(np.uint8),
        "black": np.zeros_like(fresh.images),
        "blurred": np.stack([ndimage.gaussian_filter(image, 2) for image in fresh.images]),
    }[what]
    found = plausibility(made, fresh.is_fatty)
    assert found.reason.count(UNLIKE) > 0.9 * 60 and (found.distance > 1).sum() == found.reason.count(UNLIKE)


def test_a_smaller_quantile_asks_for_more_likeness(train, plausibility):
    strict = fit_plausibility(train, small_network(), options=PlausibilityOptions(quantile=0.5)).limits
    assert all(low < high for low, high in zip(strict, plausibility.limits, strict=True))


def test_a_classifier_takes_the_place_of_the_regression_and_is_named(train, fresh):
    never = Classifier("says healthy", lambda images: np.zeros(len(images)))
    found = fit_plausibility(train, small_network(), never)(fresh.images, fresh.is_fatty)
    assert found.classifier == "says healthy"
    assert not fresh.is_fatty[found.kept].any() and len(found.kept) > 20
    unasked = fit_plausibility(train, small_network(), never, PlausibilityOptions(min_probability=0))
    assert fresh.is_fatty[unasked(fresh.images, fresh.is_fatty).kept].any()


def test_an_image_is_judged_alike_alone_and_among_others(plausibility, fresh):
    together = plausibility(fresh.images, fresh.is_fatty)
    alone = [plausibility(fresh.images[k : k + 1], fresh.is_fatty[k : k + 1]).distance[0] for k in range(5)]
    np.testing.assert_allclose(alone, together.distance[:5], rtol=1e-3)


def test_only_the_given_images_count_and_their_patients_are_named(train, plausibility, fresh):
    kept = np.flatnonzero(np.isin(train.patient_ids, [f"P{k}" for k in range(10)]))
    half = Frames(train.images[kept], tuple(train.patient_ids[k] for k in kept), train.is_fatty[kept])
    again = fit_plausibility(half, small_network())(fresh.images, fresh.is_fatty)
    assert again.patients == tuple(sorted(f"P{k}" for k in range(10)))
    assert not np.allclose(again.distance, plausibility(fresh.images, fresh.is_fatty).distance)


def test_the_report_is_json_and_its_counts_add_up(plausibility, fresh):
    found = plausibility(fresh.images, fresh.is_fatty)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    for name in ("healthy", "fatty"):
        count = told["counts"][name]
        assert count["made"] == 30 == count["kept"] + count[UNLIKE] + count[OTHER_CLASS]
    assert told["is_simulated"]
    assert len(told["kept"]) + len(told["dropped"]) == 60
    assert all(found.reason[k] == KEPT for k in told["kept"])


def test_an_empty_class_and_a_single_patient_are_refused(train):
    healthy = ~train.is_fatty
    only = Frames(train.images[healthy], tuple(np.array(train.patient_ids)[healthy]), train.is_fatty[healthy])
    with pytest.raises(UnsuitableInputError, match="at least 2 fatty patients.*found 0"):
        fit_plausibility(only, small_network())
    four = Frames(train.images[:9], train.patient_ids[:9], train.is_fatty[:9])
    with pytest.raises(UnsuitableInputError, match="at least 2 fatty patients.*found 1"):
        fit_plausibility(four, small_network())


@pytest.mark.parametrize("bad", [{"quantile": 0}, {"min_probability": 1}, {"n_nearest": 0}, {"n_components": 0}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(UnsuitableInputError, match="Change them"):
        PlausibilityOptions(**bad)
