"""What AI-DEAL's networks are trained with: likelihoods of the measured signal, no labels.

| symbol | here |
|---|---|
| q_p(h), probability of hypothesis h at voxel p | softmax of the network's log-probabilities |
| U_p(h), negative log-likelihood | ``cost`` |
| V(h, h'), disagreement of neighbours | ``disagreement`` |
| ρ̂ = M⁺y, y demodulated signal | ``solve_water_fat`` |

The free energy F = Σ_p E_q[U_p] - H(q_p) + Σ_pq w_pq·E_q[V] bounds the negative log-likelihood of the whole slice under
the energy that :mod:`.graph_cut` lowers; a network that lowers F for every slice has learnt to answer in one pass what
the graph cut searches for.

Source: Jordan MI et al., Machine Learning 1999, 10.1023/A:1007665907178 (free energy); SPECS of AI-DEAL: Meneses JP et
al., the heteroscedastic and the Rice likelihood.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .graph_cut import AXIS_SHARE, DIAGONAL_SHARE

VARIANCE_FLOOR = 1e-5
"""Of the reconstructed signal, whose largest value is 1."""
SINGULAR = 1e-6
"""Least determinant of the normal equations, relative to that of orthogonal water and fat."""
_LINKS = ((1, 0, AXIS_SHARE), (0, 1, AXIS_SHARE), (1, 1, DIAGONAL_SHARE), (1, -1, DIAGONAL_SHARE))


def disagreement(value: Tensor, weight: float, bend: float, period: float | None = None) -> Tensor:
    """Huber cost of two neighbours' hypotheses, shape (n_hypotheses, n_hypotheses).

    Args:
        value: Of each hypothesis, shape (n_hypotheses,).
        weight: Cost of a unit of difference, nats.
        bend: Difference up to which the cost is quadratic.
        period: Modulus of differences.
    """
    size = (value[:, None] - value[None]).abs()
    if period:
        size = torch.minimum(size, period - size)
    return weight * torch.where(size < bend, size * size / (2 * bend), size - bend / 2)


def free_energy(logits: Tensor, cost: Tensor, tissue: Tensor, disagreement: Tensor) -> Tensor:
    """Free energy of a slice, nats a tissue voxel.

    Args:
        logits: Unnormalised log-probabilities, shape (n_hypotheses, x, y).
        cost: Negative log-likelihoods, same shape.
        tissue: 1 in tissue, else 0, shape (x, y).
        disagreement: From :func:`disagreement`.
    """
    log_q = functional.log_softmax(logits, 0)
    q = log_q.exp()
    total = (((cost + log_q) * q).sum(0) * tissue).sum()
    expected = torch.einsum("hk,kxy->hxy", disagreement, q)
    n_x, n_y = tissue.shape
    for dx, dy, share in _LINKS:
        here = slice(dx, n_x), slice(max(dy, 0), n_y + min(dy, 0))
        there = slice(0, n_x - dx), slice(max(-dy, 0), n_y + min(-dy, 0))
        both = tissue[here] * tissue[there]
        total = total + share * ((expected[:, *here] * q[:, *there]).sum(0) * both).sum()
    return total / tissue.sum().clamp(min=1)


def solve_water_fat(signal: Tensor, echo_times_s: Tensor, basis: Tensor, field_map_hz: Tensor, r2_star_per_s: Tensor):
    """Water and fat by least squares at a given field and R2*, differentiable by both.

    Args:
        signal: Shape (n_echoes, n_voxels), complex.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2), complex.
        field_map_hz: Shape (n_voxels,).
        r2_star_per_s: Shape (n_voxels,).
    Returns:
        Reconstructed signal in the demodulated domain, decayed; the demodulated signal; both shaped as ``signal``.
    """
    t = echo_times_s[:, None]
    phase = 2 * torch.pi * t * field_map_hz
    y = signal * torch.polar(torch.ones_like(phase), -phase)
    decay = torch.exp(-t * r2_star_per_s)
    weight = decay * decay
    a = basis[:, 1:2]
    ww, wf, ff = weight.sum(0), (weight * a).sum(0), (weight * a.abs() ** 2).sum(0)
    onto_water, onto_fat = (decay * y).sum(0), (decay * a.conj() * y).sum(0)
    # Where only the first echo is left of a fast decay, two unknowns cannot be told apart; nothing may become infinite.
    determinant = (ww * ff - wf.abs() ** 2).maximum(SINGULAR * ww * ff)
    water = (ff * onto_water - wf * onto_fat) / determinant
    fat = (ww * onto_fat - wf.conj() * onto_water) / determinant
    return decay * (water + a * fat), y


def heteroscedastic_loss(
    signal, echo_times_s, basis, field_mean, field_std, r2_star_mean, r2_star_std, noise_variance
) -> Tensor:
    """Mean negative log-likelihood of the complex signal when field and R2* are uncertain.

    v_n = |ŝ_n|²·[1 - e^{-(2πt_n)²σφ²} + t_n²σ_R²] + 2σ², with no gradient through ŝ in v;
    |s - ŝ|²/v + ln v, whose minimum is at v = |s - ŝ|².

    Args:
        signal: Shape (n_echoes, n_voxels), complex, largest magnitude about 1.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2), complex.
        field_mean: μφ, shape (n_voxels,), Hz.
        field_std: σφ, shape (n_voxels,), Hz.
        r2_star_mean: μ_R, shape (n_voxels,), 1/s.
        r2_star_std: σ_R, shape (n_voxels,), 1/s.
        noise_variance: σ² of a real channel.
    """
    model, y = solve_water_fat(signal, echo_times_s, basis, field_mean, r2_star_mean)
    t = echo_times_s[:, None]
    spread = 1 - torch.exp(-((2 * torch.pi * t * field_std) ** 2)) + (t * r2_star_std) ** 2
    variance = model.detach().abs() ** 2 * spread + 2 * noise_variance + VARIANCE_FLOOR
    return ((y - model).abs() ** 2 / variance + torch.log(variance)).mean()


def unexplained_share(signal, echo_times_s, basis, field_map_hz, r2_star_per_s) -> Tensor:
    """Mean share of a voxel's signal energy that water and fat leave unexplained, |y - ŷ|²/|y|², at most 1 each.

    Args:
        signal: Shape (n_echoes, n_voxels), complex.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2), complex.
        field_map_hz: Shape (n_voxels,).
        r2_star_per_s: Shape (n_voxels,).
    """
    model, y = solve_water_fat(signal, echo_times_s, basis, field_map_hz, r2_star_per_s)
    energy = (y.abs() ** 2).sum(0).clamp(min=torch.finfo(torch.float32).tiny)
    return (((y - model).abs() ** 2).sum(0) / energy).clamp(max=1).mean()


def rice_cost(magnitude: Tensor, expected: Tensor, variance: Tensor) -> Tensor:
    """Negative log-likelihood of magnitudes under the Rice distribution, without what does not depend on ``expected``.

    Args:
        magnitude: |s|, any shape.
        expected: ν, the magnitude without noise, same shape.
        variance: σ² of a real channel, same shape or less.
    """
    return (magnitude - expected) ** 2 / (2 * variance) - torch.log(
        torch.special.i0e(magnitude * expected / variance).clamp(min=1e-30)
    )


def r2_star_rice_costs(signal, echo_times_s, basis, field_map_hz, r2_star_grid, variance) -> Tensor:
    """Rice likelihood of the magnitudes for each R2* of a grid, water and fat solved for each.

    Args:
        signal: Shape (n_echoes, n_voxels), complex.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2), complex.
        field_map_hz: Shape (n_voxels,).
        r2_star_grid: Shape (n_rates,), 1/s.
        variance: Of a real channel, shape (n_voxels,).
    Returns:
        Shape (n_rates, n_voxels), nats, 0 for the best.
    """
    magnitude = signal.abs()
    costs = []
    for rate in r2_star_grid:
        model, _ = solve_water_fat(signal, echo_times_s, basis, field_map_hz, rate.expand_as(field_map_hz))
        costs.append(rice_cost(magnitude, model.abs(), variance).sum(0))
    cost = torch.stack(costs)
    return cost - cost.min(0).values
