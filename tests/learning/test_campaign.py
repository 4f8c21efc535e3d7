"""Campaigns on a pool whose best order is known: what is held out stays so, strategies differ by their labels only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.acquisition import Candidates
from liver_models.learning.campaign import CampaignOptions, Unit, digest_of, run_campaign, split_of
from liver_models.learning.campaign_summary import summarise

QUICK = CampaignOptions(n_seeds=3, n_start=4, batch=3, n_reference=2)


class Places:
    """Cases of a few places, several of each patient; the quality is the share of test places that were labelled."""

    quality_name, chance, data = "share of places", None, "simulated"

    def __init__(self, n_patients=30, n_places=8, n_classes=0):
        rng = np.random.default_rng(0)
        self.n_cases = 2 * n_patients
        self.case_ids = [f"C{k:03d}" for k in range(self.n_cases)]
        self.patient_ids = [f"P{k // 2:02d}" for k in range(self.n_cases)]
        # Most cases lie at one place, so that chance is slow to find the others.
        self.place = np.where(rng.random(self.n_cases) < 0.7, 0, rng.integers(n_places, size=self.n_cases))
        self.labels = [k % n_classes for k in range(self.n_cases)] if n_classes else None
        self.fits, self.tested = [], []

    def fit(self, indices, seed):
        self.fits.append((tuple(indices), seed))
        return set(self.place[indices])

    def candidates(self, model, indices, labelled):
        assert not set(indices) & set(labelled)
        return Candidates(
            [self.case_ids[k] for k in indices],
            [self.patient_ids[k] for k in indices],
            features=self.place[indices, None],
            labelled_patients=[self.patient_ids[k] for k in labelled],
            labelled_features=self.place[labelled, None],
        )

    def quality(self, model, test_indices):
        self.tested.append(tuple(test_indices))
        return float(np.mean([place in model for place in self.place[test_indices]]))


class Memory(dict):
    """Records that live as long as the test."""

    def load(self, name):
        return self.get(name)

    save = dict.__setitem__


def test_every_round_adds_a_batch_until_the_pool_is_labelled():
    for unit in run_campaign(Places(), QUICK):
        assert unit.n_labels[0] == 4 and unit.n_labels[-1] == unit.n_pool == len(set(unit.asked))
        assert set(np.diff(unit.n_labels)[:-1]) == {3}
        assert unit.quality[-1] == pytest.approx(unit.full_quality)


def test_nobody_tested_is_ever_learnt_from():
    learner = Places()
    run_campaign(learner, QUICK)
    for seed in QUICK.seeds:
        split = split_of(learner, QUICK, seed)
        patients = [{learner.patient_ids[k] for k in part} for part in (split.pool, split.test)]
        assert not patients[0] & patients[1]
        assert set(split.start) <= set(split.pool)
    tests = {split_of(learner, QUICK, seed).test.tobytes() for seed in QUICK.seeds}
    assert {np.array(found, dtype=np.intp).tobytes() for found in learner.tested} == tests and len(tests) == 3
    pools = [set(split_of(learner, QUICK, seed).pool) for seed in QUICK.seeds]
    assert all(any(set(indices) <= pool for pool in pools) for indices, _ in learner.fits)


def test_strategies_of_a_seed_share_start_and_training_draws():
    learner = Places()
    units = run_campaign(learner, replace(QUICK, strategies=("core_set",), n_seeds=2))
    assert [(u.seed, u.strategy) for u in units] == [
        (0, "random"), (0, "core_set"), (1, "random"), (1, "core_set"),
    ]  # fmt: skip
    for first, second in (units[:2], units[2:]):
        assert first.asked[:4] == second.asked[:4] and first.quality[0] == second.quality[0]
        assert first.asked != second.asked
    assert units[0].asked[:4] != units[2].asked[:4]


def test_only_strategies_that_the_learner_can_serve_are_replayed():
    assert {unit.strategy for unit in run_campaign(Places(), QUICK)} == {"random", "core_set", "coverage", "default"}
    with pytest.raises(UnsuitableInputError, match="'entropy' needs probability or member_probability.*found features"):
        run_campaign(Places(), replace(QUICK, strategies=("entropy",)))


@pytest.mark.slow
def test_core_set_finds_scattered_places_with_fewer_labels_than_chance():
    summary = summarise(run_campaign(Places(60), replace(QUICK, n_seeds=6)))
    found = summary.of("core_set", "quality")
    assert found.ratio < 0.7 and found.ratio_high < 1
    assert found.ratio_low < found.ratio < found.ratio_high


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_start_holds_every_class_and_is_random_beside(n_classes):
    learner = Places(n_classes=n_classes)
    starts = [split_of(learner, QUICK, seed).start for seed in range(20)]
    assert all(len(start) == 4 and len({learner.labels[k] for k in start}) == n_classes for start in starts)
    assert len({start.tobytes() for start in starts}) == 20


def test_the_same_campaign_twice_gives_the_same_and_does_not_depend_on_the_other_strategies():
    whole = run_campaign(Places(), QUICK)
    assert run_campaign(Places(), QUICK) == whole
    alone = run_campaign(Places(), replace(QUICK, strategies=("default",)))
    assert alone == [unit for unit in whole if unit.strategy in ("random", "default")]


def test_a_campaign_that_was_stopped_goes_on_without_repeating_a_unit():
    records, reports = Memory(), []

    def stop(done, total):
        reports.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(Places(), QUICK, records, stop)
    assert reports == [(k, 12) for k in range(5)] and len(records) == 4
    records["random_seed_0000"]["full_quality"] = 0.125
    units = run_campaign(Places(), QUICK, records)
    assert units[0].full_quality == 0.125
    assert units[1:] == run_campaign(Places(), QUICK)[1:]
    again = Places()
    run_campaign(again, replace(QUICK, strategies=("core_set", "coverage", "default")), records)
    assert again.fits == []


def test_the_digest_changes_with_what_a_unit_depends_on_and_with_nothing_else():
    learner = Places()
    digest = digest_of(learner, QUICK)
    assert digest_of(learner, replace(QUICK, n_seeds=9, strategies=("random",), first_seed=3)) == digest
    assert digest_of(learner, replace(QUICK, batch=4)) != digest
    assert digest_of(Places(31), QUICK) != digest
    learner.digest = "other images"
    assert digest_of(learner, QUICK) != digest


def unit(seed, strategy, quality, full=0.9, n_pool=40):
    return Unit(seed, strategy, tuple(range(4, 4 + 2 * len(quality), 2)), tuple(quality), (), full, n_pool)


def test_labels_needed_are_counted_to_the_first_round_that_reaches_each_target():
    # 95 % of 0.9 is 0.855; 95 % of the gain over 0.5 is 0.88.
    units = [
        unit(0, "random", [0.6, 0.7, 0.8, 0.86, 0.89]),
        unit(0, "default", [0.6, 0.86, 0.89, 0.8, 0.9]),
        unit(1, "random", [0.86, 0.86, 0.86, 0.86, 0.88]),
        unit(1, "default", [0.86, 0.88, 0.86, 0.86, 0.89]),
    ]
    summary = summarise(units, chance=0.5)
    assert summary.of("random", "quality").labels == (10, 4)
    assert summary.of("default", "quality").labels == (6, 4)
    assert summary.of("default", "quality").ratio == pytest.approx(10 / 14)
    assert summary.of("default", "quality").median_ratio == pytest.approx((0.6 + 1) / 2)
    assert summary.of("default", "quality").n_at_start == 1
    assert summary.of("random", "gain").labels == (12, 12)
    assert summary.of("default", "gain").labels == (8, 6)
    assert summary.of("default", "gain").ratio == pytest.approx(14 / 24)
    # Means at 4, 6, 8 labels: 0.73, 0.87, 0.875.
    assert summary.of("default", "quality").mean_curve_labels == 6
    assert summary.of("random", "quality").ratio == 1
    assert {one.target for one in summarise(units).needed} == {"quality"}


def test_a_repetition_that_never_arrives_counts_as_the_pool_and_is_told():
    units = [unit(0, "random", [0.6, 0.86]), unit(0, "default", [0.6, 0.7])]
    units += [unit(1, "random", [0.6, 0.86]), unit(1, "default", [0.9, 0.9])]
    found = summarise(units).of("default", "quality")
    assert found.labels == (40, 4) and found.n_not_reached == 1
    assert found.ratio == pytest.approx(44 / 12)


def test_the_interval_of_the_ratio_is_paired():
    # Each repetition needs a third of what chance needs, however hard it is: nothing is uncertain.
    units = []
    for seed, n in enumerate((3, 6, 12, 24)):
        units.append(unit(seed, "random", [0.0] * (3 * n - 2) + [0.9], n_pool=999))
        units.append(unit(seed, "default", [0.0] * (n - 2) + [0.9] * (2 * n + 1), n_pool=999))
    found = summarise(units).of("default", "quality")
    assert found.ratio_low == pytest.approx(1 / 3) and found.ratio_high == pytest.approx(1 / 3)


def test_curves_are_means_with_their_intervals_over_rounds_that_all_have():
    units = [unit(0, "random", [0.5, 0.7, 0.9]), unit(1, "random", [0.7, 0.9])]
    (curve,) = summarise(units).curves
    assert curve.n_labels == (4, 6) and curve.mean == pytest.approx((0.6, 0.8))
    assert all(low <= mean <= high for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True))


def test_a_summary_refuses_a_strategy_that_lacks_a_repetition():
    with pytest.raises(ValueError, match="every strategy once in every repetition"):
        summarise([unit(0, "random", [0.5]), unit(1, "random", [0.5]), unit(0, "default", [0.5])])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n_seeds": 0}, "n_seeds from 1 to 1000; found 0"),
        ({"batch": 0}, "batch from 1"),
        ({"n_start": 1}, "n_start from 2"),
        ({"first_seed": -1}, "seed from 0; found -1"),
        ({"test_fraction": 0.95}, "0.1 to 0.9; found 0.95"),
        ({"max_labels": 4}, "more labels than the 4"),
        ({"strategies": ("luck",)}, "one of random.*found 'luck'"),
    ],
)
def test_options_out_of_range_are_refused(changes, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        replace(QUICK, **changes)


def test_a_pool_that_is_too_small_is_refused():
    with pytest.raises(UnsuitableInputError, match="larger pool; found"):
        run_campaign(Places(6), replace(QUICK, n_start=30))
    with pytest.raises(UnsuitableInputError, match="each of 4 classes; found room for 2"):
        run_campaign(Places(n_classes=4), replace(QUICK, n_start=2))
