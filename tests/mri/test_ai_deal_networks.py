"""G_φ and G_R2*: any number of hypotheses, any image, the same advice for each; one basin in every mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.mri.ai_deal_networks import (
    ARCHITECTURE,
    DOWNSAMPLING,
    MARGIN,
    MAX_COST,
    AiDealNetworks,
    NetworkSizes,
    Place,
    _Exchange,
    moments,
    saturate,
)
from liver_models.weights import Weights

TINY = NetworkSizes(field=(4, 8, 8, 8), r2_star=(4, 4, 8, 8))


@pytest.fixture(scope="module")
def networks():
    """Untrained, with weights large enough that neighbours matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AiDealNetworks(TINY).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter *= 2
    return made


def body(shape, corner, size):
    """A blob with a hole: tissue of a slice."""
    x, y = np.mgrid[: shape[0], : shape[1]]
    middle = [c + (s - 1) / 2 for c, s in zip(corner, size, strict=True)]
    radius = np.hypot((x - middle[0]) / (size[0] / 2), (y - middle[1]) / (size[1] / 2))
    return (radius <= 1) & (radius > 0.25)


def costs(n_hypotheses, n_voxels, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.exponential(6.0, (n_hypotheses, n_voxels)).astype(np.float32))


def ask(networks, cost, mask, is_cyclic=True):
    with torch.inference_mode():
        return networks.field(cost, Place(mask), is_cyclic)


def test_a_rolled_row_rolls_the_advice(networks):
    mask = body((40, 44), (9, 10), (22, 25))
    cost = costs(25, mask.sum())
    for plain, rolled in zip(ask(networks, cost, mask), ask(networks, cost.roll(6, 0), mask), strict=True):
        assert torch.allclose(plain.roll(6, 0), rolled, atol=1e-4)


def test_a_row_with_ends_does_not_pass_advice_round(networks):
    """The first hypothesis hears of the last in a circle only."""
    mask = body((40, 44), (9, 10), (22, 25))
    cost = costs(25, mask.sum())
    changed = cost.clone()
    changed[-1] = 0
    for is_cyclic in (True, False):
        first, other = (ask(networks, c, mask, is_cyclic)[0][0] for c in (cost, changed))
        assert torch.equal(first, other) == (not is_cyclic)


