"""Where the field of each voxel could be: the local minima of the fit's residual.

Water and fat differ by 3.4 ppm, so that a voxel's residual as a function of the field has one minimum where water is
taken for water and another where it is taken for fat. All of them are found here; which one holds is decided from the
neighbours (:mod:`.graph_cut`).

Source: Hernando D et al., MRM 2010, 10.1002/mrm.22177 (minima of the residual); Bydder M et al., MRI 2011,
10.1016/j.mri.2010.08.011 (water and fat in phase at TE = 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..units import ppm_to_hz
from . import least_squares

GRID_R2_STAR_PER_S = (0.0, 40.0, 120.0, 300.0)
"""R2* at which the residual is scanned over the field, 1/s."""
GRID_POINTS_PER_LOBE = 8
"""Field values scanned in each 1/(t_last - t_first), the width of a minimum."""
MAX_CANDIDATES = 3
"""Minima kept for each voxel."""
FIELD_RANGE_PPM = 6.0
"""Half range searched when the echoes are not equally spaced, ppm."""
EQUAL_SPACING_TOLERANCE = 0.01
"""Echoes are equally spaced when their differences spread by less than this fraction."""
MIN_TISSUE_R2_STAR = (15.0, 10.0)
"""Lower limit of R2* while basins are compared, a + b·B0 in 1/s (30 at 1.5 T): a pure water voxel that is taken for fat
needs some 40/s less R2* than it has, so that a limit near tissue's own tells the two apart. Blood and fluids decay more
slowly; both of their basins then fit a little worse, and the right one still better."""
DEPHASING_R2_STAR = (0.0, 27.0)
"""R2* above which decay is taken to be partly macroscopic dephasing, a + b·B0 in 1/s (40 at 1.5 T); a scale, too."""
PHASE_LOCK_WEIGHT = 0.5
"""Share of the phase-locked residual in the cost of a basin; eddy currents break the lock in some scans."""
ASSUMED_R2_STAR = (10.0, 15.0)
"""R2* taken when three echoes do not determine it, a + b·B0 in 1/s: some 32 at 1.5 T and 55 at 3 T as in a liver
without iron."""
MODEL_ERROR = 0.05
"""Model error as a fraction of the signal (flow, eddy currents, partial volume): no basin is surer than that."""
DEPHASING_ERROR = 0.1
"""Further model error at R2* = 2 x DEPHASING_R2_STAR: dephasing across a voxel is not exponential."""
N_UNKNOWNS = 6
"""Real unknowns of a voxel: complex water and fat, field, R2*."""
REFINEMENTS = 6
"""Gauss-Newton steps for each minimum."""


@dataclass(frozen=True)
class Candidates:
    """Possible fields of n_voxels voxels; arrays of shape (MAX_CANDIDATES, n_voxels), missing ones cost infinity."""

    field_map_hz: np.ndarray
    """Field at each minimum, Hz."""
    r2_star_per_s: np.ndarray
    """R2* at each minimum, 1/s."""
    residual: np.ndarray
    """Unconstrained residual, squared units of the input."""
    phase_locked_residual: np.ndarray
    """Residual with water and fat in phase and of the same sign, squared units of the input."""
    period_hz: float | None
    """1/ΔTE for equally spaced echoes: fields that differ by it cannot be told apart, nor need they be for PDFF."""


def field_period_hz(echo_times_s) -> float | None:
    """1/ΔTE in Hz when the echoes are equally spaced, else None."""
    steps = np.diff(echo_times_s)
    return float(1 / steps.mean()) if np.ptp(steps) < EQUAL_SPACING_TOLERANCE * steps.mean() else None


def field_grid_hz(echo_times_s, field_strength_t):
    """Fields to scan: one period, or ±FIELD_RANGE_PPM when there is none; shape (n_fields,), Hz."""
    step = 1 / (GRID_POINTS_PER_LOBE * (echo_times_s[-1] - echo_times_s[0]))
    period = field_period_hz(echo_times_s)
    if period:
        n_fields = int(np.ceil(period / step))
        return np.arange(n_fields) * (period / n_fields)
    limit = ppm_to_hz(FIELD_RANGE_PPM, field_strength_t)
    return np.linspace(-limit, limit, int(np.ceil(2 * limit / step)))


def scan_residual(signal, echo_times_s, basis, grid_hz, r2_stars_per_s=GRID_R2_STAR_PER_S):
    """Residual of the best water and fat at each field of a grid, over a few R2*.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2).
        grid_hz: Shape (n_fields,).
        r2_stars_per_s: R2* tried; the smallest residual counts.
    Returns:
        Shape (n_fields, n_voxels), float32, squared units of the signal.
    """
    explained = np.zeros((grid_hz.size, signal.shape[1]), np.float32)
    for r2_star in r2_stars_per_s:
        np.maximum(explained, explained_energy(signal, echo_times_s, basis, grid_hz, r2_star), out=explained)
    energy = (signal.real**2 + signal.imag**2).sum(axis=0)
    return np.maximum(energy - explained, 0)


def explained_energy(signal, echo_times_s, basis, grid_hz, r2_star_per_s):
    """Energy of the signal that the best water and fat explain at each field of a grid and one R2*.

    Args and shapes as :func:`scan_residual`.
    """
    modulation = np.exp(-2j * np.pi * np.outer(grid_hz, echo_times_s))
    q, _ = np.linalg.qr(np.exp(-r2_star_per_s * echo_times_s)[:, None] * basis)
    filters = (modulation[:, None, :] * q.conj().T[None]).reshape(2 * grid_hz.size, -1)
    # Real and imaginary part side by side: one real product is half the work of NumPy's complex one.
    rows = np.stack([np.hstack([filters.real, -filters.imag]), np.hstack([filters.imag, filters.real])], axis=1)
    parts = rows.reshape(4 * grid_hz.size, -1).astype(np.float32) @ np.concatenate([signal.real, signal.imag])
    np.square(parts, out=parts)
    return parts.reshape(grid_hz.size, 4, -1).sum(axis=1)


def find_candidates(signal, echo_times_s, field_strength_t, basis, fixed_r2_star_per_s=None) -> Candidates:
    """The deepest minima of each voxel's residual, each refined to its bottom.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        field_strength_t: Tesla.
        basis: [1, a(t)], shape (n_echoes, 2).
        fixed_r2_star_per_s: R2* when it is not estimated.
    """
    grid = field_grid_hz(echo_times_s, field_strength_t)
    period = field_period_hz(echo_times_s)
    rates = GRID_R2_STAR_PER_S if fixed_r2_star_per_s is None else (fixed_r2_star_per_s,)
    scan = scan_residual(signal, echo_times_s, basis, grid, rates)
    index, is_minimum = _deepest_minima(scan, is_periodic=period is not None)
    which, voxel = np.nonzero(is_minimum)
    start = np.full(voxel.size, 40.0 if fixed_r2_star_per_s is None else fixed_r2_star_per_s)
    fit = least_squares.gauss_newton(
        signal[:, voxel],
        echo_times_s,
        basis,
        grid[index[which, voxel]],
        start,
        n_iterations=REFINEMENTS,
        fixed_r2_star=fixed_r2_star_per_s is not None,
        min_r2_star_per_s=tissue_r2_star_limit(field_strength_t),
    )
    y = least_squares.demodulate(signal[:, voxel], echo_times_s, fit.field_map_hz)
    locked = least_squares.phase_locked_residual(y, echo_times_s, basis, fit.r2_star_per_s)

    def spread(values, missing):
        out = np.full(is_minimum.shape, missing, np.float32)
        out[which, voxel] = values
        return out

    return Candidates(
        field_map_hz=spread(fit.field_map_hz, 0.0),
        r2_star_per_s=spread(fit.r2_star_per_s, 0.0),
        residual=spread(fit.residual, np.inf),
        phase_locked_residual=spread(locked, np.inf),
        period_hz=period,
    )


def best_fit(signal, echo_times_s, field_strength_t, basis, fixed_r2_star_per_s=None):
    """Each voxel's best fit on its own, R2* unlimited, blind to its neighbours; may be swapped, but its residual is
    right.

    Args and shapes as :func:`find_candidates`.

    Returns:
        VoxelFit.
    """
    found = find_candidates(signal, echo_times_s, field_strength_t, basis, fixed_r2_star_per_s)
    is_fixed = fixed_r2_star_per_s is not None
    voxel = np.arange(signal.shape[1])
    fits = []
    for label in np.argsort(found.residual, axis=0)[:2]:
        start = found.field_map_hz[label, voxel], found.r2_star_per_s[label, voxel]
        fits.append(least_squares.gauss_newton(signal, echo_times_s, basis, *start, 5, fixed_r2_star=is_fixed))
    return least_squares.keep_better(*fits)


def basin_cost(candidates, signal_energy, noise_variance, n_echoes, field_strength_t):
    """Negative log-likelihood of each candidate against the voxel's best, with the model's own error counted as noise.

    The noise is at least what the best candidate leaves: where none fits, the better of them says little.

    Args:
        candidates: Of n_voxels voxels.
        signal_energy: Sum over echoes of |s|², shape (n_voxels,).
        noise_variance: Of a real channel, squared units of the signal.
        n_echoes: Echoes that ``signal_energy`` sums.
        field_strength_t: Tesla.
    Returns:
        Shape (n_candidates, n_voxels), float32; 0 for the best, infinite where there is no candidate.
    """
    exists = np.isfinite(candidates.residual)
    free = np.where(exists, candidates.residual, 0)
    locked = np.where(exists, candidates.phase_locked_residual, 0)
    residual = np.where(exists, (1 - PHASE_LOCK_WEIGHT) * free + PHASE_LOCK_WEIGHT * locked, np.inf)
    slowest = np.where(exists, candidates.r2_star_per_s, np.inf).min(axis=0)
    knee = _at_field(DEPHASING_R2_STAR, field_strength_t)
    dephasing = DEPHASING_ERROR * np.clip(slowest / knee - 1, 0, 2)
    variance = noise_variance + (MODEL_ERROR**2 + dephasing**2) * signal_energy / n_echoes
    variance = np.maximum(variance, candidates.residual.min(axis=0) / max(2 * n_echoes - N_UNKNOWNS, 1))
    return ((residual - residual.min(axis=0)) / (2 * variance)).astype(np.float32)


def tissue_r2_star_limit(field_strength_t) -> float:
    """Lower limit of R2* while basins are compared, 1/s."""
    return _at_field(MIN_TISSUE_R2_STAR, field_strength_t)


def assumed_r2_star(echo_times_s, field_strength_t) -> float | None:
    """R2* in 1/s to be held when there are too few echoes to fit it, else None."""
    return _at_field(ASSUMED_R2_STAR, field_strength_t) if len(echo_times_s) <= 3 else None


def _at_field(line, field_strength_t):
    constant, slope = line
    return constant + slope * field_strength_t


def _deepest_minima(scan, is_periodic):
    """Grid index of the MAX_CANDIDATES deepest local minima of each column, and which of them exist."""
    if is_periodic:
        below, above = np.roll(scan, 1, axis=0), np.roll(scan, -1, axis=0)
    else:
        edge = np.full((1, scan.shape[1]), np.inf, scan.dtype)
        below, above = np.concatenate([edge, scan[:-1]]), np.concatenate([scan[1:], edge])
    depth = np.where((scan < below) & (scan <= above), scan, np.inf)
    n = min(MAX_CANDIDATES, scan.shape[0] - 1)
    index = np.argpartition(depth, n, axis=0)[:n]
    found = np.isfinite(np.take_along_axis(depth, index, axis=0))
    # A constant column (no signal at all) has no strict minimum: give it the first grid point.
    none = ~found.any(axis=0)
    found[0, none] = True
    return index, found
