"""What AI-DEAL's networks read: how well each of a row of fields, or of R2*, would explain each voxel.

A network that reads echoes knows only the echo times it was trained on. Asked instead, for field hypotheses a fixed
step in ppm apart, how well the best water and fat explain the signal there, it reads the same thing for any number and
spacing of echoes and any field strength. Where echoes are equally spaced the hypotheses fill one period 1/ΔTE and are
cyclic.

Within each hypothesis' reach the signal is searched more finely, so that it stands for the best field around it and
knows where that is; the three points around give the bottom of the parabola.

| symbol | here |
|---|---|
| U_h, negative log-likelihood of hypothesis h against the voxel's best | ``cost`` |
| x_h, where within its reach the hypothesis fits best | ``value`` |
| σ_h, width of that minimum, where U has grown by 1/2 | ``width`` |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..units import ppm_to_hz
from . import least_squares
from .field_candidates import (
    FIELD_RANGE_PPM,
    MODEL_ERROR,
    N_UNKNOWNS,
    PHASE_LOCK_WEIGHT,
    explained_energy,
    field_period_hz,
    tissue_r2_star_limit,
)
from .noise import signal_energy

STEP_PPM = 0.3
"""Distance of field hypotheses, ppm; a little more or less, so that a period holds a whole number."""
POINTS_PER_LOBE = 10
"""Fields tried in each 1/(t_last - t_first), the width of a minimum, at least; parabolas do the rest."""
MIN_HYPOTHESES = 8
"""At least so many in a period, however short."""
ADDED_R2_STAR = (0.0, 35.0, 85.0, 165.0, 300.0, 550.0)
"""R2* above that of tissue at which fields are compared, 1/s; between them a parabola is laid."""
SLOW_RATES = 2
"""The first so many of those are near enough to the slowest for the phase of water and fat to be judged there."""
R2_STAR_GRID = np.array([-30.0, 0, 15, 30, 45, 60, 80, 100, 125, 155, 190, 235, 290, 360, 460, 600, 800, 1050])
"""R2* hypotheses, 1/s, as close as noise leaves them apart."""
MAX_WIDTH_STEPS = 2.0
"""A minimum wider than this many steps, or none, counts as so wide."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Hypotheses:
    """Hypotheses about one quantity of n_voxels voxels; arrays of shape (n_hypotheses, n_voxels), float32."""

    cost: np.ndarray
    """Negative log-likelihood against the voxel's best hypothesis, nats."""
    value: np.ndarray
    """Where each fits best within its reach, Hz or 1/s."""
    width: np.ndarray
    """Standard deviation that the curvature there stands for, Hz or 1/s."""
    step: float
    """Distance of hypotheses: ppm for a field, 1 for R2*, whose grid is uneven."""
    period: float | None
    """Length of the row when its last hypothesis neighbours its first, Hz; None: it has ends."""

    @property
    def is_cyclic(self) -> bool:
        """True when the last hypothesis neighbours the first."""
        return self.period is not None


