"""The chosen field: smooth, never higher in energy than before, and right where a voxel alone would be wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from liver_models.mri.graph_cut import FieldEnergy, link_neighbours


def small_problem(seed, shape=(3, 3), n_candidates=3, period=100.0):
    """A random labelling problem, small enough to try every labelling."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    fields = np.sort(rng.uniform(0, period, (n_candidates, n)), axis=0).astype(np.float32)
    costs = rng.exponential(3.0, (n_candidates, n)).astype(np.float32)
    return FieldEnergy(fields, costs, link_neighbours(np.ones(shape, bool), 0.08), period, 2.0)


def best_of_all(problem, n_candidates=3):
    n = problem.cost.shape[1]
    return min(problem.of(np.array(labels)) for labels in itertools.product(range(n_candidates), repeat=n))


@pytest.mark.parametrize("seed", range(6))
def test_small_problems_end_within_two_percent_of_the_best_labelling(seed):
    problem = small_problem(seed)
    labels = problem.minimise(problem.cost.argmin(axis=0), np.arange(16) * 100 / 16)
    assert problem.of(labels) <= 1.02 * best_of_all(problem)


@pytest.mark.parametrize("period", [100.0, None])
def test_a_fusion_never_costs_more_than_keeping_all_or_taking_all_when_nothing_is_truncated(period):
    problem = small_problem(3, shape=(6, 5), period=100.0)
    problem.period_hz = period
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 30)
    shifted = np.minimum(labels + 1, 2)
    fused = problem.fuse(labels, shifted)
    if period is None:
        assert problem.of(fused) <= min(problem.of(labels), problem.of(shifted)) + 1e-3
    assert np.all((fused == labels) | (fused == shifted))


def test_a_voxel_whose_data_favour_a_swap_follows_its_neighbours():
    fields = np.stack([np.full(25, 10.0), np.full(25, 227.0)]).astype(np.float32)
    costs = np.stack([np.zeros(25), np.full(25, 4.0)]).astype(np.float32)
    costs[:, 12] = [6.0, 0.0]
    problem = FieldEnergy(fields, costs, link_neighbours(np.ones((5, 5), bool), 0.08), None, 5.0)
    labels = problem.minimise(costs.argmin(axis=0), [0.0, 100.0, 200.0])
    assert np.all(labels == 0)


def test_a_region_with_enough_evidence_keeps_its_own_field():
    fields = np.stack([np.full(64, 10.0), np.full(64, 110.0)]).astype(np.float32)
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    costs = np.where(inside.ravel(), [[40.0], [0.0]], [[0.0], [40.0]]).astype(np.float32)
    problem = FieldEnergy(fields, costs, link_neighbours(np.ones((8, 8), bool), 0.08), None, 5.0)
    labels = problem.minimise(np.zeros(64, int), [0.0, 100.0])
    assert np.array_equal(labels.reshape(8, 8) == 1, inside)


def test_fields_a_period_apart_are_the_same_field():
    problem = small_problem(0)
    first, second = np.array([3.0, 50.0]), np.array([99.0, 51.0])
    problem.links = link_neighbours(np.ones((1, 3), bool), 0.08)
    assert problem.smoothness(first, second)[0] == pytest.approx(problem.smoothness(first, first - 4.0)[0], rel=1e-5)


def test_islands_are_linked_across_air_more_weakly_than_neighbours():
    mask = np.zeros((1, 10), bool)
    mask[0, [0, 1, 5]] = True
    links = link_neighbours(mask, 1.0)
    weights = dict(
        zip(zip(links.first.tolist(), links.second.tolist(), strict=True), links.weight.tolist(), strict=True)
    )
    assert weights[(0, 1)] == pytest.approx(4 * weights[(1, 2)])


def test_nothing_is_linked_across_more_than_the_widest_gap():
    mask = np.zeros((1, 100), bool)
    mask[0, [0, 99]] = True
    assert link_neighbours(mask, 1.0).first.size == 0
