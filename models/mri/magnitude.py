"""Fat fraction from magnitudes alone: no field map, blind to eddy currents, and unable to tell 30 % from 70 % by
itself.

The model is m(t) = |W + F·a(t)|·e^{-R2*t} with W and F real. It is fitted from a start on the right side of 50 %, and
it stays where it started.

Source: Yu H et al., MRM 2011, 10.1002/mrm.22840 (magnitude and hybrid fits); Bydder M et al., MRI 2008,
10.1016/j.mri.2007.08.012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .least_squares import MAX_R2_STAR_PER_S, MIN_R2_STAR_PER_S

ITERATIONS = 12
"""Gauss-Newton steps; each voxel keeps the best residual it met."""
DAMPING = 1e-6
"""Relative to the diagonal of the normal matrix: keeps a voxel without signal from stopping the others."""


@dataclass(frozen=True)
class MagnitudeFit:
    """Estimates of n_voxels voxels; each array has shape (n_voxels,)."""

    water: np.ndarray
    """Water signal at TE = 0, real; noise can make it negative."""
    fat: np.ndarray
    """Fat signal at TE = 0, real; noise can make it negative."""
    r2_star_per_s: np.ndarray
    """R2*, 1/s."""
    residual: np.ndarray
    """Sum of squares left."""
    pdff_std: np.ndarray
    """Standard deviation of F/(W+F) for unit noise, as a fraction."""
    r2_star_std_per_s: np.ndarray
    """Standard deviation of R2* for unit noise, 1/s."""


def fit_magnitude(magnitude, echo_times_s, fat_modulation, water, fat, r2_star_per_s) -> MagnitudeFit:
    """Refine water, fat and R2* on magnitudes from a start on the right side of 50 %.

    Args:
        magnitude: Shape (n_echoes, n_voxels), real.
        echo_times_s: Shape (n_echoes,).
        fat_modulation: a(t), complex, shape (n_echoes,).
        water: Start, real, shape (n_voxels,).
        fat: Start, real, shape (n_voxels,).
        r2_star_per_s: Start, shape (n_voxels,).
    """
    scale = np.maximum(magnitude.max(axis=0), np.finfo(np.float32).tiny).astype(np.float64)
    target = magnitude / scale
    state = np.stack([water / scale, fat / scale, np.asarray(r2_star_per_s, np.float64)])
    best_state, best_cost = state, None
    for iteration in range(ITERATIONS + 1):
        model, jacobian = _model(state, echo_times_s, fat_modulation)
        left = target - model
        cost = np.square(left).sum(axis=0)
        if best_cost is None:
            best_cost = cost
        better = cost < best_cost
        best_state, best_cost = np.where(better, state, best_state), np.where(better, cost, best_cost)
        if iteration == ITERATIONS:
            break
        normal = _normal_matrix(jacobian)
        step = np.linalg.solve(normal, np.einsum("pen,en->np", jacobian, left)[..., None])[..., 0].T
        step[:2] = np.clip(step[:2], -0.5, 0.5)
        step[2] = np.clip(step[2], -100, 100)
        state = state + step
        state[2] = np.clip(state[2], MIN_R2_STAR_PER_S, MAX_R2_STAR_PER_S)
    _, jacobian = _model(best_state, echo_times_s, fat_modulation)
    covariance = np.linalg.inv(_normal_matrix(jacobian))
    w, f, r2_star = best_state
    total = w + f
    with np.errstate(divide="ignore", invalid="ignore"):
        gradient = np.stack([-f, w, np.zeros_like(w)]) / total**2
        pdff_std = np.sqrt(np.einsum("pn,npq,qn->n", gradient, covariance, gradient)) / scale
    return MagnitudeFit(
        w * scale, f * scale, r2_star, best_cost * scale**2, pdff_std, np.sqrt(covariance[:, 2, 2]) / scale
    )


def start_on_side(magnitude, echo_times_s, fat_fraction):
    """A start for magnitudes without phase: R2* from the first and last echo, the rest split by a fat fraction.

    Args:
        magnitude: Shape (n_echoes, n_voxels).
        echo_times_s: Shape (n_echoes,).
        fat_fraction: Between 0 and 1.
    Returns:
        Water, fat and R2*, each of shape (n_voxels,).
    """
    tiny = np.finfo(np.float32).tiny
    decay = np.log(np.maximum(magnitude[0], tiny) / np.maximum(magnitude[-1], tiny))
    r2_star = np.clip(decay / (echo_times_s[-1] - echo_times_s[0]), 20, 500)
    total = magnitude[0] * np.exp(r2_star * echo_times_s[0])
    return total * (1 - fat_fraction), total * fat_fraction, r2_star


def _model(state, echo_times_s, fat_modulation):
    water, fat, r2_star = state
    decay = np.exp(-np.outer(echo_times_s, r2_star))
    real, imaginary = fat_modulation.real[:, None], fat_modulation.imag[:, None]
    in_phase, quadrature = water + fat * real, fat * imaginary
    size = np.maximum(np.hypot(in_phase, quadrature), 1e-9)
    model = decay * size
    by_water = decay * in_phase / size
    by_fat = decay * (in_phase * real + quadrature * imaginary) / size
    return model, np.stack([by_water, by_fat, -echo_times_s[:, None] * model])


def _normal_matrix(jacobian):
    """JᵀJ with a touch of damping, shape (n_voxels, 3, 3)."""
    normal = np.einsum("pen,qen->npq", jacobian, jacobian)
    diagonal = np.einsum("npp->np", normal)
    return normal + np.eye(3) * (DAMPING * diagonal + 1e-12)[:, None, :]
