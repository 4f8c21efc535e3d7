"""Images for one training: by whom they may be made, that a stopped drawing goes on, and what is refused first."""

from dataclasses import replace

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis import augmentation
from liver_models.synthesis.augmentation import begun, draw_images, generator_options
from liver_models.synthesis.gan_options import GanOptions
from liver_models.synthesis.generator import KINDS, load_generator, train_generator
from liver_models.ultrasound.nafld_options import NafldOptions
from liver_models.ultrasound.nafld_training import train_nafld, training_parts
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames

KIND = "stacked_gan"
TINY = GanOptions(width=8, batch_size=4, steps=1, steps_per_round=1)
OPTIONS = NafldOptions(mixing_rate=0.5, steps=1)


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def frames():
    return simulate_nafld_frames(4, 6, 2)


@pytest.fixture(scope="module")
def drawn(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    told = []
    return draw_images(KIND, frames, OPTIONS, folder, training=TINY, progress=told.append), folder, told


def test_those_who_calibrate_are_seen_by_no_generator(frames, drawn):
    found, folder, told = drawn
    learnt, checked = (frames.subset(part) for part in training_parts(frames, OPTIONS))
    assert set(found.seen_patients) == learnt.patients and not set(found.seen_patients) & checked.patients
    assert len(found.images) == round(0.5 * len(learnt)) and found.images.is_simulated
    assert found.images.is_fatty.mean() == pytest.approx(learnt.is_fatty.mean(), abs=1 / len(found.images))
    stages = [one.stage for one in told]
    assert stages[0].startswith(f"{KIND}, healthy") and stages[-1] == f"drawing images of {KIND}"
    card = train_nafld(frames, OPTIONS, synthetic=found.images, seen_patients=found.seen_patients, folder=folder).card
    assert card["n_training_patients"] == len(learnt.patients) and card["n_mixed_in"] == len(found.images)


def test_a_stopped_drawing_goes_on_to_the_same_images_with_its_generator(frames, drawn, tmp_path):
    def stop(told):
        if told.stage.startswith("drawing"):
            raise StopError

    with pytest.raises(StopError):
        draw_images(KIND, frames, OPTIONS, tmp_path, training=TINY, progress=stop)
    assert begun(tmp_path) == (True, None) and begun(tmp_path / "elsewhere") == (False, None)
    told = []
    again = draw_images(KIND, frames, OPTIONS, tmp_path, training=TINY, progress=told.append)
    assert {one.stage for one in told} == {f"drawing images of {KIND}"}
    assert again.images.digest() == drawn[0].images.digest() and again.note == drawn[0].note


@pytest.mark.parametrize(
    ("changed", "options", "named"),
    [({"seed": 1}, {}, "training"), ({}, {"mixing_rate": 1.0}, "mixing rate"), ({}, {"seed": 3}, "seed")],
)
def test_a_folder_in_which_something_else_was_begun_is_refused(frames, drawn, changed, options, named):
    with pytest.raises(UnsuitableInputError, match=f"has another {named}"):
        draw_images(KIND, frames, replace(OPTIONS, **options), drawn[1], training=replace(TINY, **changed))


def test_a_generator_that_is_given_makes_the_images_and_is_kept(frames, drawn, tmp_path):
    learnt = frames.subset(training_parts(frames, OPTIONS)[0])
    weights = train_generator(KIND, learnt, TINY)
    found = draw_images(KIND, frames, OPTIONS, tmp_path, generator=weights)
    assert not found.note["is_new"] and found.images.digest() == drawn[0].images.digest()
    is_begun, kept = begun(tmp_path)
    assert is_begun and load_generator(kept).training_patients == found.seen_patients
    other = train_generator(KIND, learnt, replace(TINY, seed=1))
    with pytest.raises(UnsuitableInputError, match="another generator sha256"):
        draw_images(KIND, frames, OPTIONS, tmp_path, generator=other)


def test_a_generator_of_another_fold_or_kind_is_refused(frames, tmp_path):
    patients = sorted(frames.patients)
    weights = train_generator(KIND, frames, TINY)
    fewer = frames.subset([k for k, one in enumerate(frames.patient_ids) if one not in patients[:1]])
    with pytest.raises(UnsuitableInputError, match="patients of both classes that the generator did not see"):
        draw_images(KIND, frames, OPTIONS, tmp_path, generator=weights)
    with pytest.raises(UnsuitableInputError, match=f"not in this fold's training part: '{patients[0]}'"):
        draw_images(KIND, fewer, replace(OPTIONS, mode="paper"), tmp_path, generator=weights)
    with pytest.raises(UnsuitableInputError, match="generator ldm_class is needed; found one of stacked_gan"):
        draw_images("ldm_class", frames, replace(OPTIONS, mode="paper"), tmp_path, generator=weights)
    assert not list(tmp_path.iterdir())


def test_what_the_classifier_cannot_learn_from_is_refused_before_a_generator_is_trained(frames, tmp_path):
    def never(told):
        raise AssertionError("A generator is trained.")

    few = frames.subset(np.flatnonzero(np.isin(frames.patient_ids, sorted(frames.patients)[:6])))
    for wrong, options, sentence in (
        (few, OPTIONS, "at least 4 patients of each class"),
        (frames, replace(OPTIONS, mixing_rate=0.0), "mixing rate above 0"),
        (frames, replace(OPTIONS, size="paper"), "frames of 320 x 320"),
    ):
        with pytest.raises(UnsuitableInputError, match=sentence):
            draw_images(KIND, wrong, options, tmp_path, training=TINY, progress=never)
    with pytest.raises(UnsuitableInputError, match="one of ldm_semantic"):
        draw_images("diffusion", frames, OPTIONS, tmp_path)


def test_a_plan_that_was_damaged_is_refused(tmp_path):
    (tmp_path / augmentation.PLAN).write_text("[")
    with pytest.raises(UnsuitableInputError, match="Remove the folder"):
        begun(tmp_path)


def test_drawing_stops_when_its_time_is_over_and_keeps_what_was_made(frames, tmp_path):
    with pytest.raises(UnsuitableInputError, match="The time is over before all synthetic images were drawn"):
        draw_images(KIND, frames, replace(OPTIONS, max_minutes=1e-6), tmp_path, training=TINY)
    assert draw_images(KIND, frames, OPTIONS, tmp_path, training=TINY).note["is_new"]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_a_generator_are_of_each_of_its_networks_and_at_most_its_own(kind):
    few, many = (generator_options(kind, steps=steps) for steps in (3, 100_000))
    if kind == "stacked_gan":
        assert (few.steps, few.steps_per_round) == (3, 3) and many.steps_per_round == 100
    else:
        assert few.configuration(kind).autoencoder.steps == 3
        assert many.configuration(kind).autoencoder == generator_options(kind).configuration(kind).autoencoder
