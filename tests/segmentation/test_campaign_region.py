"""The liver's outline as a campaign's task: pictures with maps, and a head on a frozen network."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.segmentation import campaign_region
from liver_models.segmentation.campaign_region import RegionLearner, simulated_learner
from liver_models.segmentation.region_pictures import LIVER_COLOUR, read_pictures
from liver_models.segmentation.region_sectors import simulate_sector, simulated_sectors


@pytest.fixture(scope="module")
def learner():
    return simulated_learner(40, seed=3)


@pytest.fixture
def pictures(tmp_path):
    """Two frames: a liver in colour, and one that shows none."""
    for name in ("images", "organ_maps"):
        (tmp_path / name).mkdir()
    for name, colour in (("h1", LIVER_COLOUR), ("h2", (0, 100, 100))):
        Image.fromarray(np.full((40, 50), 90, np.uint8)).save(tmp_path / "images" / f"{name}.jpg")
        organs = np.zeros((40, 50, 3), np.uint8)
        organs[10:30, 10:30] = colour
        Image.fromarray(organs).save(tmp_path / "organ_maps" / f"{name}.png")
    return tmp_path


def test_a_sector_is_the_same_from_the_same_seed_and_black_outside():
    image, region = simulate_sector(np.random.default_rng([4, 1]))
    again, _ = simulate_sector(np.random.default_rng([4, 1]))
    assert np.array_equal(image, again) and not image[-1, 0] and not (region & (image == 0)).any()


def test_most_sectors_show_a_liver_of_some_size():
    shares = np.array([example.region.mean() for example in simulated_sectors(60, 9)])
    assert 0.5 < (shares > 0).mean() < 1 and shares[shares > 0].min() >= 0.02 and shares.max() > 0.3


def test_the_liver_is_told_from_other_organs_by_its_colour(pictures):
    found = read_pictures(pictures)
    assert [example.case_id for example in found] == ["h1"] and found[0].region.sum() == 400
    assert found[0].patient_id == "h1" and not found[0].is_simulated


def test_patients_come_from_a_table(pictures):
    (pictures / "patients.csv").write_text("name,patient\nh1,anna\n")
    assert read_pictures(pictures)[0].patient_id == "anna"


def test_a_grey_map_marks_the_liver_white(pictures):
    grey = np.zeros((40, 50), np.uint8)
    grey[:5] = 255
    Image.fromarray(grey).save(pictures / "organ_maps" / "h2.png")
    assert [example.region.sum() for example in read_pictures(pictures)] == [400, 250]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (lambda p: (p / "organ_maps" / "h1.png").unlink(), "found 1 without"),
        (lambda p: (p / "images" / "h1.jpg").unlink(), "'h1.png' needs an image"),
        (lambda p: (p / "images" / "h1.jpg").write_bytes(b"no"), "'h1.jpg' cannot be read"),
        (lambda p: (p / "patients.csv").write_text("a,b\n1,2\n"), "columns name and patient"),
        (lambda p: Image.new("L", (9, 9), 3).save(p / "images" / "h1.jpg"), "size of its image"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused(pictures, fault, sentence):
    fault(pictures)
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_pictures(pictures)


def test_a_head_learns_from_more_images(learner):
    test = np.arange(learner.n_cases - 10, learner.n_cases)
    few, many = (learner.quality(learner.fit(np.arange(n), 0), test) for n in (2, learner.n_cases - 10))
    assert many > few + 0.03


def test_a_head_sees_the_outlines_of_its_own_images_only(learner):
    labelled, rest = np.arange(8), np.arange(8, learner.n_cases)
    other = RegionLearner.__new__(RegionLearner)
    other.__dict__ |= {key: value for key, value in learner.__dict__.items() if key != "_sums"}
    other.regions = learner.regions.copy()
    other.regions[rest] = ~other.regions[rest]
    asked = [one.candidates(one.fit(labelled, 1), rest, labelled) for one in (learner, other)]
    for name in ("uncertainty", "features", "distance"):
        assert np.array_equal(getattr(asked[0], name), getattr(asked[1], name))
    assert np.ptp(asked[0].uncertainty) > 0


def test_simulated_images_are_not_read_by_the_package_network(learner, monkeypatch):
    monkeypatch.setattr(campaign_region, "load_weights", lambda *args: pytest.fail("the package's weights were read"))
    assert campaign_region.feature_maps(learner.images[:1], "ultrasound", is_trained=False).shape[:2] == (1, 32 * 32)


def test_too_few_images_are_refused(pictures):
    with pytest.raises(UnsuitableInputError, match="at least 12 outlined images"):
        RegionLearner(read_pictures(pictures))


def test_the_command_replays_outlines(tmp_path):
    words = "simulate --task liver_roi --subjects 24 --seeds 2 --start 3 --batch 5 --strategies default".split()
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["data"] == "simulated" and "Dice" in json.dumps(found)
