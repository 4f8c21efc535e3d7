"""Latent diffusion models: bound to their fold, resumed to the same bytes, drawn from image by image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from tiny_ldm import tiny_frames, tiny_options

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.generator import load_generator, train_generator
from liver_models.synthesis.ldm_network import Denoiser, diffusion_loss
from liver_models.synthesis.ldm_options import BETA_START, CONFIGURATIONS, LDM_KINDS, N_TRAIN_TIMESTEPS, LdmOptions
from liver_models.synthesis.samplers import GUIDANCE, SamplerOptions
from liver_models.synthesis.step_training import StepOptions, ema_decay, rate_at, train_steps
from liver_models.ultrasound.frames import sides_of
from liver_models.weights import Weights, load_weights, save_weights


@pytest.fixture(scope="module")
def frames():
    return tiny_frames()


@pytest.fixture(scope="module", params=LDM_KINDS)
def weights(request, frames, tmp_path_factory):
    found = train_generator(request.param, frames, tiny_options())
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, found.tensors, found.card)
    return load_weights(path)


@pytest.fixture(scope="module")
def generator(weights):
    return load_generator(weights).with_sampler(SamplerOptions(steps=4))


def test_a_card_says_from_whom_and_what_was_learnt(weights, frames):
    card = weights.card
    assert card["training_patients"] == sorted(frames.patients) and card["is_trained_on_simulated_data"]
    assert card["architecture"] == "ldm" and card["frames_sha256"] == frames.digest()
    assert "simulated" in card["trained_on"] and card["curve"][-1]["step"] == 6
    assert len(card["config"]["latents"]["scale"]) == 2


def test_an_image_is_the_same_whatever_is_drawn_with_it(generator):
    is_fatty = np.arange(11) % 3 == 0
    whole = generator.sample(is_fatty, 5)
    assert whole.shape == (11, 64, 64) and whole.dtype == np.uint8
    for first, end in ((0, 1), (2, 9), (10, 11)):
        assert np.array_equal(generator.sample(is_fatty[first:end], 5, first=first), whole[first:end])
    assert not np.array_equal(generator.sample(is_fatty, 6), whole)


def test_an_image_depends_on_the_class(generator):
    assert not np.array_equal(generator.sample(np.array([True]), 5), generator.sample(np.array([False]), 5))


def test_progress_ends_with_all_steps_and_may_stop(generator):
    seen = []
    generator.sample(np.zeros(6, bool), 0, progress=lambda done, steps: seen.append((done, steps)))
    assert seen[0] == (0, 8) and seen[-1] == (8, 8) and seen == sorted(seen)

    def stop(done, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator.sample(np.zeros(6, bool), 0, progress=stop)


def test_semantic_images_are_drawn_from_maps_of_their_class(frames):
    generator = load_generator(train_generator("ldm_semantic", frames, tiny_options()))
    generator.maps = np.where(generator.map_is_fatty[:, None, None], 4, 0) * np.ones((1, 40, 40), np.uint8)
    for k in range(8):
        assert (generator._map(k % 2 == 0, 0, k) == (4 if k % 2 == 0 else 0)).all()


@pytest.mark.parametrize("kind", LDM_KINDS)
def test_training_goes_on_to_the_same_bytes(kind, frames, tmp_path):
    class Stopped(Exception):
        pass

    def stop(told):
        if (told.stage, told.epoch) == ("training", 3):
            raise Stopped

    whole = train_generator(kind, frames, tiny_options())
    with pytest.raises(Stopped):
        train_generator(kind, frames, tiny_options(), folder=tmp_path, progress=stop)
    resumed = train_generator(kind, frames, tiny_options(), folder=tmp_path)
    assert resumed.card == whole.card
    assert all(np.array_equal(resumed.tensors[name], value) for name, value in whole.tensors.items())
    with pytest.raises(UnsuitableInputError, match="same options and cases"):
        train_generator(kind, frames, tiny_options(guidance_dropout=0.2), folder=tmp_path)


def test_both_kinds_share_the_autoencoder_of_a_fold(frames, tmp_path):
    reports = []
    for kind in LDM_KINDS:
        train_generator(kind, frames, tiny_options(cache=str(tmp_path)), progress=reports.append)
    stages = [told.stage for told in reports]
    assert stages[0] == "autoencoder" and "autoencoder" not in stages[stages.index("training") :]


def test_a_loaded_autoencoder_is_frozen_and_kept_with_the_weights(frames, tmp_path):
    torch.manual_seed(0)
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    own = AutoencoderKL(latent_channels=2, block_out_channels=(4,) * 4, norm_num_groups=2, **levels)
    own.save_pretrained(tmp_path / "own")
    found = train_generator("ldm_class", frames, tiny_options(autoencoder=str(tmp_path / "own")))
    kept = found.tensors["autoencoder/network.encoder.conv_in.weight"]
    assert np.array_equal(kept, own.encoder.conv_in.weight.detach().numpy())
    assert load_generator(found).with_sampler(SamplerOptions(steps=2)).sample(np.ones(1, bool), 0).shape == (1, 64, 64)


def test_one_class_and_frames_of_another_size_are_refused(frames):
    with pytest.raises(UnsuitableInputError, match="2 patients of each class; found 0 healthy and 2 fatty"):
        train_generator("ldm_class", frames.subset(np.flatnonzero(frames.is_fatty)), tiny_options())
    small = replace(frames, images=frames.images[:, :64, :64])
    with pytest.raises(UnsuitableInputError, match="needs frames of 80 x 80 pixels; found 64 x 64"):
        train_generator("ldm_class", small, tiny_options())


def test_weights_without_a_tensor_or_maps_are_refused(frames):
    weights = train_generator("ldm_semantic", frames, tiny_options())
    for name, sentence in (("maps", "needs 'maps'"), ("unet/project.weight", "needs a tensor 'project.weight'")):
        tensors = {key: value for key, value in weights.tensors.items() if key != name}
        with pytest.raises(UnsuitableInputError, match=sentence):
            load_generator(Weights(tensors, weights.card))
    with pytest.raises(UnsuitableInputError, match="no tensor 'other/x'"):
        load_generator(Weights({**weights.tensors, "other/x": np.zeros(1)}, weights.card))


def test_a_card_without_the_range_of_latents_is_refused_before_anything_is_drawn(frames):
    weights = train_generator("ldm_class", frames, tiny_options())
    for latents in ({}, {**weights.card["config"]["latents"], "high": [1.0]}):
        card = {**weights.card, "config": {**weights.card["config"], "latents": latents}}
        with pytest.raises(UnsuitableInputError, match="mean, scale, low and high of 2 latent channels"):
            load_generator(Weights(weights.tensors, card))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"size": "large"}, "one of small, paper; found 'large'"),
        ({"steps": 0}, "steps from 1 to 1000000; found 0"),
        ({"guidance_dropout": 1.0}, "0 to below 1; found 1"),
        ({"min_snr": "yes"}, "default, on or off; found 'yes'"),
        ({"overrides": {"chanels": (1,)}}, "no value 'chanels'"),
    ],
)
def test_options_out_of_range_are_refused(changed, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        LdmOptions(**changed)


def test_the_rate_warms_up_and_falls_to_nothing():
    options = StepOptions(100, 1.0, 10, None, "training")
    rates = [rate_at(step, options) for step in range(100)]
    assert np.allclose(rates[:10], np.arange(1, 11) / 10)
    assert (np.diff(rates[10:]) < 0).all() and rates[55] == pytest.approx(0.5) and rates[99] < 1e-3


def test_the_mean_of_weights_is_the_recursion_of_the_text():
    network, seen = torch.nn.Linear(1, 1, bias=False), []
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)

    def loss_of(step):
        seen.append(network.weight.item())
        return network.weight.sum() * (1 + step % 3) / 10

    start = network.weight.item()
    options = StepOptions(20, 0.1, 1, 0.8, "training")
    found, _ = train_steps(
        network, optimiser, loss_of, options, architecture="a", config={}, folder=None, progress=None
    )
    mean = start
    for step, value in enumerate([*seen[1:], network.weight.item()]):
        decay = ema_decay(step, 0.8)
        mean = decay * mean + (1 - decay) * value
    assert found["weight"].item() == pytest.approx(mean, abs=1e-6)
    assert ema_decay(0, 0.9999) == 0.1 and ema_decay(10**6, 0.9999) == 0.9999


def test_the_paper_configurations_are_those_of_the_text():
    semantic, cls = (CONFIGURATIONS["paper", kind] for kind in LDM_KINDS)
    for one in (semantic, cls):
        assert (one.steps, one.batch, one.learning_rate, one.warmup) == (20_000, 32, 2.4e-4, 100)
        assert (one.weight_decay, one.ema) == (0.01, 0.9999)
    assert (256 // semantic.autoencoder.factor, semantic.autoencoder.latent_channels) == (64, 3)
    assert (256 // cls.autoencoder.factor, cls.autoencoder.latent_channels) == (32, 4)
    assert (semantic.loss, semantic.beta_end, cls.beta_end, cls.class_embedding) == ("l1", 0.0205, 0.0195, 512)
    assert not semantic.is_class_conditioned and cls.is_class_conditioned and cls.loss == "l2"
    for one in (semantic, cls):
        assert (one.prediction, one.min_snr, one.is_balanced, one.autoencoder.family) == ("epsilon", None, False, "vq")
    # Latents of VQ-f4 and VQ-f8, whose authors' base configurations those of the text are likely to be.
    assert (semantic.autoencoder.channels, semantic.autoencoder.n_codes) == ((128, 256, 512), 8192)
    assert (cls.autoencoder.channels, cls.autoencoder.n_codes) == ((128, 256, 256, 512), 16_384)
    assert (semantic.channels, semantic.attention) == ((128, 512, 1024), (False,) * 3)
    assert (cls.channels, cls.attention) == ((256, 512, 1024), (True,) * 3)
    assert all(width // heads == 32 for width, heads in zip(cls.channels, cls.heads, strict=True))
    assert (BETA_START, N_TRAIN_TIMESTEPS, LdmOptions().guidance_dropout) == (0.0015, 1000, 0.1)
    assert (GUIDANCE, SamplerOptions("ddim").n_steps) == (1.2, 500) and sides_of("paper") == (320, 256)
    with torch.device("meta"):
        n = sum(p.numel() for p in Denoiser("ldm_class", cls, 32).parameters())
    assert n == pytest.approx(395e6, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LDM_KINDS)
def test_a_paper_configuration_takes_one_step(kind):
    from liver_models.synthesis.autoencoder import Autoencoder, own_config
    from liver_models.synthesis.ldm_network import Condition

    size = CONFIGURATIONS["paper", kind]
    side = 256 // size.autoencoder.factor
    with torch.inference_mode():
        autoencoder = Autoencoder(own_config(size.autoencoder))
        z = autoencoder.encode(torch.zeros(1, 1, 256, 256))
    assert z.shape == (1, size.autoencoder.latent_channels, side, side)
    del autoencoder
    network = Denoiser(kind, size, side)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)  # AdamW's moments would take twice the weights again.
    condition = Condition(torch.ones(1).long(), torch.ones(1, 5, 128, 128) if kind == "ldm_semantic" else None)
    before = next(network.unet.parameters()).detach().clone()
    loss = diffusion_loss(network, z.clone(), condition, size, torch.Generator().manual_seed(0), 0.1)
    loss.backward()
    optimiser.step()
    assert loss.isfinite() and not torch.equal(before, next(network.unet.parameters()))
