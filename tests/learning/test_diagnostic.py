"""Decisions at a threshold, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from liver_models.errors import UnsuitableInputError
from liver_models.learning.diagnostic import diagnostic, youden_threshold
from liver_models.learning.intervals import wilson_interval


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    is_true = rng.random(150) < 0.3
    return np.clip(0.3 + 0.3 * is_true + 0.2 * rng.standard_normal(150), 0, 1), is_true


def test_every_figure_is_scikit_learns(drawn):
    probability, is_true = drawn
    found, called = diagnostic(probability, is_true, 0.4), probability >= 0.4
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(is_true, called))
    assert found.sensitivity.value == pytest.approx(metrics.recall_score(is_true, called))
    assert found.specificity.value == pytest.approx(metrics.recall_score(~is_true, ~called))
    assert found.ppv.value == pytest.approx(metrics.precision_score(is_true, called))
    assert found.npv.value == pytest.approx(metrics.precision_score(~is_true, ~called))
    assert found.f1 == pytest.approx(metrics.f1_score(is_true, called))
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(is_true, called))


def test_intervals_are_those_of_the_cases_that_count(drawn):
    probability, is_true = drawn
    found = diagnostic(probability, is_true)
    assert found.sensitivity.n == is_true.sum()
    assert (found.sensitivity.low, found.sensitivity.high) == wilson_interval(found.true_positives, is_true.sum())


def test_a_probability_at_the_threshold_counts_as_positive():
    found = diagnostic([0.5, 0.4999], [True, True])
    assert (found.true_positives, found.false_negatives) == (1, 1)


def test_shares_of_nobody_are_not_known():
    found = diagnostic([0.1, 0.2], [False, False])
    assert found.sensitivity.value is None and found.ppv.value is None and found.f1 is None
    assert found.specificity.value == 1 and found.balanced_accuracy is None
    assert (found.sensitivity.low, found.sensitivity.high) == (0, 1)


def test_youden_s_threshold_is_the_best_of_all(drawn):
    probability, is_true = drawn
    best = diagnostic(probability, is_true, youden_threshold(probability, is_true)).balanced_accuracy
    assert best == max(diagnostic(probability, is_true, threshold).balanced_accuracy for threshold in probability)


@pytest.mark.parametrize("probability", [[], [0.2, np.nan]])
def test_cases_without_a_probability_are_refused(probability):
    with pytest.raises(UnsuitableInputError, match="a finite probability for every case"):
        diagnostic(probability, [True] * len(probability))
