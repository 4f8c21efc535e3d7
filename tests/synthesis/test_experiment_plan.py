"""Which units the experiments consist of, at the papers' sizes, and what their options refuse."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.experiment.gan_options import GanExperimentOptions
from liver_models.synthesis.experiment.gan_plan import plan_gan
from liver_models.synthesis.experiment.options import (
    DATA,
    MODELS,
    PAPER_MODELS,
    Arm,
    NafldExperimentOptions,
    arms_of,
)
from liver_models.synthesis.experiment.plan import plan_nafld
from liver_models.synthesis.generator import KINDS
from liver_models.ultrasound import nafld_options
from liver_models.ultrasound.frames import FrameSet


def public_set(n_healthy: int = 17, n_fatty: int = 38, n_frames: int = 10) -> FrameSet:
    """Blank frames with the numbers of the public set."""
    answers = np.repeat(np.arange(n_healthy + n_fatty) >= n_healthy, n_frames)
    patients = np.repeat([f"p{k:02d}" for k in range(n_healthy + n_fatty)], n_frames)
    names = tuple(f"{patient}/{k}" for k, patient in enumerate(patients))
    return FrameSet(np.zeros((len(patients), 4, 4), np.uint8), answers, tuple(patients), names, True)


def paper(**changes) -> NafldExperimentOptions:
    """The paper's configuration, with ImageNet weights at hand."""
    return NafldExperimentOptions(size="paper", imagenet=dict.fromkeys(PAPER_MODELS, "0" * 64), **changes)


def test_the_papers_configuration_has_the_papers_units():
    data = ("none", "geometric", "ldm_semantic", "ldm_class")
    plan = plan_nafld(paper(data=data), public_set())
    per_arm = Counter(arm for arm, _, _ in plan.classifiers)
    ways = 1 + 3 * 4  # Real only, and three kinds of data at four rates.
    main = [arm for arm in per_arm if (arm.model, arm.variant) == ("resnet50", "default")]
    assert len(main) == ways and all(per_arm[arm] == 5 * 25 for arm in main)
    assert {arm.rate for arm in main} == {0, 0.5, 1, 1.5, 2}
    for variant, n_seeds in (("all_frozen", 25), ("all_unfrozen", 25), ("oversampled", 5)):
        found = [arm for arm in per_arm if arm.variant == variant]
        assert len(found) == ways and all(per_arm[arm] == 5 * n_seeds for arm in found)
    for model in ("efficientnet_b0", "efficientnet_v2_s"):
        found = {(arm.data, arm.rate): per_arm[arm] for arm in per_arm if arm.model == model}
        assert found == {("none", 0.0): 125, ("ldm_semantic", 1.5): 125}
    units = Counter(unit.kind for unit in plan.units)
    assert units["generator"] == units["draw"] == units["judge"] == 2 * 5
    for unit in plan.units:
        if unit.kind == "draw":
            assert abs(unit.params["n_healthy"] + unit.params["n_fatty"] - 2000) <= 1


def test_the_default_configuration_leaves_out_what_needs_imagenet_and_says_so():
    assert NafldExperimentOptions().all_variants == ("default",)
    assert "all_frozen" not in NafldExperimentOptions(size="paper").all_variants
    with pytest.raises(UnsuitableInputError, match="all_frozen needs a network that starts from ImageNet"):
        NafldExperimentOptions(variants=("default", "all_frozen"))
    arms = arms_of(NafldExperimentOptions())
    assert {(arm.data, arm.rate) for arm in arms} == {
        ("none", 0.0),
        *((data, 1.5) for data in DATA[1:]),
    }


def test_the_baseline_of_every_arm_is_trained_with_the_same_seeds():
    arms = arms_of(paper())
    for arm, seeds in arms.items():
        assert arms[arm.baseline][: len(seeds)] == seeds == arms[arm.baseline]
    assert Arm("none", 0.0, "resnet50", "oversampled") in arms


def test_every_frame_is_held_out_once_and_no_patient_is_on_both_sides():
    frames = public_set()
    plan = plan_nafld(NafldExperimentOptions(), frames)
    assert sorted(np.concatenate([held_out for _, held_out in plan.folds])) == list(range(550))
    for train, held_out in plan.folds:
        assert not frames.subset(train).patients & frames.subset(held_out).patients


def test_a_unit_hangs_on_what_it_is_made_from_and_on_nothing_else():
    frames = public_set()
    base = plan_nafld(NafldExperimentOptions(), frames)
    more = plan_nafld(NafldExperimentOptions(n_seeds=4), frames)
    names = {unit.name for unit in base.units}
    assert names < {unit.name for unit in more.units}  # More seeds compute only what is new.
    longer = plan_nafld(NafldExperimentOptions(generator={"ldm_class": {"steps": 9}}), frames)
    changed = {unit.place for unit in longer.units if unit.name not in names}
    assert changed and all("ldm_class" in place for place in changed)
    filtered = plan_nafld(NafldExperimentOptions(is_filtered=True), frames)
    draws = [unit for unit in filtered.units if unit.kind == "draw"]
    kept = {unit.place: unit.params for unit in filtered.units if unit.kind == "filter"}
    assert all(abs(unit.params["n_fatty"] - 2 * kept[unit.place]["n_fatty"]) <= 1 for unit in draws)


def test_the_stacked_gans_paper_has_its_numbers_in_every_split():
    frames = public_set()
    plan = plan_gan(GanExperimentOptions(size="paper"), frames)
    assert len(plan.splits) == 5 and len({tuple(test) for _, test in plan.splits}) == 5
    for train, test in plan.splits:
        learnt, tested = frames.subset(train), frames.subset(test)
        assert (int((~tested.is_fatty).sum()), int(tested.is_fatty.sum())) == (70, 70)
        assert (int((~learnt.is_fatty).sum()), int(learnt.is_fatty.sum())) == (100, 310)
        assert not learnt.patients & tested.patients
    units = Counter(unit.kind for unit in plan.units)
    assert units == {"generator": 30, "draw": 30, "judge": 30, "classifier": 35}
    expanded = [unit for unit in plan.units if unit.kind == "classifier" and "n_added" in unit.params]
    assert all(unit.params["n_added"] == [400, 190] for unit in expanded)
    assert all(unit.params["n_judged"] == 400 for unit in plan.units if unit.kind == "judge")


def test_names_are_those_of_the_parts():
    assert MODELS == nafld_options.MODELS and DATA[2:] == KINDS


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"data": ("none", "ct")}, "needs data among none, geometric.*found 'ct'"),
        ({"models": ("small", "small")}, "each of models once"),
        ({"variants": ("frozen",)}, "needs variants among"),
        ({"rates": (0.0, -1.0)}, "rates need to be from 0 to 10; found 0, -1"),
        ({"rates": ()}, "found none"),
        ({"n_folds": 1}, "2 to 20 folds"),
        ({"size": "huge"}, "a size of small, paper"),
    ],
)
def test_options_that_cannot_be_used_are_refused(values, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        NafldExperimentOptions(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gans": ("dcgan", "wgan")}, "needs GANs among dcgan"),
        ({"model": "vgg"}, "a model of small"),
        ({"n_repeats": 0}, "1 to 100 repeats"),
    ],
)
def test_options_of_the_gan_experiment_that_cannot_be_used_are_refused(values, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        GanExperimentOptions(**values)


def test_too_few_patients_for_the_folds_are_refused():
    with pytest.raises(UnsuitableInputError, match="5 folds need at least 5 patients of each class"):
        plan_nafld(NafldExperimentOptions(), public_set(3, 20))
