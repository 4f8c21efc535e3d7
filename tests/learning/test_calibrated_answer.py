"""What turns log-odds into an answer: it is kept on a card, and holds what it promises."""

import json

import numpy as np
import pytest

from liver_models.learning.calibrated_answer import COVERAGE, AnswerCalibration, probability_of


def drawn(n, seed, scale=1.0):
    """Answers, and log-odds that are right but for their scale."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, n)
    return scale * logits, rng.random(n) < probability_of(logits)


def test_a_card_gives_back_what_was_fitted():
    found = AnswerCalibration.fit(*drawn(30, 0), seed=3, odds_ratio=2.0)
    again = AnswerCalibration.from_card(json.loads(json.dumps(found.to_card())))
    assert again == found and again == AnswerCalibration.fit(*drawn(30, 0), seed=3, odds_ratio=2.0)


def test_overconfident_log_odds_are_brought_back():
    found = AnswerCalibration.fit(*drawn(2000, 1, scale=3.0), seed=0)
    assert found.temperature == pytest.approx(3.0, rel=0.15)
    assert found.calibrated(3.0) == pytest.approx(3.0 / found.temperature)
    assert found.corrected(0.0) == 0 and AnswerCalibration(odds_ratio=np.e).corrected(1.0) == pytest.approx(0)


def test_the_interval_holds_the_mean_and_is_wider_where_images_disagree():
    found = AnswerCalibration.fit(*drawn(40, 2), seed=0)
    alike, apart = np.full(6, 1.0), np.array([-3.0, 5.0, 1.0, 1.0, 4.0, -2.0])
    for logits in (alike, apart):
        low, high = found.interval(logits)
        assert low <= found.calibrated(logits.mean()) <= high
    assert np.diff(found.interval(apart)) > np.diff(found.interval(alike))


def test_sets_of_possible_answers_hold_the_truth_as_often_as_promised():
    found = AnswerCalibration.fit(*drawn(500, 4), seed=0)
    logits, labels = drawn(3000, 5)
    held = [label in found.possible(logit)[0] for logit, label in zip(found.calibrated(logits), labels, strict=True)]
    assert np.mean(held) == pytest.approx(COVERAGE, abs=0.03)


def test_without_calibration_every_answer_stays_possible():
    assert AnswerCalibration().possible(9.0) == ((False, True), False)
    assert AnswerCalibration().interval(np.array([1.0, 1.0])) == (1.0, 1.0)
    fixed = AnswerCalibration.fit(*drawn(20, 6, scale=5.0), seed=0, has_temperature=False)
    assert fixed.temperature == 1 and set(fixed.bootstrap_temperatures) == {1.0}


def test_a_card_that_lacks_a_value_is_named():
    with pytest.raises(KeyError, match="temperature"):
        AnswerCalibration.from_card({"odds_ratio": 1.0})
