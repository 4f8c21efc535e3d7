"""The unsupervised losses against oracles: NumPy's least squares, SciPy's Rice, the graph cut's energy, enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import rice

from liver_models.mri.ai_deal_losses import (
    VARIANCE_FLOOR,
    disagreement,
    free_energy,
    heteroscedastic_loss,
    r2_star_rice_costs,
    rice_cost,
    solve_water_fat,
    unexplained_share,
)
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.graph_cut import FieldEnergy, link_neighbours
from liver_models.mri.signal_model import design_matrix

PROTOCOLS = {
    "1.5 T, six echoes": (1.5, 1.3e-3 + 2.1e-3 * np.arange(6)),
    "3 T, unequal echoes": (3.0, np.array([1.1, 2.3, 3.1, 4.7, 5.2, 6.9]) * 1e-3),
    "1.5 T, sixteen echoes": (1.5, 1.0e-3 + 1.4e-3 * np.arange(16)),
}


class Case:
    """Voxels in double precision, as tensors, and what they were made of."""

    def __init__(self, protocol="1.5 T, six echoes", n=40, noise_std=0.0, field_error_hz=0.0, seed=0):
        b0, times = PROTOCOLS[protocol]
        rng = np.random.default_rng(seed)
        basis = design_matrix(times, b0, get_spectrum("hamilton_2011"))
        self.pdff, self.rate, field = rng.uniform(0, 1, n), rng.uniform(20, 150, n), rng.uniform(-200, 200, n)
        parts = np.exp(1j * rng.uniform(-np.pi, np.pi, n)) * np.stack([1 - self.pdff, self.pdff])
        actual = field + field_error_hz * rng.standard_normal(n)
        clean = (basis @ parts) * np.exp(np.outer(times, 2j * np.pi * actual - self.rate))
        noise = noise_std * rng.standard_normal((2, *clean.shape))
        self.signal, self.times = torch.from_numpy(clean + noise[0] + 1j * noise[1]), torch.from_numpy(times)
        self.basis = torch.from_numpy(basis)
        self.field, self.rates = torch.from_numpy(field), torch.from_numpy(self.rate)
        self.n = n

    @property
    def given(self):
        return self.signal, self.times, self.basis

    def zeros(self, value=0.0):
        return torch.full((self.n,), value, dtype=torch.float64)


class TestUnexplainedShare:
    def test_it_is_what_least_squares_leaves_of_the_energy(self):
        case = Case(noise_std=0.1)
        shares = []
        for k in range(case.n):
            decayed = np.exp(case.times.numpy() * (2j * np.pi * case.field[k].item() - case.rate[k]))
            left = np.linalg.lstsq(decayed[:, None] * case.basis.numpy(), case.signal[:, k].numpy(), rcond=None)[1]
            shares.append(left.sum() / np.sum(np.abs(case.signal[:, k].numpy()) ** 2))
        assert unexplained_share(*case.given, case.field, case.rates).item() == pytest.approx(np.mean(shares), rel=0.02)

    def test_it_is_least_at_the_truth_and_does_not_depend_on_the_signals_size(self):
        case = Case()
        here = unexplained_share(*case.given, case.field, case.rates)
        assert here < 1e-10 < 1e-4 < unexplained_share(*case.given, case.field + 8, case.rates)
        off = unexplained_share(*case.given, case.field, case.rates + 30)
        larger = unexplained_share(7 * case.signal, case.times, case.basis, case.field, case.rates + 30)
        assert 1e-5 < off and larger.item() == pytest.approx(off.item())

    def test_a_voxel_without_signal_counts_nothing(self):
        case = Case()
        assert unexplained_share(0 * case.signal, case.times, case.basis, case.field, case.rates) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_water_and_fat_are_numpy_s_least_squares(protocol):
    case = Case(protocol, noise_std=0.05)
    field, rate = case.field + 9, case.rates + 20
    model, y = solve_water_fat(*case.given, field, rate)
    times, basis = case.times.numpy(), case.basis.numpy()
    for k in range(case.n):
        demodulated = case.signal.numpy()[:, k] * np.exp(-2j * np.pi * float(field[k]) * times)
        decayed = np.exp(-float(rate[k]) * times)[:, None] * basis
        expected = decayed @ np.linalg.lstsq(decayed, demodulated, rcond=None)[0]
        assert np.allclose(y[:, k], demodulated) and np.allclose(model[:, k], expected, atol=1e-10)


def test_single_precision_agrees_with_double():
    case = Case(noise_std=0.02)
    single = [x.to(torch.complex64 if x.is_complex() else torch.float32) for x in (*case.given, case.field, case.rates)]
    exact, _ = solve_water_fat(*case.given, case.field, case.rates)
    assert torch.allclose(solve_water_fat(*single)[0].to(torch.complex128), exact, atol=2e-4)


def test_gradients_of_the_unexplained_signal_are_those_of_finite_differences():
    case = Case(n=5, noise_std=0.05)

    def unexplained(field, rate):
        model, y = solve_water_fat(*case.given, field, rate)
        return ((y - model).abs() ** 2).sum(0)

    start = (case.field + 5).requires_grad_(), (case.rates + 10).requires_grad_()
    assert torch.autograd.gradcheck(unexplained, start, eps=1e-5, atol=1e-7)


def test_gradients_by_the_stated_deviations_are_those_of_finite_differences():
    case = Case(n=5, noise_std=0.05)

    def loss(field_std, rate_std):
        return heteroscedastic_loss(*case.given, case.field, field_std, case.rates, rate_std, 0.05**2)

    start = case.zeros(4.0).requires_grad_(), case.zeros(12.0).requires_grad_()
    assert torch.autograd.gradcheck(loss, start, eps=1e-5, atol=1e-8)


@pytest.mark.parametrize("rate", [-30.0, 1050.0])
def test_gradients_are_finite_at_the_ends_of_r2_star_without_noise_or_deviation(rate):
    case = Case()
    leaves = [x.clone().requires_grad_() for x in (case.field, case.zeros(), case.zeros(rate), case.zeros())]
    heteroscedastic_loss(*case.given, *leaves, 0.0).backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_the_loss_is_least_at_the_variance_that_the_noise_has():
    """Of n complex echoes two unknowns take their share, so that n - 2 of n parts of the variance are left."""
    case = Case("1.5 T, sixteen echoes", n=4000, noise_std=0.05)
    trials = np.geomspace(0.5, 2.0, 61) * 0.05**2
    loss = [
        float(heteroscedastic_loss(*case.given, case.field, case.zeros(), case.rates, case.zeros(), v)) for v in trials
    ]
    expected = 0.05**2 * 14 / 16 - VARIANCE_FLOOR / 2
    assert trials[np.argmin(loss)] == pytest.approx(expected, rel=0.03)


def test_the_published_form_of_the_loss_is_least_at_the_square_of_the_right_deviation():
    """Why |r|²/v + ln v is used: r²/σ + ln σ, as published, states 0.0025 for a residual of 0.05."""
    r, sigma = 0.05, np.geomspace(1e-4, 1, 2001)
    assert sigma[np.argmin(r**2 / sigma + np.log(sigma))] == pytest.approx(r**2, rel=0.01)
    assert sigma[np.argmin(r**2 / sigma**2 + np.log(sigma**2))] == pytest.approx(r, rel=0.01)


@pytest.mark.parametrize("error_hz", [1.0, 3.0])
def test_a_field_that_errs_is_best_stated_with_its_error(error_hz):
    """Least squares takes up a part of the error, so the best statement is somewhat less."""
    case = Case("1.5 T, sixteen echoes", n=4000, noise_std=0.002, field_error_hz=error_hz)
    trials = error_hz * np.geomspace(0.1, 4, 40)
    loss = [
        float(heteroscedastic_loss(*case.given, case.field, case.zeros(s), case.rates, case.zeros(), 0.002**2))
        for s in trials
    ]
    assert 0.4 < trials[np.argmin(loss)] / error_hz < 1.3


def test_the_loss_prefers_the_right_field_and_r2_star():
    case = Case(n=300, noise_std=0.02)

    def loss(field, rate):
        return float(heteroscedastic_loss(*case.given, field, case.zeros(1.0), rate, case.zeros(3.0), 0.02**2))

    best = loss(case.field, case.rates)
    for off in (-4.0, 4.0):
        assert loss(case.field + off, case.rates) > best and loss(case.field, case.rates + 10 * off) > best


@pytest.mark.parametrize("snr", [0.5, 3.0, 50.0])
def test_the_rice_cost_is_scipy_s_likelihood_but_for_a_constant(snr):
    sigma = 0.02
    magnitude, expected = np.array([0.3, 1.0, 1.7]) * snr * sigma, np.linspace(0, 2, 9)[:, None] * snr * sigma
    found = rice_cost(*(torch.from_numpy(np.asarray(x)) for x in (magnitude, expected, sigma**2))).numpy()
    oracle = -rice.logpdf(magnitude, expected / sigma, scale=sigma)
    known = np.isfinite(oracle)  # SciPy's overflows far from the maximum.
    offset = (found - oracle)[known].reshape(-1)
    constant = np.broadcast_to(np.log(magnitude / sigma**2), found.shape)[known]
    assert known.sum() >= 12 and np.allclose(offset, constant, atol=1e-5)


@pytest.mark.parametrize("true", [0.5, 2.0, 8.0])
def test_the_mean_rice_cost_is_least_at_the_true_magnitude(true):
    drawn = torch.from_numpy(rice.rvs(true, size=20_000, random_state=0))
    trials = torch.linspace(0.05, 10, 200, dtype=torch.float64)
    cost = torch.stack([rice_cost(drawn, t, torch.tensor(1.0, dtype=torch.float64)).mean() for t in trials])
    assert trials[cost.argmin()].item() == pytest.approx(true, abs=0.08)


def test_the_cheapest_r2_star_of_the_magnitudes_is_the_true_one():
    case = Case(n=30, noise_std=1e-4)
    case.pdff[:] = 0.1
    grid = torch.arange(10.0, 200.0, 5.0, dtype=torch.float64)
    costs = r2_star_rice_costs(*case.given, case.field, grid, case.zeros(1e-6))
    assert costs.shape == (grid.numel(), 30) and (costs.min(0).values == 0).all()
    assert (grid[costs.argmin(0)] - case.rates).abs().max() < 5


def test_a_strong_signal_does_not_overflow_the_rice_cost():
    cost = rice_cost(torch.tensor([1.0]), torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1e-7]))
    assert torch.isfinite(cost).all() and cost.argmin() == 2


class TestFreeEnergy:
    """Of a small image with few hypotheses, where everything can be computed another way."""

    STEP, WEIGHT, BEND = 0.3, 6.0, 0.1

    def places(self, n):
        return self.STEP * torch.arange(n, dtype=torch.float64)

    def cost_of_jump(self, n, period=None):
        return disagreement(self.places(n), self.WEIGHT, self.BEND, period)

    @pytest.mark.parametrize("is_cyclic", [True, False])
    def test_a_certain_answer_has_the_energy_of_the_graph_cut(self, is_cyclic):
        n, shape = 7, (9, 8)
        rng = np.random.default_rng(3)
        x, y = np.mgrid[: shape[0], : shape[1]]
        mask = np.hypot(x - 4, y - 3.5) < 3.8  # Convex: the graph cut also links across gaps.
        cost = rng.exponential(4.0, (n, *shape))
        labels = rng.integers(n, size=shape)
        period = n * self.STEP if is_cyclic else None
        fields = np.repeat(self.places(n).numpy()[:, None], mask.sum(), axis=1)
        energy = FieldEnergy(fields, cost[:, mask], link_neighbours(mask, self.WEIGHT), period, self.BEND)
        logits = torch.from_numpy(200.0 * (np.arange(n)[:, None, None] == labels))
        found = free_energy(
            logits, torch.from_numpy(cost), torch.from_numpy(mask.astype(float)), self.cost_of_jump(n, period)
        )
        assert float(found) * mask.sum() == pytest.approx(energy.of(labels[mask]), rel=1e-9)

    def test_it_bounds_the_likelihood_of_the_slice_from_above(self):
        """-ln Z over all labellings is the least that any distribution can reach."""
        n, shape = 3, (2, 3)
        rng = np.random.default_rng(0)
        cost, jump = torch.from_numpy(rng.exponential(2.0, (n, *shape))), self.cost_of_jump(n)
        tissue = torch.ones(shape, dtype=torch.float64)

        def of(labels):
            certain = 200.0 * (torch.arange(n)[:, None, None] == torch.tensor(labels).reshape(shape))
            return float(free_energy(certain.double(), cost, tissue, jump)) * 6

        energies = np.array([of(labels) for labels in product(range(n), repeat=6)])
        bound = -np.log(np.exp(-energies).sum())
        tried = [float(free_energy(torch.from_numpy(rng.normal(0, 3, (n, *shape))), cost, tissue, jump)) * 6]
        best = torch.tensor(list(product(range(n), repeat=6))[energies.argmin()]).reshape(shape)
        logits = (3.0 * (torch.arange(n)[:, None, None] == best)).double().requires_grad_()
        optimiser = torch.optim.LBFGS([logits], max_iter=60)

        def closure():
            optimiser.zero_grad()
            loss = free_energy(logits, cost, tissue, jump)
            loss.backward()
            return loss

        optimiser.step(closure)
        tried.append(6 * closure().item())
        assert bound < tried[1] < tried[0] and tried[1] < min(energies)

    def test_without_neighbours_it_is_least_at_the_voxel_s_own_likelihood(self):
        cost = torch.from_numpy(np.random.default_rng(1).exponential(2.0, (5, 4, 4)))
        tissue, free = torch.ones(4, 4, dtype=torch.float64), torch.zeros(5, 5, dtype=torch.float64)
        logits = (-cost).requires_grad_()
        loss = free_energy(logits, cost, tissue, free)
        assert loss.item() == pytest.approx(float(-torch.logsumexp(-cost, 0).mean()))
        loss.backward()
        assert logits.grad.abs().max() < 1e-12

    def test_gradients_are_those_of_finite_differences(self):
        cost = torch.from_numpy(np.random.default_rng(1).exponential(2.0, (4, 5, 3)))
        tissue = torch.ones(5, 3, dtype=torch.float64)
        tissue[1, 1] = 0
        start = torch.from_numpy(np.random.default_rng(2).normal(0, 1, (4, 5, 3))).requires_grad_()
        jump = self.cost_of_jump(4, 4 * self.STEP)
        assert torch.autograd.gradcheck(lambda logits: free_energy(logits, cost, tissue, jump), (start,))

    def test_what_lies_outside_tissue_does_not_count(self):
        rng = np.random.default_rng(1)
        cost, logits = (torch.from_numpy(rng.exponential(2.0, (4, 6, 5))) for _ in range(2))
        tissue = torch.zeros(6, 5, dtype=torch.float64)
        tissue[1:4, 2:4] = 1
        changed = logits + 9 * (1 - tissue) * torch.arange(4.0)[:, None, None]
        jump = self.cost_of_jump(4)
        assert torch.allclose(free_energy(changed, cost, tissue, jump), free_energy(logits, cost, tissue, jump))

    def test_neighbours_that_agree_cost_less_and_the_first_and_last_of_a_circle_agree(self):
        n, tissue = 6, torch.ones(4, 4, dtype=torch.float64)
        cost = torch.zeros(n, 4, 4, dtype=torch.float64)

        def striped(first, second, period):
            labels = torch.tensor([first, second, first, second])[:, None].expand(4, 4)
            certain = 200.0 * (torch.arange(n)[:, None, None] == labels).double()
            return float(free_energy(certain, cost, tissue, jump[period]))

        jump = {True: self.cost_of_jump(n, n * self.STEP), False: self.cost_of_jump(n)}
        assert striped(2, 2, False) < striped(2, 3, False) < striped(2, 5, False)
        assert striped(0, 5, True) == pytest.approx(striped(2, 3, True))
        assert striped(0, 5, False) > striped(2, 3, False)
