"""The networks that outline the liver learn, go on, share a batch, and refuse what they cannot learn from."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.overlap import dice
from liver_models.segmentation.clicks import Clicks
from liver_models.segmentation.region_image import RegionExample
from liver_models.segmentation.region_model import RegionModel, quality_line
from liver_models.segmentation.region_options import RegionOptions
from liver_models.segmentation.region_training import train_region

TINY = {"epochs": 2, "batch_size": 4, "min_steps": 2, "patience": 9}


def discs(n, seed=0, kind="ultrasound"):
    """A bright disc on a darker ground, which is all the network has to find."""
    rng, rows, found = np.random.default_rng(seed), np.arange(96), []
    for k in range(n):
        centre, radius = rng.uniform(35, 60, 2), rng.uniform(15, 25)
        region = (rows[:, None] - centre[0]) ** 2 + (rows[None] - centre[1]) ** 2 < radius**2
        image = np.where(region, 160, 70) + rng.normal(0, 12, region.shape)
        found.append(RegionExample(f"disc-{k}", f"disc-{k}", kind, np.clip(image, 1, 255), region, True))
    return found


class _StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def trained():
    return train_region(discs(12), RegionOptions(epochs=4, min_steps=6))


def test_it_finds_discs_it_has_not_seen_and_says_how_sure(trained):
    model = RegionModel(trained)
    proposals = [(model.propose(one.image, "ultrasound"), one) for one in discs(6, seed=9)]
    assert np.mean([dice(p.region, one.region) for p, one in proposals]) > 0.85
    assert all(0 <= p.quality_low <= p.quality <= p.quality_high <= 1 and p.disagreement >= 0 for p, _ in proposals)
    assert trained.card["is_trained_on_simulated_data"]


def test_the_quality_on_measured_images_is_not_known_after_simulated_ones_only(trained):
    model = RegionModel(trained)
    assert model.knows_quality("ultrasound", True) and not model.knows_quality("ultrasound", False)
    measured = [RegionExample(e.case_id, e.case_id, e.kind, e.image, e.region) for e in discs(8)]
    assert RegionModel(train_region(measured, RegionOptions(**TINY))).knows_quality("ultrasound", False)


def test_no_region_lies_where_the_image_is_black(trained):
    one = discs(1, seed=5)[0]
    image = np.where(np.arange(96)[:, None] < 40, one.image, 0)
    assert not RegionModel(trained).propose(image, "ultrasound").region[40:].any()


def test_clicks_hold(trained):
    one = discs(1, seed=5)[0]
    inside = np.argwhere(one.region)[one.region.sum() // 2]
    clicks = Clicks(foreground=np.array([[5.0, 90.0]]), background=inside[None].astype(float))
    found = RegionModel(trained).propose(one.image, "ultrasound", clicks).region
    assert found[5, 90] and not found[tuple(inside)]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first, second, other = (train_region(discs(8), RegionOptions(seed=s, **TINY)) for s in (1, 1, 2))
    assert all(np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    assert not all(np.array_equal(first.tensors[name], other.tensors[name]) for name in first.tensors)


def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path):
    options = RegionOptions(**{**TINY, "epochs": 3})

    def stop(report):
        if report.epoch == 1:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        train_region(discs(8), options, folder=tmp_path, progress=stop)
    resumed = train_region(discs(8), options, folder=tmp_path)
    whole = train_region(discs(8), options)
    assert all(np.array_equal(resumed.tensors[name], whole.tensors[name]) for name in whole.tensors)
    with pytest.raises(UnsuitableInputError, match="another training"):
        train_region(discs(9), options, folder=tmp_path)


def test_two_processes_have_the_loss_of_one_and_leave_a_checkpoint_only(tmp_path):
    (tmp_path / "ultrasound" / "processes-killed").mkdir(parents=True)
    told = {1: [], 2: []}
    for processes, reports in told.items():
        options = RegionOptions(**TINY, processes=processes)
        train_region(discs(8), options, folder=tmp_path if processes > 1 else None, progress=reports.append)
    assert [path.name for path in (tmp_path / "ultrasound").iterdir()] == ["checkpoint.safetensors"]
    losses = {n: [r.loss for r in reports if r.loss is not None] for n, reports in told.items()}
    assert len(losses[2]) == TINY["epochs"]
    assert losses[2] == pytest.approx(losses[1], rel=2e-4)


def test_a_training_of_one_kind_keeps_the_other(trained):
    both = train_region(discs(8, kind="mri"), RegionOptions(**TINY), start=trained)
    assert set(both.card["config"]["kinds"]) == {"ultrasound", "mri"}
    assert all(np.array_equal(both.tensors[name], trained.tensors[name]) for name in trained.tensors)


def test_expected_dice_follows_the_agreement_and_few_images_do_not_turn_it_over():
    agreement = np.linspace(0.5, 1, 40)
    line = quality_line(agreement, 0.9 * agreement)
    assert line["slope"] == pytest.approx(0.9, abs=0.02) and line["std"] < 0.1
    few = quality_line(np.array([0.9, 0.91]), np.array([0.9, 0.85]))
    assert 0 < few["slope"] < 1


@pytest.mark.parametrize(
    ("examples", "sentence"),
    [
        ([], "found 0 with ultrasound images and 0 with mri images"),
        (discs(3), "found 3 with ultrasound images"),
        (
            [RegionExample(e.case_id, e.case_id, e.kind, e.image, np.zeros_like(e.region)) for e in discs(5)],
            "all images are empty",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(examples, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        train_region(examples, RegionOptions(**TINY))


def test_images_and_clicks_that_cannot_be_used_are_refused(trained):
    model = RegionModel(trained)
    with pytest.raises(UnsuitableInputError, match="black all over"):
        model.propose(np.zeros((64, 64)), "ultrasound")
    with pytest.raises(UnsuitableInputError, match="Train on such images first"):
        model.propose(np.ones((64, 64)), "mri")
    with pytest.raises(UnsuitableInputError, match="lie on the image"):
        Clicks.from_json({"foreground": [[70, 3]]}, (64, 64))
    with pytest.raises(UnsuitableInputError, match="three corners"):
        Clicks.from_json({"contour": [[1, 3], [2, 5]]}, (64, 64))
    with pytest.raises(UnsuitableInputError, match="size of its image"):
        RegionExample("a", "a", "mri", np.ones((64, 64)), np.ones((64, 63), bool))
