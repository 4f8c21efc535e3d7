"""What repeated out-of-fold answers say: known gains are found, none is reported as none."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.synthesis.experiment.statistics import (
    Cohort,
    accuracy_gain,
    decisions,
    gain,
    holm,
    paired_t,
    performance,
)

N_FRAMES, N_PATIENTS = 6, 40


def cohort() -> Cohort:
    patients = np.repeat([f"p{k:02d}" for k in range(N_PATIENTS)], N_FRAMES)
    answers = np.repeat(np.arange(N_PATIENTS) % 3 > 0, N_FRAMES)
    folds = np.repeat(np.arange(N_PATIENTS) % 5, N_FRAMES)
    return Cohort(answers, tuple(patients), folds)


def answers(strength: float, n_seeds: int = 6, seed: int = 0, own: float = 1.0, noise: float = 0.3) -> np.ndarray:
    """Log-odds with the truth of a strength, a part of each patient's own, and noise of seeds and frames."""
    rng, about = np.random.default_rng(seed), cohort()
    patient = np.repeat(rng.standard_normal(N_PATIENTS), N_FRAMES) * own
    truth = np.where(about.is_fatty, strength, -strength)
    return truth + patient + noise * rng.standard_normal((n_seeds, truth.size))


def test_a_known_gain_is_found_in_patients_and_in_images():
    for per in ("patient", "image"):
        found = gain(answers(2.0), answers(0.2), cohort(), per=per, n_resamples=400)
        assert found.is_shown and found.delong_p < 0.01 and found.t > 5 and found.t_p < 0.001
        assert found.low < found.value < found.high
        turned = gain(answers(0.2), answers(2.0), cohort(), per=per, n_resamples=400)
        assert turned.is_harm_shown and turned.value == pytest.approx(-found.value)


def test_no_gain_is_reported_as_none_in_most_cohorts():
    shown = 0
    for seed in range(40):
        first = answers(0.5, seed=2 * seed)
        found = gain(first, answers(0.5, seed=2 * seed + 1), cohort(), per="patient", n_resamples=200)
        shown += found.is_shown or found.is_harm_shown
    assert shown <= 6  # 2 of 40 are expected at 95 %.


def test_many_seeds_look_sure_of_a_gain_that_few_patients_do_not_show():
    base = answers(0.6, n_seeds=25)
    lifted = base.copy()
    one = np.array(cohort().patient_ids) == "p01"  # One fatty patient is found by every seed.
    lifted[:, one] += 4
    found = gain(lifted, base, cohort(), per="image", n_resamples=400)
    assert found.t_p < 1e-6 and not found.is_shown and found.low <= 0


def test_frames_of_one_patient_do_not_count_as_many_patients():
    one = performance(answers(0.5), cohort(), n_resamples=400)
    assert one.image.bootstrap_high - one.image.bootstrap_low > 1.3 * (one.image.high - one.image.low)


def test_seeds_are_averaged_before_the_headline_and_no_maximum_is_taken():
    logits = answers(0.5, noise=3.0)
    one = performance(logits, cohort(), n_resamples=50)
    assert one.image.value > one.image_seeds.mean()
    assert one.image_seeds.shape == one.patient_seeds.shape == one.fold_mean.shape == (6,)
    alone = performance(logits[:1], cohort(), n_resamples=50)
    assert alone.image.value == pytest.approx(alone.image_seeds[0])


def test_folds_are_scored_by_themselves():
    logits = answers(3.0, own=0, noise=0.01)
    shifted = logits + 100 * cohort().folds  # A fold's own offset spoils pooling, not the folds.
    one = performance(shifted, cohort(), n_resamples=50)
    assert one.fold_mean.mean() == 1.0 and one.image.value < 0.9


def test_calibration_sees_answers_that_are_too_sure():
    sane, proud = (performance(k * answers(0.4), cohort(), n_resamples=20) for k in (1, 20))
    assert proud.brier > sane.brier and proud.calibration_error > sane.calibration_error


def test_a_patient_is_the_mean_of_its_frames():
    about = Cohort(np.array([True, False, True]), ("b", "a", "b"), np.zeros(3, int))
    assert about.patients == ("a", "b") and about.is_fatty_patient.tolist() == [False, True]
    assert about.mean_of_patients(np.array([[1.0, 5.0, 3.0]])).tolist() == [[5.0, 2.0]]


def test_the_paired_t_is_that_of_scipy_and_says_nothing_of_one_seed():
    from scipy.stats import ttest_1samp

    values = [0.01, 0.03, -0.01, 0.02]
    expected = ttest_1samp(values, 0)
    assert paired_t(values) == pytest.approx((expected.statistic, expected.pvalue))
    assert np.isnan(paired_t([0.1])).all() and np.isnan(paired_t([0.1, 0.1])).all()


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([0.01, float("nan")])[1]) and holm([0.01, float("nan")])[0] == pytest.approx(0.01)


def test_decisions_are_weighted_over_the_classes():
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    rng = np.random.default_rng(0)
    truth = rng.random(50) < 0.4
    logits = rng.standard_normal(50) + truth
    found = decisions(logits, truth)
    expected = precision_recall_fscore_support(truth, logits > 0, average="weighted")[:3]
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected)
    assert found.accuracy == pytest.approx(accuracy_score(truth, logits > 0))


def test_a_gain_in_accuracy_over_splits_is_found_and_none_is_not():
    rng = np.random.default_rng(0)
    truth = [np.repeat([False, True], 70) for _ in range(5)]
    patients = [np.repeat([f"s{k}" for k in rng.permutation(30)[:14]], 10) for _ in range(5)]
    weak = [np.where(one, 0.3, -0.3) + rng.standard_normal(140) for one in truth]
    strong = [np.where(one, 2.0, -2.0) + rng.standard_normal(140) for one in truth]
    found = accuracy_gain(strong, weak, truth, patients, 400)
    assert found.is_shown and found.t_p < 0.01 and 0.2 < found.value < 0.5
    other = [np.where(one, 0.3, -0.3) + rng.standard_normal(140) for one in truth]
    assert not accuracy_gain(other, weak, truth, patients, 400).is_shown
