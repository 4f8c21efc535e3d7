"""Real frames as generated images show them."""

import numpy as np
import pytest

from liver_models.synthesis.features import small_network
from liver_models.synthesis.fidelity import judge_fidelity
from liver_models.synthesis.generator import frames_as_made
from liver_models.ultrasound.frames import apply_crops, centre_cut, draw_crops
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames


@pytest.fixture(scope="module")
def frames():
    """Frames of eighteen simulated patients."""
    return simulate_nafld_frames(9, 9, 2, seed=11)


def test_the_stacked_gan_is_judged_by_whole_frames(frames):
    assert np.array_equal(frames_as_made(frames, "stacked_gan", 64, 0).images, centre_cut(frames.images, 64))


def test_crops_are_drawn_anew_for_another_seed_and_are_the_same_for_one(frames):
    first, again, other = (frames_as_made(frames, "ldm_class", 64, seed).images for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_crops_of_other_patients_are_nearer_to_crops_than_to_whole_frames(frames):
    parts = [frames.subset([k for k, p in enumerate(frames.patient_ids) if (int(p[-3:]) % 3) == r]) for r in range(3)]
    made = apply_crops(parts[0].images, draw_crops(len(parts[0]), np.random.default_rng(9)), 64)
    kid = {
        kind: judge_fidelity(made, *(frames_as_made(one, kind, 64, 0) for one in parts[1:]), small_network())
        for kind in ("ldm_class", "stacked_gan")
    }
    assert kid["ldm_class"].synthetic.kid.value < kid["stacked_gan"].synthetic.kid.value