def field_hypotheses(signal, echo_times_s, field_strength_t, basis, variance, fixed_r2_star_per_s=None) -> Hypotheses:
    """How well each field explains each voxel.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        field_strength_t: Tesla.
        basis: [1, a(t)], shape (n_echoes, 2).
        variance: Of the noise of a real channel, squared units of the signal.
        fixed_r2_star_per_s: R2* when it is not estimated.
    """
    one_ppm = ppm_to_hz(1.0, field_strength_t)
    period = field_period_hz(echo_times_s)
    if period:
        n = max(MIN_HYPOTHESES, round(period / one_ppm / STEP_PPM))
        step, first = period / n, 0.0
    else:
        n = round(2 * FIELD_RANGE_PPM / STEP_PPM)
        step, first = STEP_PPM * one_ppm, -FIELD_RANGE_PPM * one_ppm
    n_fine = max(1, int(np.ceil(step * POINTS_PER_LOBE * (echo_times_s[-1] - echo_times_s[0]))))
    fine_step = step / n_fine
    centres = first + step * np.arange(n)
    grid = (centres[:, None] + fine_step * (np.arange(n_fine) - (n_fine - 1) / 2)).ravel()
    if fixed_r2_star_per_s is None:
        rates = tuple(tissue_r2_star_limit(field_strength_t) + np.array(ADDED_R2_STAR))
    else:
        rates = (fixed_r2_star_per_s,)
    scans = np.empty((len(rates), grid.size, signal.shape[1]), np.float32)
    for rate, scanned in zip(rates, scans, strict=True):
        scanned[:] = explained_energy(signal, echo_times_s, basis, grid, rate)
    scan = np.maximum(signal_energy(signal) - scans.max(axis=0), 0)
    best = np.argmin(scan.reshape(n, n_fine, -1), axis=1) + n_fine * np.arange(n)[:, None]
    below, above = best - 1, best + 1
    if not period:
        below, above = np.maximum(below, 0), np.minimum(above, grid.size - 1)
    residual, offset, bend = _parabola(*(np.take_along_axis(scan, k % grid.size, axis=0) for k in (below, best, above)))
    penalty = _at_offset(locking_penalty(signal, echo_times_s, basis, grid, rates[0]), (below, best, above), offset)
    if len(rates) > 2:
        near = np.take_along_axis(scans, best[None], axis=1)
        residual = np.maximum(residual - _gain_between_rates(near), 0)
        # The penalty is that of slow decay; at the R2* of iron it would count against the right basin.
        penalty = np.where(near.argmax(axis=0) < SLOW_RATES, penalty, 0)
    residual = residual + PHASE_LOCK_WEIGHT * penalty
    noise = _tolerance(residual, signal, variance)
    return Hypotheses(
        cost=_relative(residual, noise),
        value=(grid[best] + fine_step * offset).astype(np.float32),
        width=_width(bend, noise, fine_step, MAX_WIDTH_STEPS * step),
        step=step / one_ppm,
        period=period,
    )


def r2_star_hypotheses(signal, echo_times_s, basis, field_map_hz, variance) -> Hypotheses:
    """How well each R2* explains each voxel at a given field.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2).
        field_map_hz: Shape (n_voxels,).
        variance: Of the noise of a real channel, squared units of the signal.
    """
    y = least_squares.demodulate(signal, echo_times_s, field_map_hz)
    energy = signal_energy(y)
    left = []
    for rate in R2_STAR_GRID:
        q, _ = np.linalg.qr(np.exp(-rate * echo_times_s)[:, None] * basis)
        parts = q.conj().T.astype(np.complex64) @ y
        left.append(np.maximum(energy - signal_energy(parts), 0))
    scan = np.stack(left)
    padded = np.concatenate([scan[:1], scan, scan[-1:]])
    # The grid is uneven: the parabola is laid through its index, and its bottom read from the grid.
    residual, offset, bend = _parabola(padded[:-2], scan, padded[2:])
    index = np.arange(R2_STAR_GRID.size)
    noise = _tolerance(residual, signal, variance)
    spacing = np.gradient(R2_STAR_GRID)[:, None]
    return Hypotheses(
        cost=_relative(residual, noise),
        value=np.interp(index[:, None] + offset, index, R2_STAR_GRID).astype(np.float32),
        width=(_width(bend, noise, 1.0, MAX_WIDTH_STEPS) * spacing).astype(np.float32),
        step=1.0,
        period=None,
    )


