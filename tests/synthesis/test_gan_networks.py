import pytest
import torch

from liver_models.synthesis.gan_networks import (
    N_NOISE,
    DcganGenerator,
    Discriminator,
    RefiningGenerator,
    SelfAttention,
    start_as_dcgan,
    use_standing_statistics,
    without_spectral_normalisation,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]


def as_matrix(layer):
    """Rows are what comes out: the second axis of a transposed convolution's weight."""
    weight = layer.weight
    return (weight.transpose(0, 1) if isinstance(layer, torch.nn.ConvTranspose2d) else weight).flatten(1)


NETWORKS = {
    "generator": (lambda sn: DcganGenerator(16, 8, sn, 8), (random(4, N_NOISE),)),
    "refining generator": (lambda sn: RefiningGenerator(8, 16, 8, sn, 8), (random(4, N_NOISE), random(4, 1, 8, 8))),
    "discriminator": (lambda sn: Discriminator(16, 8, sn, 8), (random(4, 1, 16, 16),)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_spectral_normalisation_bounds_the_largest_singular_value_of_every_convolution(name):
    build, arguments = NETWORKS[name]
    torch.manual_seed(0)
    network = build(True).train()
    with torch.no_grad():
        for layer in convolutions(network):
            layer.parametrizations.weight.original.mul_(5)
        for _ in range(100):  # One power iteration a pass.
            network(*arguments)
        largest = [float(torch.linalg.matrix_norm(as_matrix(layer), 2)) for layer in convolutions(network)]
    assert max(largest) <= 1.01
    assert min(largest) >= 0.9


@pytest.mark.parametrize("name", NETWORKS)
def test_writing_normalised_weights_into_the_layers_keeps_the_function(name):
    build, arguments = NETWORKS[name]
    torch.manual_seed(0)
    network = build(True).eval()
    with torch.no_grad():
        before = network(*arguments)
        plain = build(False) if name != "discriminator" else None
        network = without_spectral_normalisation(network)
        assert torch.allclose(network(*arguments), before, atol=1e-6)
        if plain is not None:
            plain.load_state_dict(network.state_dict())
            assert torch.allclose(plain.eval()(*arguments), before, atol=1e-6)


def test_self_attention_starts_as_the_identity():
    x = random(2, 16, 8, 8)
    layer = SelfAttention(16, is_spectral=False)
    assert torch.equal(layer(x), x)
    with torch.no_grad():
        layer.gamma.fill_(1)
    assert not torch.allclose(layer(x), x)


def test_self_attention_reads_the_whole_image():
    torch.manual_seed(0)
    layer = SelfAttention(16, is_spectral=False)
    with torch.no_grad():
        layer.gamma.fill_(1)
    x = random(1, 16, 8, 8).requires_grad_()
    layer(x)[0, :, 0, 0].sum().backward()
    assert (x.grad[0, :, 4:, 4:].abs().sum(dim=0) > 0).any()


@pytest.mark.parametrize(("side", "width"), [(16, 8), (64, 8), (256, 8)])
def test_a_generator_makes_images_of_its_side_within_the_grey_levels(side, width):
    with torch.no_grad():
        found = DcganGenerator(side, width)(random(2, N_NOISE))
        assert Discriminator(side, width)(found).shape == (2,)
    assert found.shape == (2, 1, side, side)
    assert found.abs().max() <= 1


@pytest.mark.parametrize(("first", "side"), [(32, 64), (64, 256), (16, 16)])
def test_the_second_stage_listens_to_noise_and_to_the_first_image(first, side):
    torch.manual_seed(0)
    network = RefiningGenerator(first, side, 8).eval()
    z, image = random(1, N_NOISE).requires_grad_(), random(1, 1, first, first).requires_grad_()
    network(z, image).square().sum().backward()
    assert z.grad.abs().max() > 0
    assert image.grad.abs().max() > 0


def test_skips_carry_detail_that_the_vector_has_lost():
    """Two images whose 4 x 4 pooling agrees differ in what is decoded from them."""
    torch.manual_seed(0)
    network = RefiningGenerator(8, 16, 8).eval()
    with torch.no_grad():
        maps = {side: random(1, channels, side, side) for side, channels in network.decoder.skips.items()}
        vector = random(1, 2 * 8 + N_NOISE)
        changed = {side: value + (side == 8) for side, value in maps.items()}
        assert not torch.allclose(network.decoder(vector, maps), network.decoder(vector, changed))


def test_a_residual_second_stage_that_adds_nothing_enlarges_the_first_image():
    network, image = RefiningGenerator(8, 16, 8, is_residual=True).eval(), random(2, 1, 8, 8).tanh()
    with torch.no_grad():
        for value in network.decoder.image.parameters():
            value.zero_()
        enlarged = torch.nn.functional.interpolate(image, size=16, mode="bilinear")
        assert torch.allclose(network(random(2, N_NOISE), image), enlarged, atol=0.01)
        network.is_residual = False
        assert not network(random(2, N_NOISE), image).any()


def test_standing_statistics_are_those_of_all_batches_together():
    torch.manual_seed(0)
    network = DcganGenerator(8, 8)
    batches = [random(16, N_NOISE, seed=k) for k in range(4)]
    use_standing_statistics(network, ((z,) for z in batches))
    with torch.no_grad():
        first = network.blocks["4"][0](torch.cat(batches)[:, :, None, None])
    norm = network.blocks["4"][1]
    assert torch.allclose(norm.running_mean, first.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, first.var(dim=(0, 2, 3)), rtol=0.05)
    assert not network.training
    assert norm.momentum == 0.1


def test_with_standing_statistics_an_image_is_the_same_alone_and_among_others():
    torch.manual_seed(0)
    network, z = DcganGenerator(16, 8), random(6, N_NOISE)
    with torch.no_grad():
        assert not torch.allclose(network.train()(z)[:1], network(z[:2])[:1], atol=1e-3)
        use_standing_statistics(network, ((random(16, N_NOISE, seed=k),) for k in range(3)))
        assert torch.allclose(network(z)[:1], network(z[:1]), atol=1e-5)


def test_a_network_starts_as_dcgan_does_whatever_came_before():
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = Discriminator(32, 32)
        start_as_dcgan(network, torch.Generator().manual_seed(0))
        found.append(torch.cat([layer.weight.detach().flatten() for layer in convolutions(network)]))
    assert torch.equal(*found)
    assert abs(found[0].std().item() - 0.02) < 1e-3
