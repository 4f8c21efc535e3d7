"""Frames as networks read them."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.frames import Crops, apply_crops, centre_cut, draw_crops, frames_of, prepare_frame
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames
from liver_models.ultrasound.subject import ImagePair, UltrasoundSubject


def test_a_frame_of_the_public_sets_size_keeps_320_pixels_of_its_own_spacing():
    frame = np.zeros((434, 636), np.uint8)
    frame[11:366, 37:598] = np.random.default_rng(0).integers(1, 255, (355, 561), np.uint8)
    assert np.array_equal(prepare_frame(frame, 320), frame[28:348, 157:477])


def test_a_crop_of_everything_is_the_image():
    images = np.random.default_rng(0).integers(0, 255, (3, 40, 40), np.uint8)
    whole = Crops(np.zeros(3), np.zeros(3), np.ones(3), np.ones(3))
    assert np.array_equal(apply_crops(images, whole, 40), images)


def test_a_crop_shows_the_part_it_names():
    image = np.zeros((1, 40, 40), np.uint8)
    image[0, 10:20, 20:40] = 200
    part = Crops(np.array([0.25]), np.array([0.5]), np.array([0.25]), np.array([0.5]))
    assert (apply_crops(image, part, 10)[0, 1:-1, 1:-1] == 200).all()


def test_random_crops_stay_inside_and_keep_half_of_the_area_at_least():
    crops = draw_crops(1000, np.random.default_rng(0))
    assert (crops.top >= 0).all() and (crops.top + crops.height <= 1 + 1e-9).all()
    assert (crops.left >= 0).all() and (crops.left + crops.width <= 1 + 1e-9).all()
    assert (crops.height * crops.width > 0.449).all()


def test_simulated_patients_have_the_stated_classes_and_the_same_bytes_each_time():
    frames = simulate_nafld_frames(2, 3, 2, seed=5)
    answers = {patient: bool(one) for patient, one in zip(frames.patient_ids, frames.is_fatty, strict=True)}
    assert sorted(answers.values()) == [False, False, True, True, True] and len(frames) == 10
    assert frames.is_simulated and frames.digest() == simulate_nafld_frames(2, 3, 2, seed=5).digest()
    assert frames.digest() != simulate_nafld_frames(2, 3, 2, seed=6).digest()


def test_frames_are_of_subjects_whose_answer_is_known():
    frame = np.full((60, 60), 90, np.uint8)
    known = UltrasoundSubject("a", "a", (ImagePair(frame),), is_fatty=True)
    unknown = UltrasoundSubject("b", "b", (ImagePair(frame),))
    assert frames_of([known, unknown]).names == ("a/0",)
    with pytest.raises(UnsuitableInputError, match="known answer, fatty or not; found none"):
        frames_of([unknown])


def test_a_black_frame_is_refused_by_name():
    black = UltrasoundSubject("a", "a", (ImagePair(np.zeros((60, 60), np.uint8), name="x"),), is_fatty=True)
    with pytest.raises(UnsuitableInputError, match="Subject 'a', image 'x'.*black all over"):
        frames_of([black])


def test_the_centre_at_its_own_size_is_the_frame():
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)
    assert centre_cut(images, 64) is images and centre_cut(images, 32).shape == (2, 32, 32)
