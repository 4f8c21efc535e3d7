"""Generators and the classifier on a CUDA device."""

import numpy as np
import pytest
import torch
from tiny_ldm import TINY, tiny_frames

from liver_models.synthesis.gan_options import GanOptions
from liver_models.synthesis.generator import KINDS, load_generator, train_generator
from liver_models.synthesis.ldm_options import LdmOptions
from liver_models.ultrasound.nafld import predict_logits
from liver_models.ultrasound.nafld_options import NafldOptions
from liver_models.ultrasound.nafld_training import train_nafld
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_trained_on_a_gpu_draws_what_was_asked(kind):
    given = {"width": 8, "steps": 4, "steps_per_round": 2, "batch_size": 4}
    options = GanOptions(device="cuda", **given) if kind == "stacked_gan" else LdmOptions(device="cuda", overrides=TINY)
    weights = train_generator(kind, tiny_frames(), options)
    assert all(np.isfinite(value).all() for value in weights.tensors.values())
    assert load_generator(weights).sample(np.array([True, False]), seed=0).shape == (2, 64, 64)


def test_a_classifier_trained_on_a_gpu_answers():
    frames = simulate_nafld_frames(6, 6, 2)
    weights = train_nafld(frames, NafldOptions(steps=5, device="cuda"))
    assert np.isfinite(predict_logits(frames, weights)).all()
