"""Autoencoders: trained here to the same bytes, or loaded strictly."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, VQModel
from tiny_ldm import TINY_AUTOENCODER, tiny_frames, tiny_options

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.autoencoder import (
    Autoencoder,
    latent_statistics,
    load_autoencoder,
    own_config,
    reconstruction_loss,
    reconstruction_quality,
    speckle_contrast,
    to_images,
    to_tensor,
    trained_autoencoder,
)

LEVELS = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
LEVELS |= {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}


def saved(network, folder):
    network.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["kl", "vq"])
def test_latents_have_the_size_asked_for_and_frames_come_back_whole(family):
    size = replace(TINY_AUTOENCODER, family=family, n_codes=16 if family == "vq" else 0)
    autoencoder = Autoencoder(own_config(size))
    x = torch.rand(2, 1, 64, 64)
    z = autoencoder.encode(x)
    assert z.shape == (2, 2, 8, 8) and autoencoder.decode(z).shape == x.shape
    loss = autoencoder.losses(x, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in autoencoder.parameters())


def test_grey_levels_come_back_exactly_from_tensors():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(to_images(to_tensor(images)), images)


def test_the_loss_prefers_speckle_of_the_right_strength_to_its_mean_and_to_a_chequerboard():
    rng = torch.Generator().manual_seed(0)
    true, other = (0.2 * torch.randn(1, 1, 64, 64, generator=rng) for _ in range(2))
    board = 0.16 * (torch.arange(64)[:, None] + torch.arange(64)[None]).remainder(2).mul(2).sub(1).float()[None, None]
    assert reconstruction_loss(true, true) == 0
    grey, chequered = (reconstruction_loss(one, true).item() for one in (torch.zeros_like(true), board))
    # Less pixel error costs more than texture gains: speckle at half strength in the right place is better still.
    assert reconstruction_loss(0.5 * true, true) < grey
    assert reconstruction_loss(other, true) < chequered


def test_training_is_the_same_bytes_when_it_is_stopped_and_goes_on(tmp_path):
    frames, options = tiny_frames(), tiny_options()

    def trained(folder, progress=None):
        return trained_autoencoder(
            frames.images, TINY_AUTOENCODER, options, digest=frames.digest(), folder=folder, progress=progress
        )

    class Stopped(Exception):
        pass

    def stop(told):
        if told.epoch == 2:
            raise Stopped

    whole = trained(None).state_dict()
    with pytest.raises(Stopped):
        trained(tmp_path, stop)
    seen = []
    resumed = trained(tmp_path, lambda told: seen.append(told.epoch)).state_dict()
    assert seen[0] == 2
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    again = trained(tmp_path, lambda told: pytest.fail("a finished autoencoder is not trained again"))
    assert all(torch.equal(whole[name], value) for name, value in again.state_dict().items())


def test_scaled_latents_have_mean_0_and_spread_1():
    autoencoder, frames = Autoencoder(own_config(TINY_AUTOENCODER)), tiny_frames()
    found = latent_statistics(autoencoder, frames.images, 64, 0)
    assert len(found["mean"]) == 2 and all(
        low < 0 < high for low, high in zip(found["low"], found["high"], strict=True)
    )
    assert found == latent_statistics(autoencoder, frames.images, 64, 0)


def test_a_perfect_autoencoder_keeps_all_speckle():
    class Identity(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def encode(self, x):
            return x

        decode = encode

    images = np.random.default_rng(0).integers(80, 160, (2, 64, 64)).astype(np.uint8)
    found = reconstruction_quality(Identity(), images)
    assert found["psnr_db"] > 90 and found["speckle_contrast_ratio"] == pytest.approx(1)
    blurred = np.full_like(images, 120)
    assert speckle_contrast(blurred, images) == 0


@pytest.mark.parametrize(("network", "channels"), [(AutoencoderKL, 3), (AutoencoderKL, 1), (VQModel, 3)])
def test_an_autoencoder_of_diffusers_is_loaded_as_it_is(network, channels, tmp_path):
    own = network(in_channels=channels, out_channels=channels, latent_channels=4, **LEVELS).eval()
    loaded = load_autoencoder(saved(own, tmp_path / "own"), 4, 2).eval()
    x = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        found = loaded.decode(loaded.encode(x))
        encoded = own.encode(x.expand(1, channels, 16, 16))
        z = encoded.latents if network is VQModel else encoded.latent_dist.mode()
        assert torch.equal(found, own.decode(z).sample.mean(1, keepdim=True))


def test_an_autoencoder_of_other_latent_size_is_refused(tmp_path):
    folder = saved(AutoencoderKL(latent_channels=4, **LEVELS), tmp_path / "own")
    with pytest.raises(UnsuitableInputError, match="3 latent channels and 4 pixels a latent; 'own' has 4 and 2"):
        load_autoencoder(folder, 3, 4)


def test_files_that_are_no_autoencoder_are_refused(tmp_path):
    with pytest.raises(UnsuitableInputError, match=r"config\.json and diffusion_pytorch_model"):
        load_autoencoder(tmp_path, 4, 2)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    with pytest.raises(UnsuitableInputError, match="AutoencoderKL or a VQModel of diffusers; found 'AutoencoderTiny'"):
        load_autoencoder(saved(tiny, tmp_path / "tiny"), 4, 2)
    folder = saved(AutoencoderKL(latent_channels=4, **LEVELS), tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layers_per_block": 2}))
    with pytest.raises(UnsuitableInputError, match="needs a tensor"):
        load_autoencoder(folder, 4, 2)


def test_levels_that_do_not_give_the_factor_are_refused():
    with pytest.raises(UnsuitableInputError, match="factor 4 needs patch times 2"):
        own_config(replace(TINY_AUTOENCODER, factor=4))
