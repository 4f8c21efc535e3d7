"""Calibration: stated deviations and probabilities hold afterwards, in data they were not fitted to."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from liver_models.errors import UnsuitableInputError
from liver_models.learning.calibration import (
    MIN_PAIRS,
    PlattCalibration,
    StdCalibration,
    auroc,
    coverage,
    expected_calibration_error,
    z_scale,
)

TRUE_STD = {
    "holds": lambda std: std,
    "half": lambda std: 2 * std,
    "too spread": np.sqrt,
    "not spread enough": np.square,
    "noise was forgotten": lambda std: np.hypot(std, 1.0),
    "uninformative": np.ones_like,
    "a step": lambda std: np.where(std < 1, 1.0, 5.0),
}
"""What the deviation really is, for stated deviations around 1."""


def stated_and_error(true_std, n, seed, n_outliers=0, outlier=1e3):
    rng = np.random.default_rng(seed)
    std = np.exp(rng.standard_normal(n))
    error = true_std(std) * rng.standard_normal(n)
    error[rng.permutation(n)[:n_outliers]] = outlier
    return std, error


@pytest.mark.parametrize("name", TRUE_STD)
def test_calibrated_deviations_hold_in_held_out_data(name):
    calibration = StdCalibration.fit(*stated_and_error(TRUE_STD[name], 20_000, 0))
    std, error = stated_and_error(TRUE_STD[name], 20_000, 1)
    calibrated = calibration.apply(std)
    assert z_scale(error, calibrated) == pytest.approx(1, abs=0.03)
    assert coverage(error, calibrated) == pytest.approx(0.95, abs=0.01)
    assert coverage(error, calibrated, 0.5) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", TRUE_STD)
def test_calibrated_deviations_hold_in_each_part_of_their_range(name):
    calibration = StdCalibration.fit(*stated_and_error(TRUE_STD[name], 20_000, 0))
    std, error = stated_and_error(TRUE_STD[name], 20_000, 1)
    calibrated = calibration.apply(std)
    for part in np.array_split(np.argsort(std), 5):
        # The step lies inside a bin, so its neighbours share a factor.
        assert z_scale(error[part], calibrated[part]) == pytest.approx(1, abs=0.2 if name == "a step" else 0.08)


@pytest.mark.parametrize("n", [MIN_PAIRS, 300, 3000])
@pytest.mark.parametrize("seed", range(4))
def test_a_larger_stated_deviation_never_becomes_a_smaller_one(n, seed):
    rng = np.random.default_rng(seed)
    # The truth runs against the statement: only the constraint keeps the order.
    std = np.exp(rng.standard_normal(n))
    calibration = StdCalibration.fit(std, rng.standard_normal(n) / std)
    asked = np.geomspace(1e-6, 1e6, 5000)
    assert (np.diff(calibration.apply(asked)) >= -1e-12 * calibration.apply(asked)[:-1]).all()


@pytest.mark.parametrize("outlier", [1e3, 1e9])
def test_swaps_neither_inflate_the_deviations_nor_cost_coverage(outlier):
    std, error = stated_and_error(TRUE_STD["half"], 20_000, 0, n_outliers=200, outlier=outlier)
    calibration = StdCalibration.fit(std, error)
    std, error = stated_and_error(TRUE_STD["half"], 20_000, 1)
    # With 1 % of swaps 95 of 99 others must be covered: 2.05 instead of 1.96 deviations.
    assert z_scale(error, calibration.apply(std)) == pytest.approx(1.96 / 2.05, abs=0.03)
    assert coverage(error, calibration.apply(std)) == pytest.approx(95 / 99, abs=0.01)


@pytest.mark.parametrize("degrees_of_freedom", [1.5, 3, 10])
def test_coverage_is_kept_when_errors_have_heavy_tails(degrees_of_freedom):
    rng = np.random.default_rng(0)
    std = np.exp(rng.standard_normal(40_000))
    error = std * stats.t.rvs(degrees_of_freedom, size=40_000, random_state=rng)
    calibration = StdCalibration.fit(std[:20_000], error[:20_000])
    assert coverage(error[20_000:], calibration.apply(std[20_000:])) == pytest.approx(0.95, abs=0.01)


def test_the_unit_does_not_matter():
    std, error = stated_and_error(TRUE_STD["noise was forgotten"], 4000, 0)
    one, other = StdCalibration.fit(std, error), StdCalibration.fit(1e-3 * std, 1e-3 * error)
    np.testing.assert_allclose(other.apply(1e-3 * std), 1e-3 * one.apply(std), rtol=1e-9)


def test_the_order_of_the_pairs_does_not_matter():
    std, error = stated_and_error(TRUE_STD["half"], 4000, 0)
    std = std.round(1) + 0.1
    order = np.random.default_rng(1).permutation(4000)
    assert StdCalibration.fit(std, error) == StdCalibration.fit(std[order], error[order])


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999, 1.0])
def test_equal_deviations_share_a_factor(share):
    rng = np.random.default_rng(0)
    std = np.where(rng.random(4000) < share, 1.0, 3.0)
    calibration = StdCalibration.fit(std, 2 * std * rng.standard_normal(4000))
    assert calibration.apply(np.array([1.0, 3.0])) == pytest.approx([2.0, 6.0], rel=0.12)


def test_a_handful_of_pairs_makes_no_factor():
    rng = np.random.default_rng(0)
    # 60 % of the deviations are equal, so the few below them are a bin of their own; their errors are all 0.
    std = np.concatenate([np.full(30, 0.5), np.ones(2400), 1 + rng.random(1570)])
    error = np.concatenate([np.zeros(30), 2 * std[30:] * rng.standard_normal(3970)])
    assert StdCalibration.fit(std, error).apply(np.array(0.5)) == pytest.approx(1.0, rel=0.1)


def test_beyond_the_knots_the_factor_of_the_nearest_one_stays():
    calibration = StdCalibration((1.0, 2.0), (3.0, 4.0))
    assert calibration.apply(np.array([0.1, 1.0, 2.0, 20.0])) == pytest.approx([0.3, 3.0, 4.0, 40.0])
    middle = calibration.apply(np.array(np.sqrt(2.0)))
    assert middle == pytest.approx(np.sqrt(12.0)) and middle.shape == ()


def test_maps_keep_their_shape_type_nan_and_zero():
    calibration = StdCalibration((1.0, 2.0), (3.0, 4.0))
    found = calibration.apply(np.array([[0.0, 1.0, np.nan, np.inf]], np.float32))
    assert found.dtype == np.float32 and found.shape == (1, 4)
    np.testing.assert_allclose(found, [[0.0, 3.0, np.nan, np.inf]], rtol=1e-6)


def test_voxels_without_value_are_left_out():
    std, error = stated_and_error(TRUE_STD["half"], 2000, 0)
    padded = np.concatenate([std, [np.nan, 1.0, 0.0]]), np.concatenate([error, [1.0, np.nan, 5.0]])
    assert StdCalibration.fit(*padded) == StdCalibration.fit(std, error)
    assert z_scale(padded[1], padded[0]) == z_scale(error, std)
    assert coverage(padded[1][:-1], padded[0][:-1]) == coverage(error, std)
    assert auroc([np.nan, 0.0, 1.0], [True, False, True]) == 1.0


def test_too_few_errors_are_refused():
    with pytest.raises(UnsuitableInputError, match=r"at least 50 values with known error; found 49\. Add cases"):
        StdCalibration.fit(np.ones(60), np.where(np.arange(60) < 49, 1.0, np.nan))


@pytest.mark.parametrize(
    ("stated", "calibrated"),
    [((), ()), ((1.0,), (1.0, 2.0)), ((2.0, 1.0), (1.0, 2.0)), ((1.0, 1.0), (1.0, 2.0)), ((1.0, 2.0), (2.0, 1.0)),
     ((0.0, 1.0), (1.0, 2.0)), ((1.0, 2.0), (-1.0, 2.0)), ((1.0, float("inf")), (1.0, 2.0))],
)  # fmt: skip
def test_knots_that_are_no_rising_map_are_refused(stated, calibrated):
    with pytest.raises(UnsuitableInputError, match=r"equally many positive numbers, .* found .*\. Train again"):
        StdCalibration.from_json({"stated_std": stated, "calibrated_std": calibrated})


@pytest.mark.parametrize(
    ("one", "asked"),
    [
        (StdCalibration.fit(*stated_and_error(TRUE_STD["half"], 3000, 0)), np.geomspace(0.01, 100, 50)),
        (PlattCalibration.fit(np.linspace(-3, 3, 90), np.arange(90) % 4 > 1), np.linspace(-9, 9, 50)),
    ],
)
def test_a_calibration_comes_back_from_json_exactly(one, asked):
    again = type(one).from_json(json.loads(json.dumps(one.to_json(), allow_nan=False)))
    assert again == one
    np.testing.assert_array_equal(again.apply(asked), one.apply(asked))


def test_applying_needs_no_scikit_learn():
    code = (
        "import sys; from liver_models.learning.calibration import *;"
        "StdCalibration((1.0,), (2.0,)).apply([1.0]); PlattCalibration(1.0, 0.0).apply([1.0]);"
        "assert not {'sklearn', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_z_scale_makes_the_z_deviation_one_and_counts_bias():
    std, error = stated_and_error(TRUE_STD["half"], 20_000, 0)
    assert z_scale(error, std) == pytest.approx(2, rel=0.02)
    assert z_scale(error, z_scale(error, std) * std) == pytest.approx(1)
    assert z_scale(error + 2 * std, std) == pytest.approx(np.sqrt(8), rel=0.02)


@pytest.mark.parametrize("confidence", [0.5, 0.6827, 0.95, 0.99])
def test_coverage_of_normal_errors_is_the_confidence(confidence):
    std, error = stated_and_error(TRUE_STD["holds"], 50_000, 0)
    assert coverage(error, std, confidence) == pytest.approx(confidence, abs=0.006)
    assert coverage(error, 0.5 * std, confidence) < confidence - 0.05


def test_nothing_measured_gives_nan():
    empty = np.full(3, np.nan)
    for measure in (z_scale, coverage, auroc, expected_calibration_error):
        assert np.isnan(measure(empty, empty))


@pytest.mark.parametrize("measure", [z_scale, coverage, auroc, StdCalibration.fit, PlattCalibration.fit])
def test_arrays_of_two_shapes_are_not_broadcast(measure):
    with pytest.raises(ValueError, match=r"one shape; found \(60,.*\) and \(60,.*\)"):
        measure(np.ones(60), np.ones((60, 1)))


@pytest.mark.parametrize("n_levels", [2, 7, 100_000])
def test_auroc_is_that_of_scikit_learn_with_and_without_ties(n_levels):
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(n_levels)
    is_true = rng.random((40, 50)) < 0.1
    score = np.floor(n_levels * (rng.random((40, 50)) + is_true / 3))
    assert auroc(score, is_true) == pytest.approx(roc_auc_score(is_true.ravel(), score.ravel()), abs=1e-12)
    assert auroc(-score, is_true) == pytest.approx(1 - auroc(score, is_true))


def test_auroc_of_one_kind_is_unknown():
    assert np.isnan(auroc([0.1, 0.2], [True, True])) and np.isnan(auroc([0.1, 0.2], [False, False]))


def test_the_calibration_error_is_the_distance_of_statement_and_share():
    is_true = np.arange(1000) % 4 == 0
    for stated in (0.0, 0.25, 0.6, 1.0):
        assert expected_calibration_error(np.full(1000, stated), is_true) == pytest.approx(abs(stated - 0.25))


def test_the_calibration_error_does_not_cancel_between_bins():
    probability, is_true = np.repeat([0.2, 0.8], 500), np.tile([True, False], 500)
    assert expected_calibration_error(probability, is_true) == pytest.approx(0.3)


def logits(n, seed, slope=1.0, intercept=0.0):
    rng = np.random.default_rng(seed)
    logit = 2 * rng.standard_normal(n) - 1
    return logit, rng.random(n) < 1 / (1 + np.exp(-(slope * logit + intercept)))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -2.0), (3.0, 1.5), (-0.5, 0.0)])
def test_platt_finds_the_law_of_the_probabilities(slope, intercept):
    found = PlattCalibration.fit(*logits(40_000, 0, slope, intercept))
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.06 * max(1, abs(slope)))
    logit, is_true = logits(40_000, 1, slope, intercept)
    assert expected_calibration_error(found.apply(logit), is_true) < 0.012


def test_platt_is_the_sigmoid_calibration_of_scikit_learn():
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Given(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, x):
            return x[:, 0] > 0

        def decision_function(self, x):
            return x[:, 0]

    logit, is_true = logits(300, 0, 2.0, -1.0)
    theirs = CalibratedClassifierCV(FrozenEstimator(Given().fit(None, is_true)), method="sigmoid")
    theirs.fit(logit[:, None], is_true)
    ours = PlattCalibration.fit(logit, is_true).apply(logit)
    np.testing.assert_allclose(ours, theirs.predict_proba(logit[:, None])[:, 1], atol=2e-3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_platt_does_not_depend_on_the_unit_of_the_score(scale):
    logit, is_true = logits(2000, 0)
    expected = PlattCalibration.fit(logit, is_true).apply(logit)
    np.testing.assert_allclose(PlattCalibration.fit(scale * logit, is_true).apply(scale * logit), expected, atol=1e-5)


def test_platt_stays_finite_and_modest_when_the_score_separates():
    found = PlattCalibration.fit(np.arange(20.0), np.arange(20) >= 10)
    probability = found.apply(np.arange(20.0))
    assert 0 < found.slope < 10 and 0.001 < probability[0] < probability[-1] < 0.999


def test_probabilities_of_extreme_scores_stay_between_0_and_1():
    found = PlattCalibration(1.0, 0.0).apply(np.array([-1e4, 0.0, 1e4, np.nan]))
    np.testing.assert_array_equal(found, [0.0, 0.5, 1.0, np.nan])


@pytest.mark.parametrize("is_true", [True, False])
def test_a_calibration_from_one_kind_is_refused(is_true):
    counts = "40 true and 0 false" if is_true else "0 true and 40 false"
    with pytest.raises(UnsuitableInputError, match=rf"both kinds; found {counts}\. Add cases of the kind"):
        PlattCalibration.fit(np.arange(40.0), np.full(40, is_true))
