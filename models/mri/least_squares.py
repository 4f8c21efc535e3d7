"""Water and fat by variable projection: the linear part solved exactly, field and R2* by Gauss-Newton.

Signals are flat here, shape (n_echoes, n_voxels); every function is vectorised over voxels and works in the demodulated
domain, y_n = s_n·e^{-i2πψt_n}, where the model is y = e^{-R2*t}·(W + F·a(t)).

| symbol | here |
|---|---|
| ψ, R2* | ``field_map_hz``, ``r2_star_per_s`` |
| A = [1, a(t)] | ``basis``, shape (n_echoes, 2) |
| M = e^{-R2*t}·A | decayed basis |
| P = M·M⁺ | the projection that is never formed |

Source: Golub G, Pereyra V, SIAM J Numer Anal 1973, 10.1137/0710036 (variable projection); Kaufman L, BIT 1975,
10.1007/BF01932995 (its Jacobian); Hernando D et al., MRM 2008, 10.1002/mrm.21522 (water and fat).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_R2_STAR_PER_S = 2000.0
"""Upper limit of the R2* search; beyond it no signal is left at the second echo of any liver protocol."""
MIN_R2_STAR_PER_S = -200.0
"""Lower limit: noise must be able to give a negative R2*, or its mean, and that of PDFF, is biased."""
MAX_FIELD_STEP_FRACTION = 0.05
"""Largest Gauss-Newton step of the field, in units of 1/(t_last - t_first): a minimum cannot be stepped over."""
MAX_R2_STAR_STEP_PER_S = 100.0
"""Largest Gauss-Newton step of R2*."""


@dataclass(frozen=True)
class VoxelFit:
    """Least-squares estimates of a set of voxels; each array has shape (n_voxels,)."""

    water: np.ndarray
    """Complex water signal at TE = 0."""
    fat: np.ndarray
    """Complex fat signal at TE = 0."""
    field_map_hz: np.ndarray
    """Off-resonance, Hz."""
    r2_star_per_s: np.ndarray
    """R2*, 1/s."""
    residual: np.ndarray
    """Sum over echoes of |s - model|², squared units of the input."""


@dataclass(frozen=True)
class VoxelCovariance:
    """Cramér-Rao covariances for unit noise standard deviation per real channel; arrays of shape (n_voxels,)."""

    pdff_std: np.ndarray
    """Standard deviation of the fat fraction F/(W+F), as a fraction."""
    field_map_std_hz: np.ndarray
    """Standard deviation of the off-resonance, Hz."""
    r2_star_std_per_s: np.ndarray
    """Standard deviation of R2*, 1/s."""
    water_std: np.ndarray
    """Standard deviation of the water magnitude."""
    fat_std: np.ndarray
    """Standard deviation of the fat magnitude."""
    water_fat_covariance: np.ndarray
    """Covariance of the two magnitudes."""


def demodulate(signal, echo_times_s, field_map_hz):
    """Remove the phase of the off-resonance: s·e^{-i2πψt}, shape (n_echoes, n_voxels)."""
    phase = np.exp(np.float32(-2 * np.pi) * 1j * np.outer(echo_times_s, field_map_hz).astype(np.float32))
    return signal * phase.astype(signal.dtype)


class _Gram:
    """The 2 x 2 normal equations MᴴM of the decayed basis, one for each voxel."""

    def __init__(self, basis, echo_times_s, r2_star_per_s):
        self.basis = basis
        decay = np.exp(-np.outer(echo_times_s, r2_star_per_s)).astype(np.float32)
        self.decay = decay
        weight = decay * decay
        fat = basis[:, 1]
        self.ww = weight.sum(axis=0)
        self.wf = fat.astype(np.complex64) @ weight
        self.ff = (np.abs(fat).astype(np.float32) ** 2) @ weight
        self.determinant = self.ww * self.ff - np.abs(self.wf) ** 2

    def solve(self, y):
        """ρ = M⁺y for y of shape (n_echoes, n_voxels); returns water and fat, each (n_voxels,)."""
        decayed = self.decay * y
        onto_water = decayed.sum(axis=0)
        onto_fat = np.conj(self.basis[:, 1]) @ decayed
        water = (self.ff * onto_water - self.wf * onto_fat) / self.determinant
        fat = (self.ww * onto_fat - np.conj(self.wf) * onto_water) / self.determinant
        return water, fat

    def model(self, water, fat):
        """Mρ, shape (n_echoes, n_voxels)."""
        return self.decay * (water + self.basis[:, 1:2] * fat)


def _step_geometry(gram, y, echo_times_s):
    """Solution, residual, and the projected derivatives of the model by ψ and R2*."""
    water, fat = gram.solve(y)
    model = gram.model(water, fat)
    times = echo_times_s[:, None].astype(np.float32)
    by_rate = -times * model
    rate_water, rate_fat = gram.solve(by_rate)
    projected = by_rate - gram.model(rate_water, rate_fat)
    return water, fat, y - model, projected, (rate_water, rate_fat)


def phase_locked_residual(y, echo_times_s, basis, r2_star_per_s):
    """Residual when water and fat share one phase at TE = 0 and one sign, at given field and R2*.

    With b = Mᴴy, C = Re(MᴴM)⁻¹, the best common phase is θ = arg(bᵀCb)/2, which explains (bᴴCb + |bᵀCb|)/2 of the
    signal's energy; if water and fat then differ in sign, the better of the two alone is taken.

    Args:
        y: Demodulated signal, shape (n_echoes, n_voxels).
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2).
        r2_star_per_s: Shape (n_voxels,).
    Returns:
        Shape (n_voxels,), squared units of ``y``.
    Source: Bydder M et al., MRI 2011, 10.1016/j.mri.2010.08.011.
    """
    gram = _Gram(basis.astype(np.complex64), echo_times_s, r2_star_per_s)
    decayed = gram.decay * y
    b_water, b_fat = decayed.sum(axis=0), np.conj(gram.basis[:, 1]) @ decayed
    cross = gram.wf.real
    determinant = gram.ww * gram.ff - cross**2
    c_ww, c_ff, c_wf = gram.ff / determinant, gram.ww / determinant, -cross / determinant
    quadratic = c_ww * b_water**2 + 2 * c_wf * b_water * b_fat + c_ff * b_fat**2
    hermitian = c_ww * np.abs(b_water) ** 2 + c_ff * np.abs(b_fat) ** 2 + 2 * c_wf * np.real(np.conj(b_water) * b_fat)
    turn = np.exp(-0.5j * np.angle(quadratic))
    real_water, real_fat = (turn * b_water).real, (turn * b_fat).real
    water, fat = c_ww * real_water + c_wf * real_fat, c_wf * real_water + c_ff * real_fat
    together = 0.5 * (hermitian + np.abs(quadratic))
    alone = np.maximum(np.abs(b_water) ** 2 / gram.ww, np.abs(b_fat) ** 2 / gram.ff)
    energy = (y.real**2 + y.imag**2).sum(axis=0)
    return np.maximum(energy - np.where(water * fat >= 0, together, alone), 0)


def gauss_newton(
    signal,
    echo_times_s,
    basis,
    field_map_hz,
    r2_star_per_s,
    n_iterations=8,
    fixed_r2_star=False,
    min_r2_star_per_s=MIN_R2_STAR_PER_S,
):
    """Refine field and R2* from a start in the right basin; water and fat follow exactly.

    The derivative by ψ is -2πi times that by R2*, so that one projection serves both.

    Args:
        signal: Shape (n_echoes, n_voxels), complex64.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2), complex.
        field_map_hz: Start, shape (n_voxels,).
        r2_star_per_s: Start, shape (n_voxels,).
        n_iterations: Gauss-Newton steps; each voxel keeps the best residual it met.
        fixed_r2_star: Keep R2* at its start (three echoes determine no more).
    Returns:
        VoxelFit.
    """
    basis = basis.astype(np.complex64)
    field = np.array(field_map_hz, dtype=np.float32)
    rate = np.array(r2_star_per_s, dtype=np.float32)
    field_limit = MAX_FIELD_STEP_FRACTION / (echo_times_s[-1] - echo_times_s[0])
    best = None
    for iteration in range(n_iterations + 1):
        y = demodulate(signal, echo_times_s, field)
        water, fat, residual, by_rate, _ = _step_geometry(_Gram(basis, echo_times_s, rate), y, echo_times_s)
        cost = (residual.real**2 + residual.imag**2).sum(axis=0)
        now = VoxelFit(water, fat, field.copy(), rate.copy(), cost)
        best = now if best is None else keep_better(best, now)
        if iteration == n_iterations:
            break
        inner = (np.conj(by_rate) * residual).sum(axis=0)
        norm = (by_rate.real**2 + by_rate.imag**2).sum(axis=0)
        norm = np.maximum(norm, np.finfo(np.float32).tiny)
        # by_field = -2πi·by_rate: the 2 x 2 normal matrix Re(vᴴv) is diagonal, since Re(v^H·(-i)v) = 0.
        field_step = (-inner.imag / norm) / np.float32(2 * np.pi)
        field = field + np.clip(field_step, -field_limit, field_limit)
        if not fixed_r2_star:
            step = np.clip(inner.real / norm, -MAX_R2_STAR_STEP_PER_S, MAX_R2_STAR_STEP_PER_S)
            rate = np.clip(rate + step, min_r2_star_per_s, MAX_R2_STAR_PER_S)
    return best


def solve_water_fat(signal, echo_times_s, basis, field_map_hz, r2_star_per_s):
    """Water and fat by linear least squares, with field and R2* given.

    ρ = (MᴴM)⁻¹·Mᴴ·y,  y = s·e^{-i2πψt}

    The decay stays in M instead of being divided out of y, so that late echoes do not count for more than their signal.

    Args:
        signal: Shape (n_echoes, n_voxels), complex.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2), complex.
        field_map_hz: Shape (n_voxels,).
        r2_star_per_s: Shape (n_voxels,).
    Returns:
        Complex water and fat at TE = 0, each of shape (n_voxels,).
    """
    gram = _Gram(basis.astype(np.complex64), echo_times_s, r2_star_per_s)
    return gram.solve(demodulate(signal, echo_times_s, field_map_hz))


def keep_better(first, second) -> VoxelFit:
    """Of two fits of the same voxels, the one with the smaller residual, voxel by voxel."""
    better = second.residual < first.residual
    return VoxelFit(
        *(np.where(better, getattr(second, name), getattr(first, name)) for name in VoxelFit.__dataclass_fields__)
    )


def covariance(fit, echo_times_s, basis, fixed_r2_star=False):
    """Standard deviations of a least-squares fit for unit noise: all six parameters, at the estimate.

    With u the projected derivative by R2* and k = M⁺·(dM/dR2*)·ρ, noise in the span of M and orthogonal to it are
    independent: Var(g·ρ) = gᵀ(MᴴM)⁻¹g* + |g·k|²/|u|² for any complex-linear functional g, since R2* and 2πψ carry equal
    and uncorrelated errors 1/|u|. This equals the Cramér-Rao bound of the six real parameters.

    Args:
        fit: Estimates of n_voxels voxels.
        echo_times_s: Shape (n_echoes,).
        basis: [1, a(t)], shape (n_echoes, 2).
        fixed_r2_star: R2* was held, so its error does not enter.
    Returns:
        VoxelCovariance: multiply by the noise standard deviation of a real channel.
    """
    gram = _Gram(basis.astype(np.complex64), echo_times_s, fit.r2_star_per_s)
    model = gram.model(fit.water, fit.fat)
    *_, projected, (k_water, k_fat) = _step_geometry(gram, model, echo_times_s)
    information = (projected.real**2 + projected.imag**2).sum(axis=0)

    def std(g_water, g_fat):
        noise = (
            gram.ff * np.abs(g_water) ** 2
            + gram.ww * np.abs(g_fat) ** 2
            - 2 * np.real(g_water * gram.wf * np.conj(g_fat))
        ) / gram.determinant
        through = g_water * k_water + g_fat * k_fat
        leak = through.imag**2 if fixed_r2_star else np.abs(through) ** 2
        return np.sqrt(noise + leak / information)

    with np.errstate(divide="ignore", invalid="ignore"):
        total = fit.water + fit.fat
        unit_water, unit_fat = (np.conj(x) / np.abs(x) for x in (fit.water, fit.fat))
        zero = np.zeros_like(fit.water)
        water_std, fat_std = std(unit_water, zero), std(zero, unit_fat)
        return VoxelCovariance(
            pdff_std=std(-fit.fat / total**2, fit.water / total**2),
            field_map_std_hz=1 / (2 * np.pi * np.sqrt(information)),
            r2_star_std_per_s=zero.real if fixed_r2_star else 1 / np.sqrt(information),
            water_std=water_std,
            fat_std=fat_std,
            water_fat_covariance=(std(unit_water, unit_fat) ** 2 - water_std**2 - fat_std**2) / 2,
        )


def fat_fraction(water, fat):
    """Re(F/(W+F)): the fat fraction without the noise floor of magnitudes, unbiased to first order, not clipped."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.real(fat / (water + fat))