def locking_penalty(signal, echo_times_s, basis, grid_hz, r2_star_per_s):
    """Energy that water and fat of one common phase and sign at TE = 0 explain less than free ones.

    With M the decayed basis, b = Mᴴy, LLᵀ = Re(MᴴM)⁻¹ and z = Lᵀb, a common phase θ explains
    (|z₁|² + |z₂|² + |z₁² + z₂²|)/2 at 2θ = arg(z₁² + z₂²); if water and fat then differ in sign, the better of the two
    alone counts, as in :func:`.least_squares.phase_locked_residual`.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2).
        grid_hz: Shape (n_fields,).
        r2_star_per_s: R2* at which it is evaluated.
    Returns:
        Shape (n_fields, n_voxels), float32, squared units of the signal.
    Source: Bydder M et al., MRI 2011, 10.1016/j.mri.2010.08.011.
    """
    decayed = np.exp(-r2_star_per_s * echo_times_s)[:, None] * basis
    gram = decayed.conj().T @ decayed
    lower = np.linalg.cholesky(np.linalg.inv(gram.real))
    q, _ = np.linalg.qr(decayed)
    fat_alone = decayed[:, 1:] / np.sqrt(gram[1, 1].real)
    filters = np.concatenate([lower.T @ decayed.conj().T, q.conj().T, fat_alone.conj().T])
    modulation = np.exp(-2j * np.pi * np.outer(grid_hz, echo_times_s))
    rows = (filters[:, None, :] * modulation[None]).reshape(-1, echo_times_s.size)
    rows = np.concatenate([np.hstack([rows.real, -rows.imag]), np.hstack([rows.imag, rows.real])]).astype(np.float32)
    parts = (rows @ np.concatenate([signal.real, signal.imag])).reshape(2, 5, grid_hz.size, -1)
    size = np.square(parts).sum(axis=0)
    (a1, a2), (b1, b2) = parts[0, :2], parts[1, :2]
    even, odd = a1 * a1 - b1 * b1 + a2 * a2 - b2 * b2, 2 * (a1 * b1 + a2 * b2)
    length = np.maximum(np.sqrt(even * even + odd * odd), _TINY)
    cos, sin = even / length, odd / length
    first = 0.5 * (size[0] + (a1 * a1 - b1 * b1) * cos + 2 * a1 * b1 * sin)
    cross = 0.5 * (a1 * a2 + b1 * b2 + (a1 * a2 - b1 * b2) * cos + (a1 * b2 + b1 * a2) * sin)
    same_sign = lower[1, 0] * first + lower[1, 1] * cross >= 0
    together = 0.5 * (size[0] + size[1] + length)
    alone = np.maximum(size[2], size[4])
    return np.maximum(size[2] + size[3] - np.where(same_sign, together, alone), 0)


def _at_offset(values, around, offset):
    """Rows of ``values`` between grid points: the parabola through three of them, at an offset from the middle one."""
    below, middle, above = (np.take_along_axis(values, k % len(values), axis=0) for k in around)
    bent = middle + 0.5 * (above - below) * offset + 0.5 * (below - 2 * middle + above) * offset**2
    return np.maximum(bent, 0)


def _parabola(below, middle, above):
    """Value, place (in steps, within half of one) and bend of the parabola through three points."""
    bend = below - 2 * middle + above
    slope = 0.5 * (above - below)
    offset = np.clip(np.where(bend > 0, -slope / np.where(bend > 0, bend, 1), 0), -0.5, 0.5)
    return np.maximum(middle + 0.5 * slope * offset, 0), offset.astype(np.float32), bend


def _gain_between_rates(explained):
    """Energy that the best R2* explains beyond the best of those tried: top of the parabola through three of them.

    Args:
        explained: Shape (n_rates, n_hypotheses, n_voxels); rates that are spaced so that it is smooth over their index.
    """
    centre = explained.argmax(axis=0)[None]
    inner = np.clip(centre, 1, len(explained) - 2)
    below, middle, above = (np.take_along_axis(explained, inner + step, axis=0)[0] for step in (-1, 0, 1))
    bend, slope = below - 2 * middle + above, 0.5 * (above - below)
    top = np.where(bend < 0, -0.5 * slope**2 / np.where(bend < 0, bend, -1), 0)
    is_inside = (bend < 0) & (np.abs(slope) <= -bend) & (centre[0] == inner[0])
    return np.where(is_inside, top, 0)


def _tolerance(residual, signal, variance):
    """Noise variance of a real channel with the model's own error, and at least what the best hypothesis leaves."""
    n_echoes = signal.shape[0]
    own = variance + MODEL_ERROR**2 * signal_energy(signal) / n_echoes
    return np.maximum(np.maximum(own, residual.min(axis=0) / max(2 * n_echoes - N_UNKNOWNS, 1)), _TINY)


def _relative(residual, noise):
    return ((residual - residual.min(axis=0)) / (2 * noise)).astype(np.float32)


def _width(bend, noise, step, largest):
    """Residual r = r0 + bend·x²/2 in steps, U = r/(2·noise): σ² = 2·noise/bend."""
    return np.minimum(step * np.sqrt(2 * noise / np.maximum(bend, _TINY)), largest).astype(np.float32)
