"""Logistic regression against statsmodels, and group comparisons against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from liver_models.errors import UnsuitableInputError
from liver_models.learning.logistic import group_comparison, logistic_regression, univariate_regressions


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    is_true = rng.random(87) < 0.3
    x = np.stack(
        [480 + 90 * rng.standard_normal(87) + 60 * is_true, np.exp(rng.standard_normal(87)), rng.random(87)], axis=1
    )
    return x, is_true


def test_coefficients_errors_and_p_are_statsmodels(drawn):
    x, is_true = drawn
    found = logistic_regression(x, is_true, ["weight", "alt", "other"])
    told = sm.Logit(is_true.astype(float), sm.add_constant(x)).fit(disp=0, tol=1e-12)
    interval = np.exp(told.conf_int())
    assert found.intercept == pytest.approx(told.params[0], rel=1e-6)
    assert found.log_likelihood == pytest.approx(told.llf, rel=1e-9)
    for k, term in enumerate(found.terms, start=1):
        assert term.coefficient == pytest.approx(told.params[k], rel=1e-6)
        assert term.std == pytest.approx(told.bse[k], rel=1e-6)
        assert term.p_value == pytest.approx(told.pvalues[k], rel=1e-5)
        assert (term.low, term.high) == pytest.approx(tuple(interval[k]), rel=1e-6)
        assert term.odds_ratio == pytest.approx(np.exp(told.params[k]), rel=1e-6)


def test_units_change_the_odds_ratio_and_not_the_p(drawn):
    x, is_true = drawn
    grams, kilograms = (logistic_regression(x[:, :1] / unit, is_true, ["w"]).terms[0] for unit in (1, 1000))
    assert kilograms.odds_ratio == pytest.approx(grams.odds_ratio**1000, rel=1e-6)
    assert kilograms.p_value == pytest.approx(grams.p_value)


def test_each_value_alone_leaves_out_its_own_missing_ones(drawn):
    x, is_true = drawn
    gaps = x[:, 1].copy()
    gaps[:10] = np.nan
    found = univariate_regressions({"a": x[:, 0], "b": gaps}, is_true)
    assert (found["a"].n, found["b"].n) == (87, 77)
    assert found["b"] == logistic_regression(x[10:, 1:2], is_true[10:], ["b"])


class TestRefusals:
    def test_values_that_separate_the_classes_are_named(self, drawn):
        x, is_true = drawn
        with pytest.raises(UnsuitableInputError, match="'split' .* separates them"):
            logistic_regression(np.stack([x[:, 2], is_true + 0.1 * x[:, 2]], axis=1), is_true, ["other", "split"])

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda x, y: (x, np.zeros_like(y)), "both classes; found 0 positive"),
            (lambda x, y: (x[:3], np.array([True, False, True])), "needs more than 4 cases; found 3"),
            (lambda x, y: (x * [1, 0, 1], y), "'b' is constant"),
            (lambda x, y: (np.where(x == x[0, 0], np.nan, x), y), "'a' is missing in 1 of 87"),
            (lambda x, y: (x[:, [0, 1, 1]], y), "do not follow from one another"),
        ],
    )
    def test_what_cannot_be_fitted_is_refused(self, drawn, change, sentence):
        with pytest.raises(UnsuitableInputError, match=sentence):
            logistic_regression(*change(*drawn), ["a", "b", "c"])


class TestGroupComparison:
    def test_normal_values_are_compared_by_welch_and_others_by_ranks(self):
        rng = np.random.default_rng(3)
        y = np.arange(80) < 30
        bell = np.concatenate([stats.norm.ppf((np.arange(n) + 0.5) / n) for n in (30, 50)]) + y
        skewed = np.exp(2 * rng.standard_normal(80) + y)
        first, second = group_comparison({"bell": bell, "skewed": skewed}, y)
        assert first.is_normal and not second.is_normal
        assert first.p_value == stats.ttest_ind(bell[~y], bell[y], equal_var=False).pvalue
        assert second.p_value == stats.mannwhitneyu(skewed[~y], skewed[y]).pvalue
        assert first.positive.mean == pytest.approx(bell[y].mean()) and first.positive.n == 30
        assert (second.negative.q1, second.negative.q3) == tuple(np.quantile(skewed[~y], [0.25, 0.75]))

    def test_missing_values_are_counted_and_left_out(self):
        (found,) = group_comparison(
            {"a": np.array([1.0, np.nan, 3, 4, 5, np.nan])}, [True, True, True, False] + [False] * 2
        )
        assert found.n_missing == 2 and found.positive.n == 2 and found.positive.mean == 2

    def test_a_group_of_one_has_no_p(self):
        (found,) = group_comparison({"a": np.array([1.0, 2, 3])}, [True, False, False])
        assert np.isnan(found.p_value)
