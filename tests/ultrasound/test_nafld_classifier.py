"""The classifier of fatty liver: it learns, mixes in what it may, and goes on to the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_frames import tiny_frames

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.frames import FrameSet
from liver_models.ultrasound.nafld import NafldModel, by_patient, predict_logits
from liver_models.ultrasound.nafld_mixing import geometric_frames, turned
from liver_models.ultrasound.nafld_networks import FROZEN_STAGES, NafldNetwork, load_imagenet
from liver_models.ultrasound.nafld_options import NafldOptions
from liver_models.ultrasound.nafld_training import _Run, train_nafld, training_parts
from liver_models.weights import load_weights, save_weights

QUICK = NafldOptions(steps=30, batch_size=8, learning_rate=3e-3)
TORCHVISION = {"resnet50": 25_557_032, "efficientnet_b0": 5_288_548, "efficientnet_v2_s": 21_458_488}
"""Parameters that torchvision states, its classifier of 1000 classes among them."""


@pytest.fixture(scope="module")
def trained():
    return train_nafld(tiny_frames(), QUICK)


def digest(weights):
    return hashlib.sha256(b"".join(weights.tensors[name].tobytes() for name in sorted(weights.tensors))).hexdigest()


def test_a_bright_liver_is_told_from_a_dark_one(trained):
    fresh = tiny_frames(9, seed=7, start=100)
    logits = predict_logits(fresh, trained)
    assert logits[fresh.is_fatty].min() > logits[~fresh.is_fatty].max()
    means, is_fatty, patients = by_patient(fresh, logits)
    assert means.shape == (9,) and patients == tuple(sorted(fresh.patients)) and is_fatty.sum() == 6
    assert trained.card["is_trained_on_simulated_data"] and "simulated patients" in trained.card["trained_on"]


@pytest.mark.parametrize("name", TORCHVISION)
def test_backbones_have_as_many_parameters_as_torchvisions(name):
    with torch.device("meta"):
        network = NafldNetwork(name)
    n = sum(value.numel() for value in network.backbone.parameters())
    classifier = 1000 * (network.head.in_features + 1)
    assert n + classifier == TORCHVISION[name]


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_torchvision_file_fills_a_backbone_and_a_lacking_one_is_refused(name, tmp_path):
    source = NafldNetwork(name)
    classifier = {"resnet50": "fc"}.get(name, "classifier.1")
    state = source.backbone.state_dict() | {f"{classifier}.weight": torch.zeros(1000, 4)}
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    target = NafldNetwork(name)
    load_imagenet(target, str(path), sha256)
    assert all(torch.equal(state[key], value) for key, value in target.backbone.state_dict().items())
    lost = next(iter(source.backbone.state_dict()))
    torch.save({key: value for key, value in state.items() if key != lost}, path)
    with pytest.raises(UnsuitableInputError, match=f"'{lost}' is missing"):
        load_imagenet(target, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("name", FROZEN_STAGES)
def test_partial_freezing_keeps_the_first_stages_and_their_statistics(name):
    torch.manual_seed(0)
    network = NafldNetwork(name)
    network.freeze("partial")
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    network(torch.randn(2, 1, 64, 64)).sum().backward()
    optimiser.step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    frozen = {
        "resnet50": ("conv1", "bn1", "layer1", "layer2", "layer3"),
        "efficientnet_b0": tuple(f"features.{k}." for k in range(6)),
        "efficientnet_v2_s": tuple(f"features.{k}." for k in range(6)),
    }[name]
    assert not any(key.startswith(tuple(f"backbone.{part}" for part in frozen)) for key in changed)
    last = {"resnet50": "layer4", "efficientnet_b0": "features.6", "efficientnet_v2_s": "features.6"}[name]
    assert any(key.startswith(f"backbone.{last}") and key.endswith("running_mean") for key in changed)


def test_all_frozen_leaves_the_logit_alone_to_learn():
    network = NafldNetwork("efficientnet_b0")
    network.freeze("all")
    assert {name for name, value in network.named_parameters() if value.requires_grad} == {"head.weight", "head.bias"}


def test_a_stopped_training_goes_on_to_the_same_bytes(trained, tmp_path):
    class Stopped(Exception):
        pass

    def stop(report):
        if report.epoch >= 25:
            raise Stopped

    with pytest.raises(Stopped):
        train_nafld(tiny_frames(), QUICK, folder=tmp_path, progress=stop)
    assert digest(train_nafld(tiny_frames(), QUICK, folder=tmp_path)) == digest(trained)
    with pytest.raises(UnsuitableInputError, match="of another training"):
        train_nafld(tiny_frames(seed=1), QUICK, folder=tmp_path)


def test_weights_come_back_from_their_file(trained, tmp_path):
    save_weights(tmp_path / "a.safetensors", trained.tensors, trained.card)
    again = load_weights(tmp_path / "a.safetensors")
    frames = tiny_frames(4)
    assert np.array_equal(predict_logits(frames, again), predict_logits(frames, trained))


def test_nobody_calibrates_in_the_papers_mode_and_everybody_is_learnt_from():
    weights = train_nafld(tiny_frames(), replace(QUICK, mode="paper", steps=2))
    assert weights.card["n_training_patients"] == 12 and weights.card["n_calibration_patients"] == 0
    assert NafldModel(weights).calibration.possible(3.0) == ((False, True), False)


def test_calibration_patients_are_not_learnt_from_and_both_classes_are_among_them():
    frames = tiny_frames()
    learnt, checked = (frames.subset(k) for k in training_parts(frames, QUICK))
    assert not learnt.patients & checked.patients and learnt.patients | checked.patients == frames.patients
    assert len(checked.patients) == 3 and checked.is_fatty.any() and not checked.is_fatty.all()


@pytest.mark.parametrize(("n_healthy", "n_fatty"), [(4, 4), (5, 4), (5, 5), (17, 38)])
def test_both_classes_are_learnt_from_and_calibrate_whatever_the_seed(n_healthy, n_fatty):
    n = n_healthy + n_fatty
    patients = tuple(f"p{k}" for k in range(n))
    frames = FrameSet(np.zeros((n, 80, 80), np.uint8), np.arange(n) < n_fatty, patients, patients)
    for seed in range(60):
        for part in training_parts(frames, replace(QUICK, seed=seed)):
            assert 0 < frames.is_fatty[part].sum() < part.size
    few = frames.subset([*range(4), *range(n - 4, n)])
    with pytest.raises(UnsuitableInputError, match="0.1 of 8 patients leaves one class in a part"):
        training_parts(few, replace(QUICK, validation_fraction=0.1))


def test_the_prior_is_that_of_patients_whatever_their_frames():
    frames = tiny_frames(12, 3)
    fewer = frames.subset([k for k, fatty in enumerate(frames.is_fatty) if fatty or k % 3 == 0])
    assert fewer.is_fatty.mean() == pytest.approx(24 / 28)
    assert _Run(QUICK, frames, None).odds_ratio == pytest.approx(1.0)
    assert _Run(QUICK, fewer, None).odds_ratio == pytest.approx(3.0)


def synthetic(n, side=64, seed=3, patient="synthetic"):
    made = tiny_frames(n, 1, seed=seed, side=side)
    return FrameSet(made.images, made.is_fatty, (patient,) * n, made.names)


def test_the_mixing_rate_says_how_many_synthetic_images_join_each_real_one():
    frames, paper = tiny_frames(), replace(QUICK, mode="paper", mixing_rate=1.5, steps=1)
    weights = train_nafld(frames, paper, synthetic=synthetic(40), seen_patients=frames.patients)
    assert weights.card["n_training_frames"] == 24 and weights.card["n_mixed_in"] == 36
    with pytest.raises(UnsuitableInputError, match="needs 36 synthetic images; 35 are given"):
        train_nafld(frames, paper, synthetic=synthetic(35), seen_patients=frames.patients)


def test_every_image_is_used_as_often_as_the_others_and_synthetic_ones_as_they_are():
    frames, mixed = tiny_frames(), synthetic(24)
    run = _Run(replace(QUICK, mode="paper", batch_size=16), frames, mixed)
    seen = np.concatenate([run.batch(step)[0] for step in range(3)])
    assert sum(any(np.array_equal(one, image) for one in seen) for image in mixed.images) == 24


def test_a_generator_that_saw_other_patients_is_refused():
    frames, held_out = tiny_frames(), tiny_frames(6, start=50)
    given = {"synthetic": synthetic(24), "validation": held_out}
    options = replace(QUICK, mixing_rate=1.0, steps=1)
    with pytest.raises(UnsuitableInputError, match="held out here: 'patient-050'"):
        train_nafld(frames, options, seen_patients={"patient-001", "patient-050"}, **given)
    with pytest.raises(UnsuitableInputError, match="not in this fold's training part: 'stranger'"):
        train_nafld(frames, options, seen_patients={"patient-001", "stranger"}, **given)
    with pytest.raises(UnsuitableInputError, match="whose images their generator saw; found none named"):
        train_nafld(frames, options, **given)


def test_patients_that_a_generator_saw_do_not_calibrate():
    frames = tiny_frames()
    seen = {f"patient-{k:03d}" for k in range(9)}
    learnt, checked = training_parts(frames, QUICK, seen)
    assert frames.subset(checked).patients == {"patient-009", "patient-010", "patient-011"}
    assert seen <= frames.subset(learnt).patients
    with pytest.raises(UnsuitableInputError, match="Calibration needs patients of both classes.*did not see"):
        training_parts(frames, QUICK, frames.patients)


def test_geometric_images_are_crops_of_which_a_quarter_is_turned():
    frames = tiny_frames(12, 10)
    made = geometric_frames(frames, 180, seed=1)
    assert len(made) == 180 and made.side == 64 and made.digest() == geometric_frames(frames, 180, seed=1).digest()
    assert max(made.patient_ids.count(one) for one in made.patients) <= 20
    bright = np.zeros((1, 81, 81), np.uint8)
    bright[0, 40, 10:71] = 200
    found = turned(bright, np.array([5.0]))[0]
    left, right = found[:, 15].argmax(), found[:, 65].argmax()
    assert abs(abs(int(left) - int(right)) - 50 * np.tan(np.deg2rad(5))) < 1.5
    assert np.array_equal(turned(bright, np.zeros(1)), bright)


def test_oversampling_and_mixing_are_corrected_in_the_stated_odds():
    frames = tiny_frames()
    assert _Run(replace(QUICK, is_oversampled=True), frames, None).odds_ratio == pytest.approx(0.5)
    assert _Run(replace(QUICK, has_class_weights=True), frames, None).odds_ratio == pytest.approx(0.5)
    assert _Run(QUICK, frames, None).odds_ratio == pytest.approx(1.0)
    healthy = synthetic(24).subset([0, 3, 6, 9, 12, 15, 18, 21])
    assert _Run(QUICK, frames, healthy).odds_ratio == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (tiny_frames(1, 4), "at least 4 patients of each class; found 0 with fatty liver and 1 without"),
        (tiny_frames().subset(np.flatnonzero(tiny_frames().is_fatty)), "found 8 with fatty liver and 0 without"),
        (tiny_frames(side=64), "needs frames of 80 x 80 pixels; found 64"),
    ],
)
def test_frames_that_nothing_can_be_learnt_from_are_refused(frames, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        train_nafld(frames, QUICK)


def test_a_patient_with_two_answers_is_refused():
    frames = tiny_frames()
    labels = frames.is_fatty.copy()
    labels[0] = True
    with pytest.raises(UnsuitableInputError, match="one answer a patient; 'patient-000'"):
        train_nafld(FrameSet(frames.images, labels, frames.patient_ids, frames.names), QUICK)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model": "resnet"}, "The model needs to be one of small, resnet50"),
        ({"freeze": "partial", "model": "resnet50"}, "would be frozen noise"),
        ({"imagenet": "x.pth"}, "ImageNet weights fit resnet50"),
        ({"mixing_rate": -1.0}, "The mixing rate needs 0 to 10"),
        ({"is_oversampled": True, "has_class_weights": True}, "one cure for rare classes"),
        ({"steps": 0}, "1 to 100000 steps"),
        ({"seed": -1}, "A seed needs to be 0 or above; found -1"),
        ({"learning_rate": -0.1}, "learning rate needs to be above 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(values, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        NafldOptions(**values)


def test_a_mixing_rate_without_images_is_refused():
    with pytest.raises(UnsuitableInputError, match="needs images to mix in; found none"):
        train_nafld(tiny_frames(), replace(QUICK, mixing_rate=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_the_papers_networks_take_a_step_at_their_size(name):
    frames = tiny_frames(6, 1, side=320)
    options = NafldOptions(model=name, mode="paper", size="paper", steps=1, batch_size=2)
    assert np.isfinite(predict_logits(frames, train_nafld(frames, options))).all()
