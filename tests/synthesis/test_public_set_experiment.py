"""Experiments on a file of the public set's layout."""

import numpy as np
import pytest
import scipy.io

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.experiment.options import NafldExperimentOptions
from liver_models.synthesis.experiment.plan import plan_nafld
from liver_models.ultrasound.frames import read_frames


@pytest.fixture
def file(tmp_path):
    """Six patients of two frames, every other one with fatty liver."""
    rng, patients = np.random.default_rng(0), []
    for number in range(1, 7):
        images = np.zeros((2, 60, 80), np.uint8)
        images[:, 10:50, 15:65] = rng.integers(20, 200, (2, 40, 50))
        fat = 30 if number % 2 else 3
        patients.append((np.array([[number]]), np.array([[fat > 5]], np.uint8), np.array([[fat]], np.uint8), images))
    types = [(name, object) for name in ("id", "class", "fat", "images")]
    scipy.io.savemat(tmp_path / "set.mat", {"data": np.array([patients], dtype=types)})
    return tmp_path / "set.mat"


def test_frames_of_the_file_are_measured_and_keep_patient_and_answer(file):
    frames = read_frames(file, "small")
    assert frames.images.shape == (12, 80, 80) and not frames.is_simulated
    assert len(frames.patients) == 6 and frames.is_fatty.sum() == 6
    answers = {(patient, bool(one)) for patient, one in zip(frames.patient_ids, frames.is_fatty, strict=True)}
    assert len(answers) == 6


def test_folds_of_the_file_need_as_many_patients_of_each_class(file):
    frames = read_frames(file, "small")
    assert plan_nafld(NafldExperimentOptions(n_folds=3), frames).units
    with pytest.raises(UnsuitableInputError, match="5 folds need at least 5 patients of each class"):
        plan_nafld(NafldExperimentOptions(), frames)
