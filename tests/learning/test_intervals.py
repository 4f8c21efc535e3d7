"""Intervals: scipy is the oracle where it has one, and an interval covers as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from liver_models.learning.intervals import bootstrap_interval, wilson_interval


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_without_groups_the_interval_is_the_percentile_interval_of_scipy(statistic, confidence):
    values = np.random.default_rng(1).gamma(2.0, size=400)
    theirs = stats.bootstrap(
        (values,), statistic, method="percentile", n_resamples=6000, confidence_level=confidence, rng=5
    ).confidence_interval
    ours = bootstrap_interval(values, statistic, confidence=confidence, n_resamples=6000)
    width = theirs.high - theirs.low
    assert ours == pytest.approx(tuple(theirs), abs=0.06 * width)


def test_the_mean_of_few_cases_gets_about_the_interval_of_students_t():
    values = np.random.default_rng(3).standard_normal(8)
    ours = bootstrap_interval(values, np.mean, n_resamples=8000)
    student = stats.t.interval(0.95, 7, values.mean(), stats.sem(values))
    plain = stats.bootstrap((values,), np.mean, method="percentile", rng=0).confidence_interval
    assert ours[1] - ours[0] == pytest.approx(student[1] - student[0], rel=0.1)
    assert plain.high - plain.low < 0.85 * (student[1] - student[0])


@pytest.mark.parametrize("n_patients", [6, pytest.param(30, marks=pytest.mark.slow)])
def test_intervals_over_patients_cover_as_stated_and_those_over_cases_do_not(n_patients):
    rng = np.random.default_rng(0)
    hits = {"patients": 0, "cases": 0}
    groups = np.repeat(np.arange(n_patients), 5)
    for trial in range(250):
        values = rng.standard_normal(n_patients)[groups] + 0.3 * rng.standard_normal(groups.size)
        for name, given in (("patients", groups), ("cases", None)):
            low, high = bootstrap_interval(values, np.mean, given, n_resamples=300, seed=trial)
            hits[name] += low <= 0 <= high
    assert hits["patients"] / 250 == pytest.approx(0.95, abs=0.035)
    assert hits["cases"] / 250 < 0.75


def test_groups_of_one_case_are_as_no_groups():
    values = np.random.default_rng(2).standard_normal(50)
    # Names in the order of the cases: the same draws then mean the same cases.
    names = [f"P{i:02d}" for i in range(50)]
    assert bootstrap_interval(values, np.mean, names) == bootstrap_interval(values, np.mean)


def test_whole_patients_are_drawn():
    groups = ["B", "A", "B", "C", "A", "B"]
    values = np.arange(6)
    sizes = {"A": 2, "B": 3, "C": 1}
    seen = set()

    def check(drawn):
        n_patients = 0
        for name, size in sizes.items():
            counts = [np.count_nonzero(drawn == i) for i in range(6) if groups[i] == name]
            assert len(set(counts)) == 1 and len(counts) == size
            n_patients += counts[0]
        assert n_patients == 3
        seen.add(tuple(drawn))
        return drawn.mean()

    bootstrap_interval(values, check, groups, n_resamples=200)
    assert len(seen) > 20


def test_a_statistic_may_take_rows_of_several_columns():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(4)
    is_true = rng.random(120) < 0.5
    rows = np.column_stack([rng.standard_normal(120) + 1.2 * is_true, is_true])
    low, high = bootstrap_interval(rows, lambda r: roc_auc_score(r[:, 1], r[:, 0]), n_resamples=400)
    assert 0.5 < low < roc_auc_score(is_true, rows[:, 0]) < high < 1


def test_the_seed_decides():
    values = np.random.default_rng(6).standard_normal(40)
    assert bootstrap_interval(values, np.mean, seed=1) == bootstrap_interval(values, np.mean, seed=1)
    assert bootstrap_interval(values, np.mean, seed=1) != bootstrap_interval(values, np.mean, seed=2)


def test_resamples_without_a_statistic_are_left_out():
    def of_large_ones(values):
        return values[values > 2].mean() if (values > 2).any() else np.nan

    low, high = bootstrap_interval(np.array([0.0, 1.0, 3.0, 4.0]), of_large_ones)
    assert 3 <= low < high <= 4


@pytest.mark.parametrize(("values", "groups"), [([1.0], None), ([], None), ([1.0, 2.0, 3.0], ["A", "A", "A"])])
def test_one_patient_determines_no_interval(values, groups):
    assert np.isnan(bootstrap_interval(values, np.mean, groups)).all()


def test_a_statistic_that_is_never_finite_gives_no_interval():
    assert np.isnan(bootstrap_interval(np.arange(9), lambda _: np.nan)).all()


def test_groups_need_one_value_a_case():
    with pytest.raises(ValueError, match="found 2 for 3 cases"):
        bootstrap_interval([1, 2, 3], np.mean, ["A", "B"])


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (1, 3), (499, 12345)])
def test_wilson_is_the_interval_of_scipy(successes, total, confidence):
    theirs = stats.binomtest(successes, total).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, total, confidence) == pytest.approx(tuple(theirs), abs=1e-12)


def test_wilson_stays_between_0_and_1_and_says_nothing_of_no_cases():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for total in range(1, 60):
        assert wilson_interval(0, total)[0] == 0 and wilson_interval(total, total)[1] == 1


@pytest.mark.parametrize(("successes", "total"), [(-1, 5), (6, 5)])
def test_more_successes_than_cases_are_no_share(successes, total):
    with pytest.raises(ValueError, match=f"0 to 5 successes; found {successes}"):
        wilson_interval(successes, total)
