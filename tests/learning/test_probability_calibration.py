"""Calibration of probabilities, against scikit-learn, statsmodels and repetition."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn import calibration, metrics

from liver_models.errors import UnsuitableInputError
from liver_models.learning.probability_calibration import (
    TemperatureCalibration,
    brier_score,
    calibration_curve,
    calibration_line,
    hosmer_lemeshow,
    prior_corrected_logit,
)


def honest(n=200, seed=0, spread=1.5):
    """Log-odds, and answers that come true as often as stated."""
    rng = np.random.default_rng(seed)
    log_odds = spread * rng.standard_normal(n) - 0.5
    return log_odds, rng.random(n) < expit(log_odds)


def test_the_curve_and_the_score_are_scikit_learns():
    log_odds, is_true = honest()
    bins = calibration_curve(expit(log_odds), is_true, 5)
    observed, stated = calibration.calibration_curve(is_true, expit(log_odds), n_bins=5, strategy="quantile")
    assert np.allclose([b.observed for b in bins], observed, atol=0.03)
    assert np.allclose([b.mean_probability for b in bins], stated, atol=0.01)
    assert sum(b.n for b in bins) == 200 and all(b.low <= b.observed <= b.high for b in bins)
    assert brier_score(expit(log_odds), is_true) == pytest.approx(metrics.brier_score_loss(is_true, expit(log_odds)))


class TestHosmerLemeshow:
    def test_it_is_the_sum_over_positives_and_negatives(self):
        log_odds, is_true = honest()
        probability, order = expit(log_odds), np.argsort(log_odds)
        expected = 0.0
        for members in np.array_split(order, 10):
            for truth, stated in ((is_true, probability), (~is_true, 1 - probability)):
                e = stated[members].sum()
                expected += (truth[members].sum() - e) ** 2 / e
        found = hosmer_lemeshow(probability, is_true)
        assert found.n_groups == 10 and found.degrees == 8
        assert found.statistic == pytest.approx(expected)
        assert found.p_value == pytest.approx(chi2.sf(expected, 8))

    def test_groups_that_would_be_empty_are_not_made(self):
        probability = np.repeat([0.1, 0.4, 0.7, 0.9], 10)
        found = hosmer_lemeshow(probability, np.arange(40) % 3 == 0)
        assert found.n_groups == 4 and found.degrees == 2

    def test_it_rejects_what_is_stated_too_boldly(self):
        log_odds, is_true = honest(600)
        assert hosmer_lemeshow(expit(log_odds), is_true).p_value > 0.01
        assert hosmer_lemeshow(expit(3 * log_odds), is_true).p_value < 1e-6

    def test_a_constant_probability_leaves_no_test(self):
        assert np.isnan(hosmer_lemeshow(np.full(30, 0.3), np.arange(30) % 3 == 0).p_value)

    def test_certainty_that_came_true_costs_nothing(self):
        probability = np.array([0.0] * 5 + [1.0] * 5 + list(np.linspace(0.2, 0.8, 10)))
        is_true = np.array([False] * 5 + [True] * 5 + [True, False] * 5)
        assert np.isfinite(hosmer_lemeshow(probability, is_true, 4).statistic)


def test_the_line_is_statsmodels_and_near_1_and_0_for_honest_log_odds():
    log_odds, is_true = honest(400)
    told = sm.Logit(is_true.astype(float), sm.add_constant(log_odds)).fit(disp=0)
    found = calibration_line(log_odds, is_true)
    assert (found.intercept, found.slope) == pytest.approx(tuple(told.params), abs=1e-6)
    assert found.slope == pytest.approx(1, abs=0.3) and found.in_the_large == pytest.approx(0, abs=0.3)
    assert calibration_line(2 * log_odds, is_true).slope == pytest.approx(found.slope / 2, rel=1e-6)


class TestTemperature:
    def test_what_was_multiplied_is_divided_again(self):
        log_odds, is_true = honest(3000)
        fitted = TemperatureCalibration.fit(2.5 * log_odds, is_true)
        assert fitted.temperature == pytest.approx(2.5, rel=0.1)
        assert np.allclose(fitted.apply(5.0), 5.0 / fitted.temperature)

    def test_perfect_separation_stays_finite(self):
        assert TemperatureCalibration.fit([-3.0, -2.0, 2.0, 3.0], [False, False, True, True]).temperature >= 0.05

    def test_no_case_is_refused(self):
        with pytest.raises(UnsuitableInputError, match="found none"):
            TemperatureCalibration.fit([], [])


class TestPrior:
    def test_weighting_and_sampling_positives_is_undone(self):
        """A logistic model of balanced data states the odds of the real shares after the correction."""
        rng = np.random.default_rng(0)
        is_true = rng.random(200_000) < 23 / 87
        x = rng.standard_normal(is_true.size) + is_true
        ratio = (~is_true).sum() / is_true.sum()
        balanced = x - 0.5  # Log-odds of x when both classes are equally frequent.
        stated = expit(prior_corrected_logit(balanced, ratio))
        assert stated.mean() == pytest.approx(is_true.mean(), abs=0.005)

    def test_the_papers_double_correction_is_the_square(self):
        once = prior_corrected_logit(logit(0.5), 64 / 23)
        assert prior_corrected_logit(once, 64 / 23) == pytest.approx(-np.log(7.743), abs=1e-3)

    @pytest.mark.parametrize("ratio", [0.0, -1.0, np.inf, np.nan])
    def test_a_ratio_that_is_none_is_refused(self, ratio):
        with pytest.raises(UnsuitableInputError, match="positive and finite"):
            prior_corrected_logit(0.0, ratio)


def test_probabilities_out_of_range_are_refused():
    for function in (brier_score, hosmer_lemeshow, calibration_curve):
        with pytest.raises(UnsuitableInputError, match="from 0 to 1 each; found 2 cases, 1 without"):
            function([0.2, np.nan], [True, False])
