"""Conformal sets hold the truth as often as asked."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from scipy.special import expit

from liver_models.errors import UnsuitableInputError
from liver_models.learning.conformal import ABSTAIN, SplitConformal, cases_needed, is_abstention


def drawn(n, rng):
    """Probabilities that are wrong by design, and answers: coverage must not need calibration."""
    is_true = rng.random(n) < 0.3
    return expit(4 * (rng.standard_normal(n) + 1.2 * is_true)), is_true


@pytest.mark.parametrize("per_class", [True, False])
def test_sets_hold_the_truth_at_least_as_often_as_asked_and_hardly_more(per_class):
    rng, held, by_class = np.random.default_rng(0), [], {True: [], False: []}
    for _ in range(400):
        fitted = SplitConformal.fit(*drawn(120, rng), 0.9, per_class)
        probability, is_true = drawn(40, rng)
        for answers, truth in zip(fitted.predict(probability), is_true, strict=True):
            held.append(bool(truth) in answers)
            by_class[bool(truth)].append(held[-1])
    assert 0.89 <= np.mean(held) <= 0.93
    if per_class:
        assert all(0.885 <= np.mean(one) <= 0.94 for one in by_class.values())


def test_the_sets_are_those_of_mapie():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mapie.classification import SplitConformalClassifier
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(2)
        y = rng.random(300) < 0.4
        x = (rng.standard_normal(300) + y)[:, None]
        model = LogisticRegression().fit(x[:100], y[:100].astype(int))
        theirs = SplitConformalClassifier(model, confidence_level=0.9, conformity_score="lac", prefit=True)
        theirs.conformalize(x[100:200], y[100:200].astype(int))
        _, told = theirs.predict_set(x[200:])
    ours = SplitConformal.fit(model.predict_proba(x[100:200])[:, 1], y[100:200], 0.9, per_class=False)
    found = ours.predict(model.predict_proba(x[200:])[:, 1])
    same = [
        one == frozenset(bool(k) for k in np.flatnonzero(row)) for one, row in zip(found, told[:, :, 0], strict=True)
    ]
    assert np.mean(same) > 0.98


def test_a_sure_and_right_model_decides_and_an_unsure_one_abstains():
    sure = SplitConformal.fit([0.99] * 30 + [0.01] * 30, [True] * 30 + [False] * 30)
    assert sure.predict([0.995, 0.005]) == (frozenset((True,)), frozenset((False,)))
    unsure = SplitConformal.fit([0.5] * 60, [True, False] * 30)
    assert unsure.predict([0.5]) == (ABSTAIN,) and is_abstention(ABSTAIN)


def test_a_case_unlike_all_others_gets_no_answer_which_is_an_abstention():
    sure = SplitConformal.fit([0.99] * 30 + [0.01] * 30, [True] * 30 + [False] * 30)
    assert sure.predict([0.5]) == (frozenset(),) and is_abstention(frozenset())


def test_too_few_cases_promise_nothing():
    fitted = SplitConformal.fit([0.9, 0.1, 0.2], [True, False, False], 0.9)
    assert fitted.predict([0.999, 0.001]) == (ABSTAIN, ABSTAIN)


@pytest.mark.parametrize(("coverage", "n"), [(0.9, 9), (0.8, 4), (0.95, 19)])
def test_fewest_cases_of_a_quantile(coverage, n):
    assert cases_needed(coverage) == n
    for size, is_decided in ((n - 1, False), (n, True)):
        fitted = SplitConformal.fit([0.01] * size, [False] * size, coverage, per_class=False)
        assert (fitted.threshold_negative < 1) == is_decided


def test_a_class_too_small_by_itself_is_pooled_and_the_sets_still_cover():
    rng, held = np.random.default_rng(3), []
    for _ in range(400):
        probability, is_true = drawn(14, rng)
        fitted = SplitConformal.fit(probability, is_true, 0.9)
        assert not fitted.is_per_class
        probability, is_true = drawn(40, rng)
        held += [bool(t) in answers for answers, t in zip(fitted.predict(probability), is_true, strict=True)]
    assert 0.89 <= np.mean(held) <= 0.95
    many = SplitConformal.fit(*drawn(200, rng), 0.9)
    assert many.is_per_class


def test_it_survives_json():
    rng = np.random.default_rng(0)
    fitted = SplitConformal.fit(*drawn(50, rng))
    assert SplitConformal.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([], []), "found 0, 0 without"),
        (([0.2, np.nan], [True, False]), "found 2, 1 without"),
        (([0.2], [True], 1.0), "between 0 and 1; found 1"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        SplitConformal.fit(*arguments)