@pytest.mark.parametrize("is_cyclic", [True, False])
def test_a_hypothesis_hears_of_both_its_neighbours_in_one_exchange(is_cyclic):
    """A block passes one part of its channels up the row and another down."""
    block = _Exchange(8, 8)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.fill_(0.1)
    row = torch.zeros(9, 8, 4, 4)
    changed = row.clone()
    changed[4] = 1
    with torch.inference_mode():
        moved = (block(changed, is_cyclic) - block(row, is_cyclic)).abs().amax((1, 2, 3)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [3, 4, 5]


def test_neighbours_are_heard(networks):
    mask = body((40, 44), (9, 10), (22, 25))
    cost = costs(9, mask.sum())
    changed = cost.clone()
    changed[:, 0] = 0
    moved = (ask(networks, changed, mask)[0] - ask(networks, cost, mask)[0]).abs().amax(0)
    assert (moved[1:] > 1e-6).any()


def test_the_advice_does_not_depend_on_the_size_of_the_image_around_the_tissue(networks):
    size = (22, 25)
    small = body((22 + 2 * MARGIN, 25 + 2 * MARGIN), (MARGIN, MARGIN), size)
    large = body((90, 71), (31, 19), size)
    cost = costs(12, small.sum())
    for here, there in zip(ask(networks, cost, small), ask(networks, cost, large), strict=True):
        assert torch.equal(here, there)


@pytest.mark.parametrize("n_hypotheses", [1, 2, 8, 41])
@pytest.mark.parametrize("shape", [(1, 1), (7, 90), (33, 57), (64, 64)])
def test_any_number_of_hypotheses_and_any_image_are_answered(networks, n_hypotheses, shape):
    mask = np.ones(shape, bool)
    for is_cyclic in (True, False):
        logits, log_widening = ask(networks, costs(n_hypotheses, mask.sum()), mask, is_cyclic)
        assert logits.shape == log_widening.shape == (n_hypotheses, mask.sum())
        assert torch.isfinite(logits).all() and torch.isfinite(log_widening).all()


def test_a_voxel_s_own_evidence_is_added_and_not_replaced(networks):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        silent = AiDealNetworks(TINY).eval()
    with torch.no_grad():
        silent.field.leave.weight.zero_()
        silent.field.leave.bias.zero_()
    mask = body((40, 44), (9, 10), (22, 25))
    cost = costs(9, mask.sum())
    logits, log_widening = ask(silent, cost, mask)
    assert torch.allclose(logits, -saturate(cost), atol=1e-5) and not log_widening.any()


def test_evidence_counts_as_it_is_when_small_and_levels_off():
    cost = torch.tensor([0.0, 0.01, 1e9])
    assert torch.allclose(saturate(cost), torch.tensor([0.0, 0.01, MAX_COST]), atol=1e-4)
    ramp = saturate(torch.linspace(0, 150, 500))
    assert (ramp.diff() > 0).all()


class TestPlace:
    MASK = body((61, 47), (11, 13), (37, 20))

    def test_its_rectangle_fits_the_network_s_grids_and_keeps_a_margin(self):
        place = Place(self.MASK)
        assert all(n % DOWNSAMPLING == 0 for n in place.shape)
        spread = place.spread(torch.ones(1, self.MASK.sum()))[0]
        inside = spread.nonzero()
        assert (inside.amin(0) == MARGIN).all()
        assert all(last + MARGIN < n for last, n in zip(inside.amax(0), place.shape, strict=True))

    def test_voxels_that_are_spread_lie_as_in_the_mask(self):
        place = Place(self.MASK)
        values = np.zeros(self.MASK.shape, np.float32)
        values[self.MASK] = np.arange(self.MASK.sum())
        spread = place.spread(torch.from_numpy(values[self.MASK])[None])[0].numpy()
        x, y = 11 - MARGIN, 13 - MARGIN
        cut = values[x : x + 37 + 2 * MARGIN, y : y + 20 + 2 * MARGIN]
        assert np.array_equal(spread[: cut.shape[0], : cut.shape[1]], cut)

    def test_pooling_averages_blocks_of_four_with_0_outside_tissue(self):
        place = Place(self.MASK)
        values = costs(3, self.MASK.sum())
        pooled = place.pooled(values[:, None])[:, 0]
        blocks = place.spread(values).reshape(3, place.shape[0] // 2, 2, place.shape[1] // 2, 2)
        assert torch.allclose(pooled, blocks.mean((2, 4)), atol=1e-5)

    def test_what_is_linear_over_the_image_is_read_exactly_at_the_voxels(self):
        place = Place(self.MASK)
        x, y = torch.meshgrid(*(2 * torch.arange(n // 2) + 0.5 for n in place.shape), indexing="ij")
        read = place.interpolated((3 * x - y)[None, None])[0, 0]
        rows, columns = place.index // place.shape[1], place.index % place.shape[1]
        assert torch.allclose(read, 3.0 * rows - columns, atol=1e-3)

    def test_a_slice_without_tissue_has_a_place(self):
        place = Place(np.zeros((20, 30), bool))
        assert place.index.numel() == 0 and place.spread(torch.zeros(2, 0)).shape == (2, *place.shape)


def gaussian_row(n, peaks, spread=1.0):
    """Log-probabilities with equal peaks."""
    place = torch.arange(n, dtype=torch.float32)
    return torch.stack([-((place - peak) ** 2) / (2 * spread**2) for peak in peaks]).amax(0)


def test_two_basins_are_never_averaged():
    logits = torch.stack([gaussian_row(25, (5.0, 17.0)), gaussian_row(25, (5.0, 17.0))], 1)
    logits[5, 0] += 0.01
    logits[17, 1] += 0.01
    value = 10 * torch.arange(25.0)[:, None].expand(25, 2)
    found = moments(logits, torch.zeros(25, 2), value, torch.ones(25, 2), 3, None)
    assert found.mean.tolist() == pytest.approx([50, 170], abs=0.5)
    assert found.elsewhere.tolist() == pytest.approx([0.5, 0.5], abs=0.01)
    assert found.chosen.tolist() == [5, 17]


@pytest.mark.parametrize("peak", [0.0, 1.0, 23.4, 24.6])
def test_a_mean_across_the_seam_of_a_period_is_a_mean_on_the_circle(peak):
    place = torch.arange(25.0)
    off = place - peak - 25 * torch.round((place - peak) / 25)
    found = moments(-(off[:, None] ** 2) / 2, torch.zeros(25, 1), 10 * place[:, None], torch.ones(25, 1), 4, 250.0)
    error = found.mean.item() - 10 * peak
    assert abs(error - 250 * round(error / 250)) < 0.3
    assert found.std.item() == pytest.approx(10, rel=0.03)


def test_a_mean_at_the_end_of_a_row_does_not_reach_round():
    logits = gaussian_row(25, (0.0, 24.0))[:, None]
    logits[0] += 1
    found = moments(logits, torch.zeros(25, 1), torch.arange(25.0)[:, None], torch.ones(25, 1), 3, None)
    assert 0 < found.mean.item() < 2


def test_mean_and_deviation_are_those_of_the_mixture_within_reach():
    rng = np.random.default_rng(2)
    logits, log_widening = (torch.from_numpy(rng.normal(0, 1, (9, 1))) for _ in range(2))
    value, width = torch.from_numpy(rng.normal(0, 5, (9, 1))), torch.from_numpy(rng.uniform(1, 3, (9, 1)))
    found = moments(logits, log_widening, value, width, 2, None)
    chosen = int(logits.argmax())
    inside = np.arange(max(chosen - 2, 0), min(chosen + 3, 9))
    p = np.exp(logits.numpy()[:, 0])
    assert found.elsewhere.item() == pytest.approx(1 - p[inside].sum() / p.sum())
    picked = rng.choice(inside, 200_000, p=p[inside] / p[inside].sum())
    sigma = (width * torch.exp(log_widening)).numpy()[:, 0]
    drawn = rng.normal(value.numpy()[picked, 0], sigma[picked])
    assert found.mean.item() == pytest.approx(drawn.mean(), abs=0.05)
    assert found.std.item() == pytest.approx(drawn.std(), rel=0.01)


def test_a_reach_beyond_the_whole_row_counts_no_hypothesis_twice():
    found = moments(torch.zeros(8, 1), torch.zeros(8, 1), torch.arange(8.0)[:, None], torch.ones(8, 1), 3, 8.0)
    assert found.elsewhere.item() == pytest.approx(1 / 8, abs=1e-6)


def test_gradients_of_the_moments_are_finite():
    logits = gaussian_row(12, (4.0,)).double()[:, None].requires_grad_()
    found = moments(logits, 0 * logits, torch.arange(12.0).double()[:, None], 0 * logits + 0.5, 3, 12.0)
    (found.mean + found.std).sum().backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().max() > 0


def weights_of(networks, **card):
    return Weights(networks.tensors(), {"architecture": ARCHITECTURE, "config": networks.config(), **card})


def test_weights_give_back_the_networks(networks):
    mask = body((40, 44), (9, 10), (22, 25))
    cost = costs(9, mask.sum())
    again = AiDealNetworks.from_weights(weights_of(networks))
    assert again.config() == networks.config() and not again.training
    for one, other in zip(ask(networks, cost, mask), ask(again, cost, mask), strict=True):
        assert torch.equal(one, other)


def test_weights_that_lack_a_tensor_are_refused(networks):
    given = weights_of(networks)
    del given.tensors["field.log_trust"]
    with pytest.raises(UnsuitableInputError, match="needs a tensor 'field.log_trust'; it is missing"):
        AiDealNetworks.from_weights(given)


def test_weights_of_another_size_are_refused(networks):
    with pytest.raises(UnsuitableInputError, match="needs 'field.*' of shape .*; found"):
        AiDealNetworks.from_weights(weights_of(networks, config={"field": [4, 8, 8, 16], "r2_star": [4, 4, 8, 8]}))


@pytest.mark.parametrize("config", [{"field": [4, 8]}, {"field": "many"}, {"field": [4, 8, 8, -1]}])
def test_a_card_whose_sizes_are_none_is_refused(networks, config):
    with pytest.raises(UnsuitableInputError):
        AiDealNetworks.from_weights(weights_of(networks, config=config))


def test_the_shipped_size_holds_fewer_weights_than_a_megabyte():
    assert sum(4 * p.numel() for p in AiDealNetworks().parameters()) < 1e6
