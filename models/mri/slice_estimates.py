"""From a slice's field and R2* to its maps, with their standard deviations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import least_squares
from .magnitude import fit_magnitude
from .noise import local_noise_variance, signal_energy
from .slice_problem import SliceProblem

HYBRID_BLEND = (0.40, 0.50)
"""Complex fat fraction below which the magnitude fit counts alone and above which the complex one does (Yu 2011)."""
MISFIT_ENERGY_FRACTION = 0.5
"""Share of a voxel's signal energy left unexplained above which the model does not describe it …"""
MISFIT_NOISE_RATIO = 5.0
"""… if the residual also exceeds the noise by this factor, both root mean square."""
MISFIT_SURPRISE = 4.0
"""Ratio of a voxel's own residual variance to that around it from which its own one counts: chance exceeds 4 in one
voxel in a thousand with six echoes."""
MAX_PDFF_STD = 10.0
"""Standard deviation of the fat fraction, as a fraction, beyond which nothing was measured."""


@dataclass(frozen=True)
class SliceEstimate:
    """What is known of the voxels of one slice."""

    mask: np.ndarray
    """Voxels that were estimated and fit the model, shape (x, y)."""
    values: dict[str, np.ndarray]
    """Name of a map -> its values in ``mask``, shape (n_voxels,)."""
    n_misfit: int = 0
    """Tissue voxels that the model does not fit."""
    n_tissue: int = 0
    """Tissue voxels."""
    n_fallback: int = 0
    """Tissue voxels whose basin the fallback decided."""


def refined(
    problem: SliceProblem,
    field_map_hz,
    r2_star_per_s,
    n_steps,
    fit_kind="complex",
    judge_swap=None,
    n_fallback=0,
) -> SliceEstimate:
    """Gauss-Newton on all six parameters from a start in the right basin; deviations by propagation of the local noise.

    Args:
        problem: The slice.
        field_map_hz: Start, shape (n_voxels,).
        r2_star_per_s: Start, shape (n_voxels,).
        n_steps: Gauss-Newton steps.
        fit_kind: "complex" or "hybrid".
        judge_swap: Gives the probability of a swap for a field and R2*, both of shape (n_voxels,).
        n_fallback: Voxels whose basin the fallback decided.
    """
    p, is_fixed = problem, problem.fixed_r2_star_per_s is not None
    start = field_map_hz, r2_star_per_s, n_steps
    fit = least_squares.gauss_newton(p.voxels, p.echo_times_s, p.basis, *start, fixed_r2_star=is_fixed)
    spread = least_squares.covariance(fit, p.echo_times_s, p.basis, fixed_r2_star=is_fixed)
    noise_std = _noise_std(p, fit)
    pdff, pdff_std = least_squares.fat_fraction(fit.water, fit.fat), spread.pdff_std * noise_std
    r2_star, r2_star_std = fit.r2_star_per_s, spread.r2_star_std_per_s * noise_std
    if fit_kind == "hybrid":
        complex_part = pdff, pdff_std, r2_star, r2_star_std
        pdff, pdff_std, r2_star, r2_star_std = _hybrid(p.voxels, p.echo_times_s, p.basis, fit, noise_std, complex_part)
    values = {
        "pdff_percent": 100 * pdff,
        "pdff_std_percent": 100 * pdff_std,
        "r2_star_per_s": r2_star,
        "r2_star_std_per_s": r2_star_std,
        "field_map_hz": fit.field_map_hz,
        "field_map_std_hz": spread.field_map_std_hz * noise_std,
        "water": np.abs(fit.water),
        "fat": np.abs(fit.fat),
    }
    if judge_swap:
        values["swap_probability"] = judge_swap(fit.field_map_hz, fit.r2_star_per_s)
    return _without_misfits(p, fit, values, n_fallback)


def one_shot(problem: SliceProblem, answer, calibrate_std, judge_swap) -> SliceEstimate:
    """Water and fat by weighted least squares at the networks' field and R2*, without any iteration.

    Args:
        problem: The slice.
        answer: A :class:`.ai_deal.NetworkAnswer` of its voxels.
        calibrate_std: Corrects the stated deviation of PDFF, in points.
        judge_swap: Gives the probability of a swap for a field and R2*, both of shape (n_voxels,).
    """
    from .ai_deal import weighted_least_squares

    p = problem
    fit, spread = weighted_least_squares(p.voxels, p.echo_times_s, p.basis, answer, p.variance)
    values = {
        "pdff_percent": 100 * least_squares.fat_fraction(fit.water, fit.fat),
        "pdff_std_percent": calibrate_std(100 * spread.pdff_std),
        "r2_star_per_s": answer.r2_star_per_s,
        "r2_star_std_per_s": answer.r2_star_std_per_s,
        "field_map_hz": answer.field_map_hz,
        "field_map_std_hz": answer.field_map_std_hz,
        "water": np.abs(fit.water),
        "fat": np.abs(fit.fat),
    }
    values["swap_probability"] = judge_swap(answer.field_map_hz, answer.r2_star_per_s)
    return _without_misfits(p, fit, values)


def _noise_std(p, fit):
    """Standard deviation of a real channel around each voxel; its own residual where that is far from chance."""
    residual = np.zeros(p.mask.shape)
    residual[p.mask] = fit.residual
    noise = local_noise_variance(residual, p.mask, p.n_freedom, p.variance)[p.mask]
    own = fit.residual / max(p.n_freedom, 1)
    return np.sqrt(np.where(own > MISFIT_SURPRISE * noise, own, noise))


def _without_misfits(p, fit, values, n_fallback=0):
    limit = MISFIT_NOISE_RATIO**2 * p.variance * max(p.n_freedom, 1)
    misfit = (fit.residual > MISFIT_ENERGY_FRACTION * signal_energy(p.voxels)) & (fit.residual > limit)
    good = ~misfit & np.isfinite(values["pdff_percent"]) & (values["pdff_std_percent"] < 100 * MAX_PDFF_STD)
    inside = p.mask.copy()
    inside[p.mask] = good
    return SliceEstimate(
        inside,
        {name: value[good] for name, value in values.items()},
        n_misfit=int(misfit.sum()),
        n_tissue=good.size,
        n_fallback=n_fallback,
    )


def _hybrid(signal, times, basis, fit, noise_std, complex_part):
    """Magnitude estimates at low fat, complex ones at high fat, blended between (Yu 2011).

    ``complex_part`` and the answer are PDFF, its deviation, R2*, its deviation.
    """
    phase = np.exp(-1j * np.angle(fit.water + fit.fat))
    by_magnitude = fit_magnitude(
        np.abs(signal), times, basis[:, 1], (fit.water * phase).real, (fit.fat * phase).real, fit.r2_star_per_s
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude_part = (
            by_magnitude.fat / (by_magnitude.water + by_magnitude.fat),
            by_magnitude.pdff_std * noise_std,
            by_magnitude.r2_star_per_s,
            by_magnitude.r2_star_std_per_s * noise_std,
        )
    low, high = HYBRID_BLEND
    share = np.clip((high - complex_part[0]) / (high - low), 0, 1)
    return tuple(
        np.where(share > 0, share * by_size, 0) + (1 - share) * by_phase
        for by_size, by_phase in zip(magnitude_part, complex_part, strict=True)
    )
