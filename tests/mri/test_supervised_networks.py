"""The compared networks and their blocks."""

from __future__ import annotations

import pytest
import torch

from liver_models.mri.conv_lstm import AdaptiveInstanceNorm, ConvLSTM2d, EchoTimeEncoder
from liver_models.mri.supervised import SupervisedConfig
from liver_models.mri.supervised_networks import NETWORKS, make_network
from liver_models.mri.unet_blocks import Decoder, to_grid

TIMES = torch.tensor([[1.3e-3, 3.4e-3, 5.5e-3, 7.6e-3]])


def tiny(method, seed=0):
    return make_network(method, SupervisedConfig(widths=(4, 6, 8), n_echoes=4, field_strength_t=1.5), seed)


def echoes(*size, n_echoes=4, n_channels=2, seed=0):
    return torch.randn(1, n_echoes, n_channels, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", NETWORKS)
@pytest.mark.parametrize("size", [(16, 16), (17, 22)])
def test_maps_have_the_size_of_the_slice_and_stay_in_their_range(method, size):
    network = tiny(method)
    maps = dict(zip(network.MAPS, network(echoes(*size), TIMES)[0].detach(), strict=True))
    assert all(values.shape == size for values in maps.values())
    for name, values in maps.items():
        assert values.min() >= (-1 if name == "field_map_hz" else 0)
        assert name == "r2_star_per_s" or values.max() <= 1


@pytest.mark.parametrize("method", NETWORKS)
def test_every_weight_learns(method):
    network = tiny(method)
    network(echoes(16, 16), TIMES).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize(("method", "looks"), [("u_net", False), ("mdwf_net", False), ("vet_net", True)])
def test_only_vet_net_looks_at_the_echo_times(method, looks):
    network = tiny(method)
    assert torch.equal(network(echoes(16, 16), TIMES), network(echoes(16, 16), 1.2 * TIMES)) is not looks


def test_the_same_seed_gives_the_same_network_and_leaves_torch_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (tiny("vet_net", seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_convolutional_lstm_of_one_pixel_kernels_is_an_lstm_of_each_pixel():
    ours, reference = ConvLSTM2d(2, 5, kernel_size=1), torch.nn.LSTM(2, 5, batch_first=True)
    order = torch.cat([torch.arange(k * 5, k * 5 + 5) for k in (0, 1, 3, 2)])  # torch: i, f, g, o
    with torch.no_grad():
        reference.weight_ih_l0.copy_(ours.from_input.weight[order, :, 0, 0])
        reference.weight_hh_l0.copy_(ours.from_state.weight[order, :, 0, 0])
        reference.bias_ih_l0.copy_(ours.from_input.bias[order])
        reference.bias_hh_l0.zero_()
    image = echoes(3, 4)
    expected = reference(image[0].permute(2, 3, 0, 1).flatten(0, 1))[0][:, -1]
    assert torch.allclose(ours(image)[0].flatten(1).T, expected, atol=1e-6)


@pytest.mark.parametrize("n_echoes", [1, 3, 12])
def test_a_convolutional_lstm_reads_any_number_of_echoes(n_echoes):
    assert ConvLSTM2d(2, 5)(echoes(8, 9, n_echoes=n_echoes)).shape == (1, 5, 8, 9)


def test_the_order_of_the_echoes_counts():
    memory, image = ConvLSTM2d(2, 5), echoes(8, 8)
    assert not torch.allclose(memory(image), memory(image.flip(1)), atol=1e-3)


def test_an_adapted_channel_has_the_mean_and_deviation_of_its_code():
    norm, code = AdaptiveInstanceNorm(3, 6), torch.randn(1, 6, generator=torch.Generator().manual_seed(1))
    features = 5 + 3 * echoes(20, 20, n_echoes=3)[:, :, 0]
    scale, shift = norm.dense(code)[0].chunk(2)
    adapted = norm(features, code)[0].flatten(1)
    assert torch.allclose(adapted.mean(1), shift, atol=1e-5)
    assert torch.allclose(adapted.std(1, correction=0), (1 + scale).abs(), atol=1e-4)


def test_echo_times_of_any_number_become_one_code():
    encoder = EchoTimeEncoder()
    assert encoder(TIMES).shape == encoder(TIMES[:, :3]).shape == (1, 6)
    assert not torch.allclose(encoder(TIMES), encoder(TIMES + 5e-4), atol=1e-5)


def test_a_decoder_joins_the_features_of_every_level():
    decoder, generator = Decoder((4, 6, 8)), torch.Generator().manual_seed(0)
    features = [torch.randn(1, n, size, size, generator=generator) for n, size in ((4, 16), (6, 8), (8, 4))]
    whole = decoder(features)
    for level in range(3):
        changed = [values.flip(-1) if k == level else values for k, values in enumerate(features)]
        assert not torch.allclose(decoder(changed), whole, atol=1e-2)


def test_padding_to_the_grid_is_cut_away_again():
    image = echoes(17, 22)
    padded, inside = to_grid(image, (4, 6, 8))
    assert padded.shape[-2:] == (20, 24)
    assert torch.equal(padded[inside], image)
    assert padded.count_nonzero() == image.count_nonzero()
