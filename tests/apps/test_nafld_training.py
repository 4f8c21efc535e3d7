"""Trainings on answers to ``nafld``: who may be seen by whom, what is mixed in, refused and published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from nafld_cases import import_livers

from liver_apps.liver.lib import nafld_job
from liver_apps.liver.lib.trainers import nafld_training
from liver_apps.liver.lib.trainers.job import TrainingRequest
from liver_apps.liver.lib.trainers.nafld_cases import read_nafld_cases
from liver_apps.liver.lib.trainers.options import TrainOptions
from liver_models.errors import UnsuitableInputError
from liver_models.io.case import manifest_path
from liver_models.ultrasound.nafld_options import NafldOptions
from liver_models.ultrasound.nafld_training import training_parts

N_PATIENTS = 16


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("livers")
    import_livers(folder / "studies", folder / "pictures", N_PATIENTS)
    return folder / "studies"


@pytest.fixture
def asked(studies, tmp_path):
    """What a training is asked: every case, and where its checkpoint lies."""
    sources = tuple(sorted(studies.glob("*.case.json")))
    return TrainingRequest(tmp_path / "nafld" / "training" / "checkpoint", sources, models=tmp_path)


def silent(told) -> None:
    pass


def settled(**options) -> dict:
    return nafld_training.settle({"steps": 12, "device": "cpu", **options})


def test_nobody_who_decides_or_calibrates_is_seen_by_a_generator(asked):
    options = NafldOptions(seed=3)
    found = read_nafld_cases(asked, options, silent)
    again = read_nafld_cases(replace(asked, sources=asked.sources[::-1]), options, silent)
    calibrating = found.learnt.subset(training_parts(found.learnt, options)[1]).patients
    assert len(found.held_out.patients) == N_PATIENTS / 4 and found.n_cases == N_PATIENTS
    assert not found.for_generators.patients & (calibrating | found.held_out.patients) and calibrating
    assert found.for_generators.patients | calibrating | found.held_out.patients == {
        f"liver-{k:03d}" for k in range(N_PATIENTS)
    }
    assert again.for_generators.patients == found.for_generators.patients
    other = read_nafld_cases(asked, replace(options, seed=4), silent)
    assert other.held_out.patients != found.held_out.patients


def test_a_training_tells_its_stages_and_beats_the_share_of_fatty_livers(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(nafld_job, "PRETRAINED_FOLDER", tmp_path)
    told = []
    options = settled(augment="geometric", steps=40)
    found = nafld_training.train_at_site(replace(asked, options=options), told.append)
    assert {one["stage"] for one in told} == {"reading", "training"}
    assert found.metric_before == pytest.approx(np.log(2), abs=0.02) and found.metric_after < found.metric_before
    card = found.weights.card
    assert found.is_better and card["compared_with"] == "the share of fatty livers in training"
    assert card["is_trained_on_simulated_data"] and found.facts["is_simulated"]
    assert found.facts["n_mixed_in"] == found.weights.card["n_training_frames"]


def test_epochs_are_counted_in_steps_of_the_frames_that_are_learnt_from(asked):
    options = nafld_training.settle({"epochs": 2, "device": "cpu"})
    assert options["steps"] is None and options["epochs"] == 2
    # Nine patients of two frames are learnt from: a step of 32 a round.
    card = nafld_training.train_at_site(replace(asked, options=options), silent).weights.card
    assert card["curve"][-1]["step"] == 2
    assert card["compared_with"] == nafld_job.weights_in_package().card["version"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"augment": "mixup"}, "augment needs to be one of none, geometric, ldm_semantic, ldm_class, stacked_gan"),
        ({"augment": "geometric", "mixing_rate": 5}, "mixing_rate needs to be 0 to 4 .* found 5"),
        ({"mixing_rate": 1.5}, "need to fit; found none at the rate 1.5"),
        ({"augment": "geometric", "mixing_rate": 0}, "need to fit; found geometric at the rate 0"),
        ({"epochs": 2}, "epochs or steps; found both"),
        ({"steps": 0}, "steps; found 0"),
        ({"generator_steps": 5}, "generator_steps needs a generator as augment; found none"),
        ({"validation_fraction": 0.9}, "0.1 to 0.5; found 0.9"),
        ({"augment": "ldm_class", "generator_steps": 0}, "steps from 1"),
        ({"augment": "stacked_gan", "generator_steps": 10**9}, "steps from 1"),
        ({"epochs": 10**9, "steps": None}, "epochs from 1 to 10000"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(options, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        settled(**options)


def test_a_request_may_name_what_this_training_knows_and_no_other_may():
    known = ("steps", "augment", "mixing_rate", "generator_steps")
    request = {"augment": "ldm_class", "mixing_rate": 1.5, "steps": 9}
    found = TrainOptions.from_request(request, known).settled(nafld_training.settle)
    assert (found["augment"], found["mixing_rate"], found["steps"]) == ("ldm_class", 1.5, 9)
    with pytest.raises(UnsuitableInputError, match="found augment, mixing_rate, steps. Rename or remove"):
        TrainOptions.from_request(request)
    with pytest.raises(UnsuitableInputError, match="keeps its seed, .*augment.*; mixing_rate was 1.5 and is now 2"):
        TrainOptions.from_request({"mixing_rate": 2.0}, known).settled(nafld_training.settle, found)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("mixing_rate", (float("nan"), float("inf"), True, "1.5", [1.5], 10**400)),
        ("augment", (["ldm_class"], {"kind": "ldm_class"}, 1, True)),
        ("generator_steps", (1.5, "5", True)),
        ("steps", (2.0, "many")),
        ("max_minutes", (float("nan"), 0, 10**400)),
    ],
)
def test_an_option_of_another_kind_is_refused_by_its_name(option, values):
    known = ("steps", "augment", "mixing_rate", "generator_steps")
    for value in values:
        with pytest.raises(UnsuitableInputError, match=f"The option {option} needs to be .*; found ") as refusal:
            TrainOptions.from_request({option: value}, known)
        assert len(str(refusal.value)) < 200


def test_a_rate_that_mixes_in_no_image_is_refused_before_anything_is_trained(asked):
    options = settled(augment="ldm_class", mixing_rate=0.01, generator_steps=1)
    stages = []
    with pytest.raises(UnsuitableInputError, match="mixing_rate 0.01 of 18 images is none. Name a higher rate"):
        nafld_training.train_at_site(replace(asked, options=options), lambda told: stages.append(told["stage"]))
    assert set(stages) == {"reading"}


def test_a_case_without_an_answer_to_nafld_is_left_out_or_refused_by_name(asked, tmp_path):
    other = tmp_path / "other"
    import_livers(other, tmp_path / "pictures", 2, is_answered=False)
    unanswered = manifest_path(other, "liver-001")
    more = replace(asked, sources=(*asked.sources, unanswered))
    assert read_nafld_cases(more, NafldOptions(), silent).n_cases == N_PATIENTS
    with pytest.raises(UnsuitableInputError, match="'liver-001.case.json' has no label .* answers nafld. Store one"):
        read_nafld_cases(replace(more, is_every_case_needed=True), NafldOptions(), silent)


def test_too_few_patients_are_refused_with_their_number(asked):
    with pytest.raises(UnsuitableInputError, match="at least 4 of both classes; found 1 with fatty liver of 2"):
        read_nafld_cases(replace(asked, sources=asked.sources[:8]), NafldOptions(), silent)
