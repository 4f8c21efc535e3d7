"""What the classifier of fatty liver answers: probabilities, intervals, and maps laid on the image."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_frames import tiny_frames

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.frames import frame_box
from liver_models.ultrasound.nafld import NafldModel, predict, predict_logits
from liver_models.ultrasound.nafld_files import RESULT_SCHEMA, overlays, result_json
from liver_models.ultrasound.nafld_options import NafldOptions
from liver_models.ultrasound.nafld_training import train_nafld
from liver_models.ultrasound.phantom import simulate_frame
from liver_models.ultrasound.subject import ImagePair, UltrasoundSubject
from liver_models.ultrasound.tissue import tissue_mask
from liver_models.weights import Weights

QUICK = NafldOptions(steps=30, batch_size=8, learning_rate=3e-3)


@pytest.fixture(scope="module")
def model():
    return NafldModel(train_nafld(tiny_frames(), QUICK))


def subject_of(images, **values):
    pairs = tuple(ImagePair(image, name=f"place_{k}") for k, image in enumerate(images, start=1))
    return UltrasoundSubject("case-a", "patient-a", pairs, **values)


def framed(image, margin=10):
    """An image with black around it, none of it in the tissue."""
    return np.pad(image, margin)


def test_the_patient_has_the_mean_log_odds_of_the_frames(model):
    frames = tiny_frames(1, 4, start=60)
    answer = predict(frames, model, with_maps=False)
    logits = predict_logits(frames, model)
    assert answer.probability == pytest.approx(1 / (1 + np.exp(-logits.mean())))
    assert [one.probability for one in answer.frames] == pytest.approx(list(1 / (1 + np.exp(-logits))))
    assert answer.probability_low <= answer.probability <= answer.probability_high
    assert answer.n_frames == 4 and not answer.is_fatty and answer.is_calibrated


def test_the_answer_is_json_that_says_what_it_rests_on(model):
    subject = subject_of([framed(image) for image in tiny_frames(2).images[2:4]], is_simulated=True)
    answer = predict(subject, model)
    found = json.loads(json.dumps(result_json(subject, answer), allow_nan=False))
    assert found["schema"] == RESULT_SCHEMA and found["is_simulated"] and found["is_trained_on_simulated_data"]
    assert [one["name"] for one in found["frames"]] == ["place_1", "place_2"] and found["has_maps"]
    pictures = overlays(subject, answer)
    assert sorted(pictures) == [f"{kind}_{k}.png" for kind in ("grad_cam", "gradient_shap") for k in (1, 2)]
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())


def test_maps_lie_on_the_square_that_was_read_and_come_out_the_same_each_time(model):
    image = framed(np.repeat(tiny_frames(2).images[2], 2, axis=1))
    (one,), (again,) = (predict(subject_of([image]), model).frames for _ in range(2))
    box = frame_box(image)
    for found in (one.grad_cam, one.gradient_shap):
        assert found.shape == image.shape and np.abs(found).max() <= 1
        outside = found.copy()
        outside[box.top : box.bottom, box.left : box.right] = 0
        assert not outside.any() and found.any()
    assert np.array_equal(one.gradient_shap, again.gradient_shap)


@pytest.mark.parametrize(("top", "left"), [(0, 90), (37, 3), (60, 0)])
def test_maps_move_with_tissue_that_lies_off_centre(model, top, left):
    tissue = np.clip(tiny_frames(2).images[2][:70], 1, 255)
    centred, moved = np.zeros((130, 170), np.uint8), np.zeros((130, 170), np.uint8)
    centred[30:100, 45:125], moved[top : top + 70, left : left + 80] = tissue, tissue
    here, there = (predict(subject_of([image]), model).frames[0] for image in (centred, moved))
    assert here.probability == there.probability
    for name in ("grad_cam", "gradient_shap"):
        one, other = getattr(here, name), getattr(there, name)
        assert np.array_equal(one[30:100, 45:125], other[top : top + 70, left : left + 80])
        assert np.abs(one).sum() == pytest.approx(np.abs(other).sum(), rel=1e-5)


def test_gradient_shap_adds_up_to_the_log_odds_against_the_mean_frame():
    model = NafldModel(train_nafld(tiny_frames(), replace(QUICK, mode="paper", steps=4)))
    frames = tiny_frames(3, 1, start=80)
    without = model.raw_logits(model.weights.tensors["mean_frame"][None])[0]
    for (_, added), logit in zip(model.maps(frames.images), predict_logits(frames, model), strict=True):
        assert added.sum() == pytest.approx(logit - without, rel=0.25) and abs(logit - without) > 0.01


def test_gradient_shap_speaks_for_the_bright_half(model):
    fatty = tiny_frames(2, 1, start=40).subset([1])
    ((_, added),) = model.maps(fatty.images)
    assert added[:32].sum() > abs(added[32:].sum())


def test_drawing_maps_leaves_the_global_generator_alone(model):
    np.random.seed(4)
    expected = np.random.random(3)
    np.random.seed(4)
    predict(tiny_frames(1, 1), model)
    assert np.array_equal(np.random.random(3), expected)


@pytest.mark.parametrize("mark", ["text", "ecg"])
def test_marks_burned_in_beside_the_tissue_do_not_change_the_answer(model, mark):
    def read(shortcuts):
        b_mode = simulate_frame(20, seed=3, patient_seed=1, shortcuts=shortcuts).b_mode
        return np.where(tissue_mask(np.repeat(b_mode[None], 3, axis=0)), b_mode, 0).astype(np.uint8)

    raw = simulate_frame(20, seed=3, patient_seed=1, shortcuts=(mark,)).b_mode
    assert not np.array_equal(raw, simulate_frame(20, seed=3, patient_seed=1).b_mode)
    with_mark, without = (predict(subject_of([read(marks)]), model) for marks in ((mark,), ()))
    assert with_mark.probability == without.probability


def test_a_model_that_nobody_calibrated_says_so_and_decides_nothing(model):
    weights = train_nafld(tiny_frames(), replace(QUICK, mode="paper", steps=1))
    answer = predict(tiny_frames(1), weights, with_maps=False)
    assert not answer.is_calibrated and answer.conformal_answers == (False, True)
    assert answer.to_json()["is_abstention"]


def test_what_cannot_be_asked_is_refused(model):
    with pytest.raises(UnsuitableInputError, match="case 'case-a' has none"):
        predict(UltrasoundSubject("case-a", "p"), model)
    with pytest.raises(UnsuitableInputError, match="'case-a', image 'place_1': .*black all over"):
        predict(subject_of([np.zeros((50, 50), np.uint8)]), model)
    with pytest.raises(UnsuitableInputError, match="frames of one patient; found 2"):
        predict(tiny_frames(2), model)
    with pytest.raises(UnsuitableInputError, match="threshold needs to lie between 0 and 1"):
        predict(tiny_frames(1), model, threshold=1.0)
    with pytest.raises(UnsuitableInputError, match="reads frames of 80 or 64 pixels; found 50"):
        predict_logits(tiny_frames(1, side=50), model)


def test_weights_of_something_else_are_refused(model):
    other = Weights(model.weights.tensors, model.card | {"architecture": "reshy_net"})
    with pytest.raises(UnsuitableInputError, match="needs weights of the architecture 'nafld'"):
        NafldModel(other)
    tensors = {name: value for name, value in model.weights.tensors.items() if name != "mean_frame"}
    with pytest.raises(UnsuitableInputError, match="needs a tensor 'mean_frame'"):
        NafldModel(Weights(tensors, model.card))
    lacking = model.card | {"calibration": {"temperature": 1.0}}
    with pytest.raises(UnsuitableInputError, match="needs its config and calibration; 'odds_ratio'"):
        NafldModel(Weights(model.weights.tensors, lacking))
