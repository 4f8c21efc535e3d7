"""ROC curves and their areas, against scikit-learn and against repetition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from liver_models.errors import UnsuitableInputError
from liver_models.learning.calibration import auroc
from liver_models.learning.roc import auc, auc_difference, roc_curve


def drawn(n=200, shift=1.0, seed=0, digits=1):
    """Scores with ties, and their answers."""
    rng = np.random.default_rng(seed)
    is_true = rng.random(n) < 0.3
    return np.round(rng.standard_normal(n) + shift * is_true, digits), is_true


def test_the_curve_is_scikit_learns():
    score, is_true = drawn()
    found = roc_curve(score, is_true)
    false, true, thresholds = metrics.roc_curve(is_true, score, drop_intermediate=False)
    assert np.allclose(found.false_positive_rate, false) and np.allclose(found.sensitivity, true)
    assert np.array_equal(found.thresholds, thresholds)


def test_the_area_is_scikit_learns_and_that_of_the_calibration():
    score, is_true = drawn()
    assert auc(score, is_true).value == pytest.approx(metrics.roc_auc_score(is_true, score), abs=1e-12)
    assert auc(score, is_true).value == pytest.approx(auroc(score, is_true), abs=1e-12)


def test_delong_s_variance_is_that_of_the_definition():
    """V10 and V01 pair by pair, as the paper defines them."""
    score, is_true = drawn(60, seed=3)
    wins = (score[is_true][:, None] > score[~is_true]) + 0.5 * (score[is_true][:, None] == score[~is_true])
    variance = wins.mean(1).var(ddof=1) / is_true.sum() + wins.mean(0).var(ddof=1) / (~is_true).sum()
    assert auc(score, is_true).std == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    true_auc = 0.5 * (1 + 0.5204999)  # Φ(1/√2) for unit normals one apart.
    found = [auc(*drawn(120, 1.0, seed, digits=6)) for seed in range(400)]
    assert np.mean([f.low <= true_auc <= f.high for f in found]) == pytest.approx(0.95, abs=0.035)


def test_delong_s_test_rejects_equal_models_as_often_as_it_says():
    p_values = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        is_true, common = rng.random(100) < 0.4, rng.standard_normal(100)
        scores = [is_true + common + rng.standard_normal(100) for _ in range(2)]
        p_values.append(auc_difference(*scores, is_true, n_resamples=2).p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.035)


def test_a_better_model_is_told_from_a_worse_one():
    rng = np.random.default_rng(0)
    is_true = rng.random(150) < 0.4
    good, poor = 2 * is_true + rng.standard_normal(150), 0.3 * is_true + rng.standard_normal(150)
    found = auc_difference(good, poor, is_true, n_resamples=500)
    assert found.low > 0 and found.p_value < 0.001
    turned = auc_difference(poor, good, is_true, n_resamples=500)
    assert turned.value == -found.value and turned.p_value == found.p_value


def test_a_model_does_not_differ_from_itself():
    score, is_true = drawn()
    found = auc_difference(score, score, is_true, n_resamples=50)
    assert (found.value, found.std, found.p_value, found.low, found.high) == (0, 0, 1, 0, 0)


def test_resampling_patients_is_wider_than_resampling_their_images():
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(40), 5)
    is_true = (np.arange(40) < 15)[patient]
    score = (rng.standard_normal(40) + (np.arange(40) < 15))[patient] + 0.1 * rng.standard_normal(200)
    by_patient, by_image = (auc(score, is_true, groups, n_resamples=400) for groups in (patient, None))
    assert by_patient.bootstrap_high - by_patient.bootstrap_low > 1.5 * (
        by_image.bootstrap_high - by_image.bootstrap_low
    )


def test_the_bootstrap_follows_its_seed():
    score, is_true = drawn(80)
    one, again, other = (auc(score, is_true, n_resamples=100, seed=seed) for seed in (1, 1, 2))
    assert one == again and one.bootstrap_low != other.bootstrap_low


@pytest.mark.parametrize("answers", [[True] * 4, [False] * 4])
def test_one_class_is_refused(answers):
    with pytest.raises(UnsuitableInputError, match="needs cases of both classes"):
        auc([0.1, 0.2, 0.3, 0.4], answers)


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(UnsuitableInputError, match="a finite score for every case; 1 of 3"):
        roc_curve([0.1, np.nan, 0.3], [True, False, True])


def test_constant_scores_tell_nothing_apart():
    found = auc([0.5] * 10, [True, False] * 5)
    assert found.value == 0.5 and found.std == 0
