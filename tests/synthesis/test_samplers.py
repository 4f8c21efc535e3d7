"""Laws of samplers, on data whose exact denoiser is known: a normal distribution."""

import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.ldm_network import FATTY, HEALTHY, UNKNOWN, Condition, alphas_cumprod, loss_weights
from liver_models.synthesis.samplers import SamplerOptions, guided, make_scheduler, noise_of, sample_latents

MEAN, STD, BETA_END = 0.7, 0.5, 0.0195
ABAR = alphas_cumprod(BETA_END)


def exact(prediction):
    """The best prediction for data N(MEAN, STD^2): E[x_0 | x_t] and what follows from it."""

    def predict(x, t):
        abar = ABAR[int(t)].item()
        clean = MEAN + abar**0.5 * STD**2 / (abar * STD**2 + 1 - abar) * (x - abar**0.5 * MEAN)
        eps = (x - abar**0.5 * clean) / (1 - abar) ** 0.5
        return eps if prediction == "epsilon" else abar**0.5 * eps - (1 - abar) ** 0.5 * clean

    return predict


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("sampler", "steps", "tolerance"), [("dpm", 30, 0.02), ("dpm", 50, 0.02), ("ddim", 500, 0.02)])
def test_an_exact_denoiser_gives_the_mean_and_spread_of_the_data(prediction, sampler, steps, tolerance):
    scheduler = make_scheduler(SamplerOptions(sampler, steps), BETA_END, prediction)
    assert len(scheduler.timesteps) == steps
    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sample_latents(exact(prediction), scheduler, noise)
    assert abs(found.mean().item() - MEAN) < tolerance
    assert abs(found.std().item() / STD - 1) < tolerance


def test_thirty_steps_of_dpm_beat_thirty_of_ddim():
    noise = torch.randn(5000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # A normal variable's flow is known: what starts at z ends at MEAN + STD z, up to what signal is left at the start.
    errors = []
    for sampler in ("dpm", "ddim"):
        scheduler = make_scheduler(SamplerOptions(sampler, 30), BETA_END, "epsilon")
        found = sample_latents(exact("epsilon"), scheduler, noise)
        errors.append((found - MEAN - STD * noise).abs().mean().item())
    assert errors[0] < errors[1] / 2


def test_noise_levels_are_those_of_the_schedulers():
    scheduler = make_scheduler(SamplerOptions("ddim"), BETA_END, "epsilon")
    assert torch.allclose(scheduler.alphas_cumprod.double(), ABAR, rtol=1e-4)
    assert ABAR[-1] < 1e-3  # What training ends at is noise, nearly: there is next to no signal to start without.


def test_guidance_goes_past_what_is_told_and_one_is_no_guidance():
    condition = Condition(torch.tensor([HEALTHY, FATTY]))
    x = torch.zeros(2, 1, 2, 2)

    def network(x, t, condition):
        return x + condition.labels[:, None, None, None].float()

    expected = torch.tensor([HEALTHY, FATTY]).float()
    assert torch.equal(guided(network, condition, 1)(x, 0)[:, 0, 0, 0], expected)
    for in_halves in (False, True):
        found = guided(network, condition, 1.2, in_halves=in_halves)(x, 0)[:, 0, 0, 0]
        assert torch.allclose(found, UNKNOWN + 1.2 * (expected - UNKNOWN))


def test_who_is_not_told_has_no_map_and_no_class():
    condition = Condition(torch.tensor([HEALTHY, FATTY]), torch.ones(2, 5, 4, 4))
    found = condition.dropped(torch.tensor([False, True]))
    assert found.labels.tolist() == [HEALTHY, UNKNOWN]
    assert found.maps[0].min() == 1 and found.maps[1].max() == 0


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weighs_the_error_of_clean_latents(prediction):
    snr = torch.tensor([0.01, 1.0, 5.0, 100.0], dtype=torch.float64)
    abar, error = snr / (1 + snr), 0.3
    # An error of the clean latents as an error of the noise, or of the velocity.
    as_predicted = error * (snr.sqrt() if prediction == "epsilon" else 1 / (1 - abar).sqrt())
    weighed = loss_weights(snr, prediction, 5.0) * as_predicted**2
    assert torch.allclose(weighed, torch.tensor([0.01, 1.0, 5.0, 5.0], dtype=torch.float64) * error**2)
    assert (loss_weights(snr, prediction, None) == 1).all()


def test_noise_of_an_image_does_not_depend_on_its_neighbours():
    whole = noise_of(3, range(10), (2, 4, 4))
    assert torch.equal(whole[6:9], noise_of(3, range(6, 9), (2, 4, 4)))
    assert not torch.equal(whole, noise_of(4, range(10), (2, 4, 4)))
    assert abs(np.corrcoef(whole.reshape(10, -1).numpy())[np.triu_indices(10, 1)]).max() < 0.8


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"sampler": "euler"}, "one of dpm, ddim; found 'euler'"),
        ({"steps": 1}, "2 to 1000 steps; found 1"),
        ({"guidance": 0.5}, "1 to 20; found 0.5"),
    ],
)
def test_a_sampler_that_is_none_is_refused(changed, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        SamplerOptions(**changed)
