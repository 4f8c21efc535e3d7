"""AI-DEAL: field and R2* with their uncertainty from two networks in one pass, water and fat by weighted least squares.

1. Hypotheses: how well each field explains each voxel (:mod:`.hypotheses`).
2. G_φ chooses among them, with a mean and a standard deviation, and says how probable another basin is.
3. At that field G_R2* does the same for R2*.
4. Water and fat with their covariance by least squares, each echo weighted by the inverse of its variance.

Source: Meneses JP et al., AI-DEAL (unsupervised, uncertainty-aware); what differs is in docs/decisions/0006.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..learning.calibration import StdCalibration
from ..weights import Weights, load_weights, pretrained_path
from . import least_squares
from .ai_deal_networks import ARCHITECTURE, AiDealNetworks, Place, moments
from .hypotheses import STEP_PPM, Hypotheses, field_hypotheses, r2_star_hypotheses
from .slice_problem import SliceProblem
from .swap_safety import SwapModel, swap_signs

BASIN_PPM = 0.9
"""Fields nearer than this belong to one basin; water and fat are 3.4 ppm apart."""
R2_STAR_REACH = 2
"""Hypotheses of R2* to each side that the mean counts."""


SINGULAR = 1e-6
"""Least determinant of the normal equations, relative to that of orthogonal water and fat."""


@dataclass(frozen=True)
class NetworkAnswer:
    """What the networks say of a slice's tissue voxels; arrays of shape (n_voxels,)."""

    field_map_hz: np.ndarray
    """Mean off-resonance, Hz."""
    field_map_std_hz: np.ndarray
    """Its standard deviation within the basin, Hz."""
    r2_star_per_s: np.ndarray
    """Mean R2*, 1/s."""
    r2_star_std_per_s: np.ndarray
    """Its standard deviation, 1/s."""
    other_basin: np.ndarray
    """Probability that G_φ leaves to other basins."""
    hypotheses: Hypotheses
    """Of the field, as G_φ read them."""


class AiDeal:
    """Trained networks and what their card says.

    Args:
        weights: Of :data:`~.ai_deal_networks.ARCHITECTURE`; None: those of the package.
    Raises:
        UnsuitableInputError: weights of another architecture.
    """

    def __init__(self, weights: Weights | None = None):
        self.weights = weights or _pretrained()
        self.card = self.weights.card
        if self.card["architecture"] != ARCHITECTURE:
            raise UnsuitableInputError(
                f"AI-DEAL needs weights of the architecture '{ARCHITECTURE}'; these are of "
                f"'{self.card['architecture']}'. Give others, or leave them out."
            )
        self.networks = AiDealNetworks.from_weights(self.weights)

    def answer(self, problem: SliceProblem) -> NetworkAnswer:
        """Field and R2* of one slice's tissue voxels."""
        p, place = problem, Place(problem.mask)
        protocol = p.echo_times_s, p.field_strength_t, p.basis, p.variance, p.fixed_r2_star_per_s
        found = field_hypotheses(p.voxels, *protocol)
        field = self._ask(self.networks.field, found, place, round(BASIN_PPM / STEP_PPM))
        if p.fixed_r2_star_per_s is not None:
            rate, rate_std = np.full_like(field.mean, p.fixed_r2_star_per_s), np.zeros_like(field.mean)
        else:
            rates = r2_star_hypotheses(p.voxels, p.echo_times_s, p.basis, field.mean, p.variance)
            chosen = self._ask(self.networks.r2_star, rates, place, R2_STAR_REACH)
            rate, rate_std = chosen.mean, chosen.std
        return NetworkAnswer(field.mean, field.std, rate, rate_std, field.elsewhere, found)

    def swap_probability(self, problem: SliceProblem, answer: NetworkAnswer, field_map_hz, r2_star_per_s) -> np.ndarray:
        """Probability that a field is in the wrong basin, by the model on the card; NaN where the card holds none.

        Args:
            problem: The slice.
            answer: Of the networks.
            field_map_hz: The field in question, shape (n_voxels,).
            r2_star_per_s: R2*, shape (n_voxels,).
        """
        known = self.card.get("calibration", {}).get("swap")
        if known is None:
            return np.full(len(field_map_hz), np.nan, np.float32)
        return SwapModel(**known).probability(swap_signs(problem, answer.hypotheses, field_map_hz, r2_star_per_s))

    def calibrated_std(self, pdff_std_percent) -> np.ndarray:
        """The one-shot deviation of PDFF, corrected by what the card says, points."""
        known = self.card.get("calibration", {}).get("one_shot_std")
        return StdCalibration.from_json(known).apply(pdff_std_percent) if known else pdff_std_percent

    def _ask(self, network, found, place, reach):
        cost, value, width = (torch.from_numpy(rows) for rows in (found.cost, found.value, found.width))
        with torch.inference_mode():
            answer = moments(*network(cost, place, found.is_cyclic), value, width, reach, found.period)
        return _Arrays(*(getattr(answer, name).numpy() for name in ("mean", "std", "elsewhere")))


