"""Distances of sets: against scipy's matrix root, against normal distributions, and as promised at no difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.set_distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    mean_pairwise_distance,
    nearest_distances,
    precision_and_recall,
)


def normal(n, d=16, seed=0, shift=0.0):
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


def by_matrix_root(first, second):
    gap = first.mean(0) - second.mean(0)
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    return float(gap @ gap + np.trace(a) + np.trace(b) - 2 * np.trace(linalg.sqrtm(a @ b)).real)


class TestFrechet:
    @pytest.mark.parametrize(("n", "m", "d"), [(20, 30, 64), (200, 40, 64), (40, 200, 64), (300, 200, 64)])
    def test_it_equals_the_one_by_the_matrix_root(self, n, m, d):
        mixing = normal(d, d, seed=9)
        first, second = normal(n, d, 1) @ mixing / 8, normal(m, d, 2, shift=0.1) @ mixing.T / 8
        assert frechet_distance(first, second) == pytest.approx(by_matrix_root(first, second), abs=1e-3)

    def test_a_set_is_at_no_distance_from_itself_in_any_order(self):
        features = normal(50)
        assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)

    def test_a_shifted_copy_is_as_far_as_its_shift_squared(self):
        features, shift = normal(60), np.linspace(-1, 1, 16)
        assert frechet_distance(features, features + shift) == pytest.approx(shift @ shift)

    def test_a_scaled_copy_is_as_far_as_its_standard_deviations(self):
        features = normal(40, 8)
        want = np.trace(np.cov(features, rowvar=False))  # (2 - 1)^2 tr S
        features = features - features.mean(axis=0)
        assert frechet_distance(features, 2 * features) == pytest.approx(want)

    def test_large_samples_come_to_the_distance_of_their_distributions(self):
        first, second = normal(40_000, 4, 1), 3 * normal(40_000, 4, 2, shift=0.5)
        assert frechet_distance(first, second) == pytest.approx(4 * 1.5**2 + 4 * 2**2, rel=0.02)

    def test_neither_order_nor_sides_count(self):
        first, second = normal(30, seed=1), normal(20, seed=2, shift=0.3)
        value = frechet_distance(first, second)
        assert frechet_distance(second[::-1], first[np.random.default_rng(0).permutation(30)]) == pytest.approx(value)


class TestKernel:
    def test_one_source_gives_0_on_average_and_a_biased_form_would_not(self):
        found = [kernel_distance(normal(12, seed=s), normal(9, seed=s + 500), n_resamples=0).value for s in range(300)]
        error = np.std(found) / 300**0.5
        assert abs(np.mean(found)) < 3 * error
        assert 0.3 < np.mean(np.array(found) > 0) < 0.7
        assert error < 0.02  # Of a bias 2 k(x, x) / n of about 1.

    @pytest.mark.parametrize(("known", "is_biased"), [(True, False), (False, True)])
    def test_frames_of_few_patients_are_no_difference_when_their_patients_are_known(self, known, is_biased):
        found = []
        for seed in range(200):
            patients = [normal(n, seed=seed + s) for n, s in ((8, 0), (6, 1000))]
            frames = [np.repeat(p, 5, axis=0) + 0.2 * normal(5 * len(p), seed=seed + 7) for p in patients]
            groups = [np.repeat(np.arange(len(p)), 5) if known else None for p in patients]
            found.append(kernel_distance(*frames, *groups, n_resamples=0).value)
        assert (np.mean(found) > 5 * np.std(found) / 200**0.5) == is_biased

    def test_it_equals_the_sum_over_all_pairs(self):
        first, second = normal(7, 5, 1), normal(6, 5, 2, shift=0.4)

        def k(x, y):
            return (x @ y / 5 + 1) ** 3

        within = [
            np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (first, second)
        ]
        want = sum(within) - 2 * np.mean([k(x, y) for x in first for y in second])
        assert kernel_distance(first, second).value == pytest.approx(want)

    def test_a_shift_is_seen_and_its_interval_leaves_0_out(self):
        found = kernel_distance(normal(60, seed=1), normal(60, seed=2, shift=0.6))
        assert found.value > found.low > 0 and found.high > found.value and found.n_groups == (60, 60)

    def test_intervals_cover_the_true_distance_about_as_they_say(self):
        shift, d = 0.4, 8
        truth = kernel_distance(normal(3000, d, 1), normal(3000, d, 2, shift=shift), n_resamples=0).value
        hits = 0
        for seed in range(120):
            found = kernel_distance(
                normal(25, d, 10 + seed), normal(30, d, 900 + seed, shift=shift), n_resamples=300, seed=seed
            )
            hits += found.low <= truth <= found.high
        assert hits / 120 == pytest.approx(0.95, abs=0.06)

    def test_order_does_not_count_and_the_seed_decides_the_interval(self):
        first, second = normal(20, seed=1), normal(30, seed=2)
        one = kernel_distance(first, second, seed=3)
        assert one == kernel_distance(first, second, seed=3)
        assert one.low != kernel_distance(first, second, seed=4).low
        assert one.value == pytest.approx(kernel_distance(first[::-1], second, seed=3).value)

    def test_json_has_none_for_an_interval_that_was_not_asked_for(self):
        found = kernel_distance(normal(5), normal(5, seed=1), n_resamples=0).to_json()
        assert found["low"] is None and found["high"] is None and found["n_groups"] == [5, 5]


class TestInceptionScore:
    def test_it_is_1_where_all_images_look_alike(self):
        assert inception_score(np.tile([0.7, 0.2, 0.1], (40, 1))).value == pytest.approx(1)

    def test_it_is_the_number_of_classes_where_all_are_sure_and_even(self):
        found = inception_score(np.tile(np.eye(4), (25, 1)), n_splits=1)
        assert found.value == pytest.approx(4) and found.n_classes == 4

    def test_it_lies_between(self):
        for seed in range(20):
            p = np.random.default_rng(seed).dirichlet([0.3] * 5, size=50)
            assert 1 <= inception_score(p).value <= 5

    def test_fewer_images_than_splits_and_rows_that_are_no_probabilities_are_refused(self):
        with pytest.raises(UnsuitableInputError, match="in 10 splits needs at least as many images; found 4"):
            inception_score(np.eye(4))
        with pytest.raises(UnsuitableInputError, match="that sum to 1; found an array of shape"):
            inception_score(np.ones((20, 3)))


class TestCoverage:
    def test_two_draws_of_one_source_cover_each_other(self):
        precision, recall = precision_and_recall(normal(200, 4, 1), normal(200, 4, 2))
        assert precision > 0.7 and recall > 0.7

    def test_a_collapsed_set_keeps_precision_and_loses_recall(self):
        real = normal(200, 4, 1)
        precision, recall = precision_and_recall(real, np.repeat(real[:2], 50, axis=0))
        assert precision == 1 and recall < 0.05

    def test_the_radius_is_the_distance_to_the_third_other_image(self):
        real = np.array([[0.0], [1.0], [2.0], [3.0]])  # Radii 3, 2, 2, 3.
        for far, is_among in ((5.9, True), (6.1, False)):
            other = np.array([[far], [far], [far], [far]])
            assert precision_and_recall(real, other)[0] == is_among

    def test_a_set_far_away_has_neither(self):
        assert precision_and_recall(normal(50, 4, 1), normal(50, 4, 2, shift=20)) == (0, 0)

    def test_mean_distance_and_nearest_distance_are_those_of_all_pairs(self):
        features, groups = normal(600, 3, 1), np.arange(600) // 4
        far = np.linalg.norm(features[:, None] - features[None], axis=2)
        other = groups[:, None] != groups[None]
        assert mean_pairwise_distance(features, groups) == pytest.approx(far[other].mean())
        assert nearest_distances(features, groups) == pytest.approx(np.where(other, far, np.inf).min(axis=1))


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(UnsuitableInputError, match="at least 2 in each; found 1 and 5"):
        frechet_distance(normal(1), normal(5))
    with pytest.raises(UnsuitableInputError, match="finite features"):
        frechet_distance(normal(4) * np.nan, normal(5))
    with pytest.raises(UnsuitableInputError, match="at least 2 patients in each set"):
        kernel_distance(normal(4), normal(4), ["A"] * 4)
    with pytest.raises(UnsuitableInputError, match="more than 3 images in each set"):
        precision_and_recall(normal(3), normal(5))
