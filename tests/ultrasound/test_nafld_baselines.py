"""The baselines of fatty liver see fat where regions are known, and nothing that they should not."""

import numpy as np
import pytest

from liver_models.learning.roc import auc
from liver_models.learning.splits import cross_validation
from liver_models.ultrasound.nafld_baselines import (
    FOREST,
    MEASURES,
    baseline_scores,
    measured_frames,
    patient_scores,
    region_measures,
    texture_scores,
)
from liver_models.ultrasound.phantom_nafld import simulate_nafld_cohort, simulate_nafld_frames


@pytest.fixture(scope="module")
def measured():
    return measured_frames(simulate_nafld_cohort(6, 8, 2, seed=4))


def test_measured_frames_are_those_that_classifiers_read(measured):
    frames, measures = measured
    assert frames.digest() == simulate_nafld_frames(6, 8, 2, seed=4).digest()
    assert set(measures) == set(MEASURES) and all(values.shape == (28,) for values in measures.values())


def test_index_and_slope_tell_fatty_livers_from_others(measured):
    frames, measures = measured
    for name in MEASURES:
        scores, answers = patient_scores(frames, measures[name])
        known = np.isfinite(scores)
        assert auc(scores[known], answers[known], n_resamples=10).value > 0.8


def test_no_kidney_gives_a_slope_but_no_index():
    rng = np.random.default_rng(0)
    image = rng.integers(80, 120, (60, 60)).astype(np.uint8)
    found = region_measures(image, np.ones((60, 60), bool), np.zeros((60, 60), bool), 0.5)
    assert np.isnan(found["hepatorenal_index"]) and np.isfinite(found["attenuation_slope"])


def test_forests_score_patients_that_they_did_not_see(measured):
    frames, measures = measured
    folds = cross_validation(frames.patient_ids, 2, 0, [bool(one) for one in frames.is_fatty])
    scores = baseline_scores(frames, folds, measures)
    assert np.isfinite(scores[FOREST]).all() and list(scores) == [*MEASURES, FOREST]
    learnt, held_out = folds[0]
    alone = texture_scores(frames.subset(learnt), frames.subset(held_out))
    assert np.array_equal(scores[FOREST][held_out], alone)


def test_a_patient_without_a_measure_has_none(measured):
    frames, _ = measured
    scores = np.arange(28, dtype=float)
    scores[[0, 1, 3]] = np.nan
    found, answers = patient_scores(frames, scores)
    assert np.isnan(found[0]) and found[1] == 2 and found[2] == 4.5 and answers.sum() == 8