@dataclass(frozen=True)
class _Arrays:
    mean: np.ndarray
    std: np.ndarray
    elsewhere: np.ndarray


@lru_cache(maxsize=1)
def _pretrained() -> Weights:
    return load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE)


def weighted_least_squares(signal, echo_times_s, basis, answer: NetworkAnswer, variance):
    """Water and fat with their covariance at the networks' field and R2*.

    In the demodulated domain without decay, y_n = s_n·e^{(R-i2πφ)t_n}, echo n has the complex variance
    Σ_n = 2σ²e^{2Rt_n} + |y_n|²·[1 - e^{-(2πt_n)²σφ²} + t_n²σ_R²];
    Cov ρ = (AᴴΣ⁻¹A)⁻¹, ρ̂ = Cov ρ·AᴴΣ⁻¹y, and with g = (-F, W)/(W+F)²: Var PDFF = gᵀ·Cov ρ·g*/2.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        basis: A = [1, a(t)], shape (n_echoes, 2).
        answer: Of the networks, for these voxels.
        variance: σ² of a real channel, scalar or shape (n_voxels,).
    Returns:
        VoxelFit, and VoxelCovariance whose standard deviations are absolute.
    """
    t = np.asarray(echo_times_s, np.float32)[:, None]
    decay = np.exp(-t * answer.r2_star_per_s)
    demodulated = least_squares.demodulate(signal, echo_times_s, answer.field_map_hz)
    spread = 1 - np.exp(-((2 * np.pi * t * answer.field_map_std_hz) ** 2)) + (t * answer.r2_star_std_per_s) ** 2
    size = demodulated.real**2 + demodulated.imag**2
    # 1/Σ_n carries decay² and y_n 1/decay: written with what was measured, nothing overflows.
    inverse = 1 / np.maximum(2 * variance + size * spread, np.finfo(np.float32).tiny)
    weight, weighted = decay**2 * inverse, decay * inverse * demodulated
    fat = basis[:, 1:2].astype(np.complex64)
    ww, wf, ff = weight.sum(0), (weight * fat).sum(0), (weight * np.abs(fat) ** 2).sum(0)
    determinant = np.maximum(ww * ff - np.abs(wf) ** 2, SINGULAR * ww * ff)
    onto_water, onto_fat = weighted.sum(0), (np.conj(fat) * weighted).sum(0)
    water = (ff * onto_water - wf * onto_fat) / determinant
    fat_signal = (ww * onto_fat - np.conj(wf) * onto_water) / determinant
    residual = np.abs(demodulated - decay * (water + fat * fat_signal)) ** 2
    var_water, var_fat, covariance = ff / determinant, ww / determinant, -wf / determinant
    with np.errstate(divide="ignore", invalid="ignore"):
        total = water + fat_signal
        g_water, g_fat = -fat_signal / total**2, water / total**2
        var_pdff = (
            np.abs(g_water) ** 2 * var_water
            + np.abs(g_fat) ** 2 * var_fat
            + 2 * np.real(g_water * covariance * np.conj(g_fat))
        ) / 2
        unit = np.conj(water) / np.abs(water) * fat_signal / np.abs(fat_signal)
    fit = least_squares.VoxelFit(
        water.astype(np.complex64),
        fat_signal.astype(np.complex64),
        answer.field_map_hz,
        answer.r2_star_per_s,
        residual.sum(0),
    )
    return fit, least_squares.VoxelCovariance(
        pdff_std=np.sqrt(np.maximum(var_pdff, 0)),
        field_map_std_hz=answer.field_map_std_hz,
        r2_star_std_per_s=answer.r2_star_std_per_s,
        water_std=np.sqrt(var_water / 2),
        fat_std=np.sqrt(var_fat / 2),
        water_fat_covariance=np.real(covariance * unit) / 2,
    )
