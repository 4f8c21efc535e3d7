"""Generators trained at a site: whom they saw, when they are taken for a training, and when they are published."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from nafld_cases import import_livers
from test_nafld_training import N_PATIENTS, settled, silent

from liver_apps.liver.lib.published import PublishedWeights
from liver_apps.liver.lib.trainers import generator_training, nafld_training
from liver_apps.liver.lib.trainers.job import TrainingRequest
from liver_apps.liver.lib.trainers.nafld_cases import read_nafld_cases
from liver_models.errors import UnsuitableInputError
from liver_models.io.class_label import ClassLabel, class_label_path, write_class_label
from liver_models.synthesis import augmentation
from liver_models.synthesis.gan_options import GanOptions
from liver_models.synthesis.generator import KINDS, load_generator
from liver_models.synthesis.ldm_options import AutoencoderSize, LdmOptions
from liver_models.ultrasound.nafld_options import NafldOptions
from liver_models.weights import save_weights

KIND = "ldm_class"
TINY_AUTOENCODER = AutoencoderSize("kl", 2, 8, 4, (8, 8), 1, 0, steps=2, batch=2, learning_rate=1e-3)
TINY = {"channels": (16, 16), "attention": (False, True), "heads": (1, 1), "norm_groups": 8, "class_embedding": 8}
"""Of a network that learns nothing in a second."""


@pytest.fixture(scope="module", autouse=True)
def tiny_generators():
    def tiny(kind, **named):
        known = {key: value for key, value in named.items() if key in ("seed", "size", "steps") and value is not None}
        if kind == "stacked_gan":
            return GanOptions(width=8, batch_size=4, steps_per_round=1, **known)
        overrides = {**TINY, "autoencoder": TINY_AUTOENCODER}
        return LdmOptions(device="cpu", batch_size=4, overrides=overrides, **known)

    with pytest.MonkeyPatch.context() as patch:
        for module in (augmentation, generator_training):
            patch.setattr(module, "generator_options", tiny)
        patch.setattr(generator_training, "N_JUDGED", 12)
        yield


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator-livers")
    import_livers(folder / "studies", folder / "pictures", N_PATIENTS)
    return tuple(sorted((folder / "studies").glob("*.case.json")))


@pytest.fixture
def asked(sources, tmp_path):
    """What a training is asked."""
    return TrainingRequest(tmp_path / "training", sources, models=tmp_path / "models")


@pytest.fixture(scope="module")
def generated(sources, tmp_path_factory):
    """A generator of the first split, and the folder that it was trained in."""
    folder = tmp_path_factory.mktemp("generated")
    return trained(TrainingRequest(folder, sources)), folder


def trained(asked, seed: int = 0, kind: str = KIND, steps: int = 2):
    options = generator_training.settle(kind, {"seed": seed, "device": "cpu", "steps": steps})
    return generator_training.train_at_site(kind, replace(asked, options=options), silent)


def publish(asked, found) -> PublishedWeights:
    published = PublishedWeights(asked.models / KIND, "ldm")
    published.folder.mkdir(parents=True, exist_ok=True)
    finished = published.folder / "finished.safetensors"
    save_weights(finished, found.weights.tensors, {**found.weights.card, "version": "site-v1"})
    published.publish(finished, published.next_version())
    return published


def augmented(asked, **how):
    options = settled(augment=KIND, mixing_rate=0.5, steps=2, generator_steps=1, **how)
    told = []
    folder = asked.folder / "classifier"
    return nafld_training.train_at_site(replace(asked, folder=folder, options=options), told.append), told


def test_a_generator_is_bound_to_those_whom_it_may_see_and_judged_beside_real_images(asked, generated):
    found, folder = generated
    cases = read_nafld_cases(asked, NafldOptions(), silent)
    assert set(load_generator(found.weights).training_patients) == cases.for_generators.patients
    assert found.metric_before is None and found.weights.card["is_trained_on_simulated_data"]
    assert found.facts["metric_of_real_images"] < found.metric_after
    assert ("No generator was in use" in found.verdict) == found.is_better
    assert "of real images" in found.verdict and not list(folder.rglob("*.png"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != KIND])
def test_the_other_kinds_are_trained_in_the_same_way(asked, kind):
    found = trained(asked, kind=kind, steps=1)
    assert found.weights.card["architecture"] == augmentation.architecture_of(kind)
    assert load_generator(found.weights).kind == kind and found.facts["metric_of_real_images"] < found.metric_after


def test_one_that_saw_patients_held_out_now_is_not_compared(asked, generated):
    start = publish(asked, generated[0]).file(1)
    same = trained(replace(asked, start=start, folder=asked.folder / "same"))
    other = trained(replace(asked, start=start, folder=asked.folder / "other"), seed=5)
    assert same.metric_before == same.metric_after and not same.is_better
    assert other.metric_before is None and other.is_better == ("was not compared" in other.verdict)


def test_without_a_generator_that_fits_one_is_trained_and_why_is_told(asked):
    found, told = augmented(asked)
    assert {one["stage"] for one in told} >= {"reading", f"drawing images of {KIND}", "training"}
    assert any(one["stage"].startswith(f"{KIND}, ") for one in told)
    note = found.facts["generator"]
    assert note["is_new"] and note["why_new"] == f"No generator {KIND} is published here."
    assert found.facts["n_mixed_in"] == round(0.5 * found.weights.card["n_training_frames"])
    assert "synthetic images mixed in" in found.weights.card["trained_on"]


def test_a_published_generator_is_taken_for_its_own_split_and_for_no_other(asked, generated):
    publish(asked, generated[0])
    found, told = augmented(asked)
    assert not found.facts["generator"]["is_new"] and "why_new" not in found.facts["generator"]
    assert not any(one["stage"].startswith(f"{KIND}, ") for one in told)
    other, _ = augmented(replace(asked, folder=asked.folder / "other"), seed=5)
    assert other.facts["generator"]["is_new"]
    assert "saw training patients of this fold only; theirs saw" in other.facts["generator"]["why_new"]


def test_a_training_that_was_stopped_while_drawing_goes_on_with_its_generator(asked):
    class StopError(Exception):
        pass

    options = settled(augment=KIND, mixing_rate=0.5, steps=2, generator_steps=1)
    request = replace(asked, options=options)

    def stop(told):
        if told["stage"].startswith("drawing"):
            raise StopError

    with pytest.raises(StopError):
        nafld_training.train_at_site(request, stop)
    own = (asked.folder / augmentation.GENERATOR).read_bytes()
    told = []
    again = nafld_training.train_at_site(request, told.append)
    assert not any(one["stage"].startswith(f"{KIND}, ") for one in told)
    assert (asked.folder / augmentation.GENERATOR).read_bytes() == own and again.facts["generator"]["is_new"]


class StopError(Exception):
    """As the process that trains raises where it is to stop."""


def stopping_at(stage: str):
    def told(progress):
        if progress["stage"].startswith(stage):
            raise StopError

    return told


@pytest.mark.parametrize("stage", [f"{KIND}, ", "drawing", "training"])
def test_a_stop_in_any_stage_publishes_nothing_and_leaves_its_files_with_the_checkpoint_alone(asked, stage):
    options = settled(augment=KIND, mixing_rate=0.5, steps=2, generator_steps=1)
    request = replace(asked, options=options)
    with pytest.raises(StopError):
        nafld_training.train_at_site(request, stopping_at(stage))
    assert not asked.models.exists()
    found = nafld_training.train_at_site(request, silent)
    assert found.facts["n_mixed_in"] == round(0.5 * found.weights.card["n_training_frames"])
    assert {path.name for path in asked.folder.parent.iterdir()} == {asked.folder.name}


@pytest.mark.parametrize("stage", ["autoencoder", "drawing images to judge"])
def test_a_stopped_training_of_a_generator_goes_on_to_the_same_weights(asked, generated, stage):
    options = generator_training.settle(KIND, {"seed": 0, "device": "cpu", "steps": 2})
    request = replace(asked, options=options)
    with pytest.raises(StopError):
        generator_training.train_at_site(KIND, request, stopping_at(stage))
    found = generator_training.train_at_site(KIND, request, silent)
    assert found.metric_after == generated[0].metric_after
    assert not list(asked.folder.rglob("*.png")) and not asked.models.exists()


def test_an_answer_that_was_changed_meanwhile_does_not_let_a_generator_see_who_is_held_out_now(asked, tmp_path):
    studies = tmp_path / "studies"
    import_livers(studies, tmp_path / "pictures", N_PATIENTS)
    sources = tuple(sorted(studies.glob("*.case.json")))
    request = replace(asked, sources=sources, options=settled(augment=KIND, mixing_rate=0.5, generator_steps=1))
    before = read_nafld_cases(request, NafldOptions(), silent)
    with pytest.raises(StopError):
        nafld_training.train_at_site(request, stopping_at("drawing"))
    for number in (0, 2):
        label = ClassLabel(f"liver-{number:03d}", "nafld", True, "ben", "test")
        write_class_label(label, class_label_path(studies, label.case_id))
    after = read_nafld_cases(request, NafldOptions(), silent)
    assert before.for_generators.patients & after.held_out.patients
    with pytest.raises(UnsuitableInputError, match="Going on needs the same generator, options and cases"):
        nafld_training.train_at_site(request, silent)


def test_no_patient_is_named_where_a_published_generator_does_not_fit(asked, generated):
    publish(asked, generated[0])
    found, _ = augmented(asked, seed=5)
    assert "liver-0" not in json.dumps(dict(found.facts))
    assert "held out here. Train a generator" in found.facts["generator"]["why_new"]


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_a_generator_are_settled_or_refused(kind):
    found = generator_training.settle(kind, {"steps": 7, "device": "cpu"})
    assert found == {"steps": 7, "seed": 0, "device": "cpu", "validation_fraction": 0.25}
    for options, sentence in (
        ({"epochs": 3}, "counts steps; found epochs"),
        ({"max_minutes": 3}, "counts steps; found max_minutes"),
        ({"steps": 0}, "steps from 1 to"),
        ({"validation_fraction": 0.9}, "0.1 to 0.5"),
    ):
        with pytest.raises(UnsuitableInputError, match=sentence):
            generator_training.settle(kind, options)


def test_the_kinds_of_the_server_are_those_of_the_library():
    from liver_apps.liver.lib.trainers.nafld import TITLES
    from liver_models.synthesis.generator import _MODULES

    assert tuple(TITLES) == KINDS == nafld_training.AUGMENT[2:] == tuple(_MODULES)
