"""Splits by patient: nobody is in two parts, nobody is lost, and the order of the cases does not matter."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.splits import cross_validation, split_by_patient

THREE = {"training": 0.7, "validation": 0.15, "test": 0.15}


def cohort(n_patients=60, seed=0):
    """Cases of patients with one to six visits, in no order, and a grade of each patient."""
    rng = np.random.default_rng(seed)
    names = [f"P{i:03d}" for i in range(n_patients)]
    cases = np.repeat(names, rng.integers(1, 7, n_patients))
    rng.shuffle(cases)
    grade = dict(zip(names, rng.choice(4, n_patients, p=[0.5, 0.3, 0.15, 0.05]), strict=True))
    return cases.tolist(), [int(grade[case]) for case in cases], grade


def patients_of(parts, cases):
    return {name: {cases[i] for i in indices} for name, indices in parts.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("is_stratified", [False, True])
def test_every_case_is_in_one_part_and_every_patient_too(seed, is_stratified):
    cases, grades, _ = cohort(seed=seed)
    parts = split_by_patient(cases, THREE, seed, grades if is_stratified else None)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(cases)))
    assert list(parts) == list(THREE)
    sets = list(patients_of(parts, cases).values())
    assert sum(map(len, sets)) == len(set(cases)) == len(set.union(*sets))


@pytest.mark.parametrize("is_stratified", [False, True])
def test_the_order_of_the_cases_does_not_matter(is_stratified):
    cases, grades, _ = cohort()
    order = np.random.default_rng(9).permutation(len(cases))
    mixed = [cases[i] for i in order], [grades[i] for i in order]
    one = split_by_patient(cases, THREE, 4, grades if is_stratified else None)
    other = split_by_patient(mixed[0], THREE, 4, mixed[1] if is_stratified else None)
    assert patients_of(one, cases) == patients_of(other, mixed[0])
    for indices in other.values():
        assert indices.tolist() == sorted(indices)


def test_a_further_visit_moves_nobody():
    cases, _, _ = cohort()
    before = patients_of(split_by_patient(cases, THREE, 1), cases)
    assert patients_of(split_by_patient([*cases, cases[3]], THREE, 1), [*cases, cases[3]]) == before


def test_the_seed_decides_and_nothing_else_does():
    cases, grades, _ = cohort()
    splits = []
    for seed in (0, 0, 1, 2):
        np.random.seed(len(splits))
        splits.append(patients_of(split_by_patient(cases, THREE, seed, grades), cases))
    assert splits[0] == splits[1] != splits[2] != splits[3]


def test_parts_have_their_share_of_the_patients_to_within_one():
    rng = np.random.default_rng(0)
    for n_patients in range(20, 90):
        shares = 0.1 + rng.dirichlet(np.ones(4))
        fractions = dict(zip("abcd", (shares / shares.sum()).tolist(), strict=True))
        cases = [str(i) for i in range(n_patients)]
        for name, indices in split_by_patient(cases, fractions, n_patients).items():
            assert abs(len(indices) - fractions[name] * n_patients) < 1


def test_shares_that_come_out_even_are_exact():
    parts = split_by_patient([str(i) for i in range(100)], THREE, 0)
    assert {name: len(indices) for name, indices in parts.items()} == {"training": 70, "validation": 15, "test": 15}


@pytest.mark.parametrize("seed", range(5))
def test_every_stratum_is_divided_like_the_whole(seed):
    cases, grades, grade = cohort(200, seed)
    parts = patients_of(split_by_patient(cases, THREE, seed, grades), cases)
    sizes = Counter(grade.values())
    for name, patients in parts.items():
        for stratum, found in Counter(grade[patient] for patient in patients).items():
            assert abs(found - THREE[name] * sizes[stratum]) < 2


def test_without_strata_a_rare_grade_is_divided_less_evenly():
    cases, grades, grade = cohort(200)

    def spread(strata):
        counts = []
        for seed in range(40):
            held_out = patients_of(split_by_patient(cases, THREE, seed, strata), cases)["test"]
            counts.append(sum(grade[patient] == 1 for patient in held_out))
        return np.std(counts)

    assert spread(grades) < 0.6 < 1.5 < spread(None)


@pytest.mark.parametrize("is_stratified", [False, True])
def test_every_patient_is_held_out_as_often(is_stratified):
    cases = [f"P{i}" for i in range(10)]
    strata = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2] if is_stratified else None
    counts = np.zeros(10)
    for seed in range(1000):
        counts[split_by_patient(cases, {"training": 0.8, "test": 0.2}, seed, strata)["test"]] += 1
    assert np.abs(counts / 1000 - 0.2).max() < 0.05


def test_any_two_patients_are_held_out_together_as_often():
    together = np.zeros((10, 10))
    for seed in range(2000):
        held_out = split_by_patient([f"P{i}" for i in range(10)], {"training": 0.8, "test": 0.2}, seed)["test"]
        together[tuple(held_out)] += 1
    pairs = together[np.triu_indices(10, 1)] / 2000
    assert np.abs(pairs - 1 / 45).max() < 0.015


def test_a_patient_with_several_strata_counts_as_the_most_frequent():
    cases = ["A"] * 3 + ["B"] * 3 + ["C", "D"]
    mixed = split_by_patient(cases, {"a": 0.5, "b": 0.5}, 0, [1, 1, 0, 0, 0, 1, 1, 0])
    for indices in mixed.values():
        patients = {cases[i] for i in indices}
        assert len(patients & {"A", "C"}) == len(patients & {"B", "D"}) == 1


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_a_case_without_patient_is_refused(missing):
    with pytest.raises(
        UnsuitableInputError, match=r"patient of every case; 2 of 5 cases have none\. Enter a patient id"
    ):
        split_by_patient(["A", missing, "B", missing, "C"], {"a": 0.5, "b": 0.5}, 0)


@pytest.mark.parametrize("cases", [["A", "B", "C"], ["A"] * 50 + ["B", "C"]])
def test_a_fraction_that_leaves_a_part_empty_is_refused(cases):
    with pytest.raises(
        UnsuitableInputError, match=r"with 3 patients a fraction of 0\.1 leaves 'held out' empty\. Add patients or"
    ):
        split_by_patient(cases, {"training": 0.9, "held out": 0.1}, 0)


def test_no_cases_are_refused():
    with pytest.raises(UnsuitableInputError, match="with 0 patients"):
        split_by_patient([], {"all": 1.0}, 0)


@pytest.mark.parametrize(
    "fractions",
    [{}, {"a": 0.5}, {"a": 0.8, "b": 0.3}, {"a": 1.0, "b": 0.0}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}],
)
def test_fractions_that_are_not_shares_are_refused(fractions):
    with pytest.raises(UnsuitableInputError, match=r"positive and add up to 1; found .*\. Change them"):
        split_by_patient(["A", "B"], fractions, 0)


def test_strata_need_one_value_a_case():
    with pytest.raises(ValueError, match="found 1 for 2 cases"):
        split_by_patient(["A", "B"], {"a": 0.5, "b": 0.5}, 0, [1])


class TestCrossValidation:
    """Every case is tested once, by a model that saw no case of its patient."""

    patients = [f"p{k // 2}" for k in range(60)]
    labels = [k // 2 < 8 for k in range(60)]

    @pytest.mark.parametrize("seed", range(5))
    def test_every_case_is_tested_once_and_never_by_its_own_patient(self, seed):
        folds = cross_validation(self.patients, 4, seed, self.labels)
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(60))
        for train, test in folds:
            assert len(train) + len(test) == 60
            assert not {self.patients[k] for k in train} & {self.patients[k] for k in test}

    @pytest.mark.parametrize("seed", range(20))
    def test_every_fold_has_its_share_of_a_rare_class(self, seed):
        labels = [k // 2 < 4 for k in range(60)]
        counts = [sum(labels[k] for k in test) // 2 for _, test in cross_validation(self.patients, 4, seed, labels)]
        assert counts == [1, 1, 1, 1]

    def test_the_seed_decides(self):
        one, again, other = (cross_validation(self.patients, 3, seed, self.labels) for seed in (1, 1, 2))
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(one, again, strict=True))
        assert any(not np.array_equal(a[1], b[1]) for a, b in zip(one, other, strict=True))

    def test_a_class_with_fewer_patients_than_folds_is_refused(self):
        with pytest.raises(UnsuitableInputError, match="at least 9 patients of each class; 'True' has 8"):
            cross_validation(self.patients, 9, 0, self.labels)

    def test_three_subjects_do_not_make_five_folds(self):
        with pytest.raises(UnsuitableInputError, match="at least 5 patients; found 3"):
            cross_validation(["a", "b", "c"], 5, 0)

    def test_one_fold_is_none(self):
        with pytest.raises(UnsuitableInputError, match="needs 2 folds at least; found 1"):
            cross_validation(self.patients, 1, 0)
