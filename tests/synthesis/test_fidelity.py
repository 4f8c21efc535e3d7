"""The report on a synthetic set: worse images get worse figures, and every figure stands beside its floor."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from phantom_frames import frames
from scipy import ndimage

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.features import Classifier, small_network
from liver_models.synthesis.fidelity import judge_fidelity


@pytest.fixture(scope="module")
def sets():
    return frames(200, 48, 1).images, frames(0, 16), frames(100, 6)


@pytest.fixture(scope="module")
def report(sets):
    return judge_fidelity(*sets, small_network(), n_resamples=200)


def test_frames_of_other_patients_are_about_as_far_as_the_floor(report):
    assert report.synthetic_at_floor_size.fid < 1.1 * report.floor.fid
    assert report.floor.kid.low < 0 < report.floor.kid.high
    assert report.synthetic.kid.low < 0 < report.synthetic.kid.high
    assert not report.is_collapsed


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_blurred_frames_are_farther_the_more_they_are_blurred(sets, report, sigma):
    made, train, validation = sets
    blurred = np.stack([ndimage.gaussian_filter(image, sigma) for image in made])
    found = judge_fidelity(blurred, train, validation, small_network(), n_resamples=200)
    assert found.synthetic.fid > (1 + sigma) * report.synthetic.fid
    assert found.synthetic.kid.low > 0
    assert found.synthetic.precision < 0.2
    assert found.is_collapsed == (sigma > 1)  # So much blur leaves little that could differ.


def test_one_image_many_times_and_a_few_in_turn_are_called_collapsed(sets, report):
    made, train, validation = sets
    for n in (1, 6):
        found = judge_fidelity(made[np.arange(48) % n], train, validation, small_network(), n_resamples=0)
        assert found.is_collapsed and found.synthetic.recall < report.synthetic.recall / 2


def test_a_floor_has_as_many_images_as_the_set_it_is_compared_with(sets):
    made, train, validation = sets
    few = judge_fidelity(made[:10], train, validation, small_network(), n_resamples=0)
    assert few.floor.n_images == few.synthetic_at_floor_size.n_images == few.synthetic.n_images == 10
    many = judge_fidelity(np.concatenate([made, made]), train, validation, small_network(), n_resamples=0)
    assert (many.synthetic.n_images, many.floor.n_images, many.synthetic_at_floor_size.n_images) == (96, 48, 48)


def test_the_order_of_the_images_does_not_count(sets, report):
    made, train, validation = sets
    found = judge_fidelity(made[::-1], train, validation, small_network(), n_resamples=0)
    assert found.synthetic.fid == pytest.approx(report.synthetic.fid)
    assert found.synthetic.kid.value == pytest.approx(report.synthetic.kid.value, abs=1e-9)


def test_inception_scores_come_from_a_classifier_that_is_named(sets, report):
    assert report.classifier is None and report.inception_score is None
    bright = Classifier("brightness", lambda images: images.mean(axis=(1, 2)) / 255)
    found = judge_fidelity(*sets, small_network(), bright, n_resamples=0)
    assert found.classifier == "brightness" and found.inception_score.n_classes == 2
    assert 1 <= found.inception_score.value <= 2


def test_the_report_is_json_and_names_its_network(report):
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert told["network"] == "random-filters-672" and len(told["network_sha256"]) == 64
    assert told["is_simulated"]
    assert told["floor"]["kid"]["n_groups"] == [16, 6] and told["n_validation"] == 18


def test_progress_counts_all_images(sets):
    told = []
    judge_fidelity(*sets, small_network(), n_resamples=0, progress=lambda *step: told.append(step))
    assert told[-1] == ("features", 48 + 48 + 18, 48 + 48 + 18)


def test_a_patient_in_both_real_sets_and_images_of_two_sizes_are_refused(sets):
    made, train, validation = sets
    with pytest.raises(UnsuitableInputError, match="1 are in both"):
        judge_fidelity(made, train, replace(validation, patient_ids=("P3",) * 18), small_network())
    with pytest.raises(UnsuitableInputError, match="of one size; found 32 x 32, 64 x 64"):
        judge_fidelity(made[:, :32, :32], train, validation, small_network())
    with pytest.raises(UnsuitableInputError, match="validation images that differ"):
        judge_fidelity(made, train, replace(validation, images=validation.images[np.zeros(18, int)]), small_network())
