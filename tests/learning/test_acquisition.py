"""Strategies: each asks for what its paper asks for, in closed form where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.acquisition import STRATEGIES, Candidates, choose, scores


def candidates(n=12, n_patients=None, seed=0, **changes):
    """Cases with everything a strategy may read."""
    rng = np.random.default_rng(seed)
    members = rng.dirichlet([1, 1, 1], (5, n))
    made = Candidates(
        case_ids=[f"C{k:02d}" for k in range(n)],
        patient_ids=[f"P{k % (n_patients or n):02d}" for k in range(n)],
        probability=members.mean(axis=0),
        member_probability=members,
        uncertainty=rng.random(n),
        features=rng.normal(size=(n, 3)),
        labelled_features=rng.normal(size=(2, 3)),
    )
    return replace(made, **changes, distance=None)


def score(cases, strategy):
    return scores(cases, strategy, np.random.default_rng(0))


def plain(probability=None, **given):
    n = len(next(v for v in (probability, *given.values()) if v is not None)) if "n" not in given else given.pop("n")
    names = [f"C{k}" for k in range(n)]
    return Candidates(names, names, probability, **given)


def test_entropy_and_confidence_have_their_closed_values():
    cases = plain(np.array([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8]]))
    bits = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    assert score(cases, "entropy") == pytest.approx([np.log(2), 0, bits])
    assert score(cases, "least_confidence") == pytest.approx([0.5, 0, 0.2])


def test_entropy_and_confidence_disagree_about_three_classes():
    cases = plain(np.array([[0.5, 0.5, 0.0], [0.52, 0.24, 0.24]]))
    assert choose(cases, "least_confidence") == ["C0"]
    assert choose(cases, "entropy") == ["C1"]


def test_bald_is_zero_where_members_agree_and_log_two_where_they_contradict():
    agree, contradict, doubt = [0.3, 0.7], [[1, 0], [0, 1]], [0.5, 0.5]
    members = np.array([[agree, contradict[0], doubt], [agree, contradict[1], doubt]])
    cases = plain(n=3, member_probability=members)
    assert score(cases, "bald") == pytest.approx([0, np.log(2), 0], abs=1e-12)
    # Entropy cannot tell doubt that all members share from doubt that a label would end; BALD can.
    assert score(cases, "entropy")[1] == pytest.approx(score(cases, "entropy")[2])


def test_bald_lies_between_zero_and_the_entropy():
    cases = candidates(40)
    assert (score(cases, "bald") >= 0).all()
    assert (score(cases, "bald") <= score(cases, "entropy") + 1e-12).all()
    assert score(cases, "bald").max() > 0.05


def test_core_set_picks_the_farthest_and_then_the_farthest_from_both():
    line = np.array([[0.0], [1.0], [4.0], [9.0], [10.0]])
    cases = plain(n=5, features=line, labelled_features=np.array([[0.0]]))
    assert score(cases, "core_set") == pytest.approx([0, 1, 4, 9, 10])
    # After 10, the 9 is near it and the 4 is the farthest of both ends.
    assert choose(cases, "core_set", n=2) == ["C4", "C2"]


def test_greedy_k_centre_covers_within_twice_the_best_radius():
    rng = np.random.default_rng(3)
    centres = np.array([[0, 0], [50, 0], [0, 50], [50, 50]])
    features = np.repeat(centres, 20, axis=0) + rng.uniform(-1, 1, (80, 2))
    names = [f"C{k:02d}" for k in range(80)]
    picked = choose(Candidates(names, names, features=features), "core_set", n=4, seed=1)
    assert {names.index(name) // 20 for name in picked} == {0, 1, 2, 3}


def test_coverage_asks_for_the_typical_before_the_odd():
    features = np.array([0.0, 1, 2, 3, 4, 30])[:, None]
    names = [f"C{k}" for k in range(6)]
    nothing = Candidates(names, names, features=features)
    assert choose(nothing, "coverage")[0] in ("C2", "C3")
    labelled = Candidates(names, names, features=features, labelled_patients=["P"], labelled_features=[[1.0]])
    near = np.abs(features[:, 0] - 1)
    expected = [np.mean([max(near[j] - abs(features[j, 0] - f), 0) for j in range(6)]) for f in features[:, 0]]
    assert score(labelled, "coverage") == pytest.approx(expected)
    assert choose(labelled, "coverage", n=2) == ["C5", "C4"]


def test_coverage_of_many_is_counted_over_some_of_them():
    features = np.random.default_rng(0).normal(size=(600, 2))
    names = [f"{k}" for k in range(600)]
    many = Candidates(names, names, features=features)
    found = scores(many, "coverage", np.random.default_rng(1))
    assert np.array_equal(found, scores(many, "coverage", np.random.default_rng(1)))
    middle = np.linalg.norm(features, axis=1) < 0.5
    assert found[middle].min() > np.median(found)


def test_where_there_is_one_number_default_weighs_coverage_most():
    features = np.array([0.0, 1, 2, 3, 4, 30])[:, None]
    names = [f"C{k}" for k in range(6)]
    cases = Candidates(names, names, uncertainty=[0, 1, 0, 0, 0, 2], features=features)
    covers = np.array([0.2, 0.5, 0.9, 0.9, 0.5, 0])
    assert score(cases, "default") - 1 == pytest.approx(0.8 * covers + 0.2 * np.array([0.3, 0.8, 0.3, 0.3, 0.3, 1]))


def test_variance_asks_for_the_largest():
    assert choose(plain(n=3, uncertainty=np.array([0.1, 0.9, 0.5])), "variance", n=2) == ["C1", "C2"]


@pytest.mark.parametrize("seed", range(3))
def test_default_never_repeats_a_patient_before_every_other_was_seen(seed):
    cases = candidates(24, n_patients=6, seed=seed, labelled_patients=["P00", "P00", "P03"])
    patient = dict(zip(cases.case_ids, cases.patient_ids, strict=True))
    asked = [patient[name] for name in choose(cases, "default", n=24, seed=seed)]
    assert sorted(asked[:4]) == ["P01", "P02", "P04", "P05"]
    assert sorted(asked) == sorted(cases.patient_ids)


def test_other_strategies_do_repeat_patients_so_that_the_promise_is_one():
    cases = candidates(24, n_patients=6)
    patient = dict(zip(cases.case_ids, cases.patient_ids, strict=True))
    assert len({patient[name] for name in choose(cases, "bald", n=6)}) < 6


def test_default_prefers_what_is_both_unknown_and_unlike():
    features = np.array([[0.0], [0.0], [9.0], [9.0]])
    doubt = np.array([[0.5, 0.5], [0.99, 0.01], [0.5, 0.5], [0.99, 0.01]])
    cases = plain(doubt, features=features, labelled_features=np.array([[0.0]]))
    assert choose(cases, "default") == ["C2"]
    assert int(np.argmin(score(cases, "default"))) == 1


@pytest.mark.parametrize("kept", ["probability", "member_probability", "uncertainty", "features"])
def test_default_is_content_with_any_one_input(kept):
    absent = dict.fromkeys({"probability", "member_probability", "uncertainty", "features"} - {kept})
    assert len(set(choose(candidates(**absent), "default", n=5))) == 5


def test_default_does_not_depend_on_the_scale_of_its_inputs():
    cases = candidates(30, member_probability=None, probability=None)
    scaled = replace(
        cases,
        uncertainty=1e6 * cases.uncertainty,
        features=1e-6 * cases.features,
        labelled_features=1e-6 * cases.labelled_features,
        distance=None,
    )
    assert choose(cases, "default", n=10) == choose(scaled, "default", n=10)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_batch_without_repeats(strategy):
    first, again = (choose(candidates(), strategy, n=8, seed=5) for _ in range(2))
    assert first == again
    assert len(set(first)) == 8


def test_ties_are_broken_by_the_seed_and_not_by_the_order():
    names = [f"C{k}" for k in range(9)]
    level = np.full((9, 2), 0.5)
    found = {choose(Candidates(names, names, level), "entropy", seed=seed)[0] for seed in range(40)}
    assert len(found) > 4
    for seed in range(5):
        back = Candidates(names[::-1], names[::-1], level)
        assert choose(back, "entropy", n=4, seed=seed) == choose(Candidates(names, names, level), "entropy", 4, seed)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_when_all_are_labelled_nothing_is_asked(strategy):
    assert choose(Candidates([], []), strategy, n=3) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_batch_larger_than_what_is_left_asks_for_all(strategy):
    cases = candidates(4)
    assert sorted(choose(cases, strategy, n=9)) == sorted(cases.case_ids)


@pytest.mark.parametrize(
    ("strategy", "needed"),
    [
        ("entropy", "probability or member_probability"),
        ("least_confidence", "probability or member_probability"),
        ("bald", "member_probability"),
        ("core_set", "features"),
    ],
)
def test_a_strategy_without_its_input_is_refused_by_name(strategy, needed):
    cases = plain(n=2, uncertainty=np.array([0.1, 0.2]))
    with pytest.raises(UnsuitableInputError, match=f"'{strategy}' needs {needed} of each case; found uncertainty"):
        choose(cases, strategy)


@pytest.mark.parametrize("strategy", ["variance", "default"])
def test_a_model_that_says_nothing_is_refused(strategy):
    with pytest.raises(UnsuitableInputError, match="found none of what strategies read"):
        choose(Candidates(["a"], ["a"]), strategy)


def test_an_unknown_strategy_and_an_empty_batch_are_refused():
    with pytest.raises(UnsuitableInputError, match="one of random, least_confidence.*found 'best'"):
        choose(candidates(), "best")
    with pytest.raises(UnsuitableInputError, match="1 case at least; found 0"):
        choose(candidates(), "random", n=0)


def test_numbers_that_are_not_finite_are_refused_and_shapes_that_do_not_fit_are_a_defect():
    with pytest.raises(UnsuitableInputError, match="1 of 2 values of 'uncertainty' are not"):
        plain(n=2, uncertainty=np.array([np.nan, 1]))
    with pytest.raises(ValueError, match="'probability' for 3 cases"):
        plain(n=3, probability=np.ones((2, 2)))
    with pytest.raises(ValueError, match="one length"):
        plain(n=1, features=np.ones((1, 2)), labelled_features=np.ones((1, 3)))
