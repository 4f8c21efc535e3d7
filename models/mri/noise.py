"""How noisy a study is, and which of its voxels hold tissue."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.stats import chi2
from skimage.filters import apply_hysteresis_threshold

from .field_candidates import N_UNKNOWNS, best_fit

SAMPLED_VOXELS = 3000
"""Voxels from which the noise of the whole study is read; every so-manieth, so the same study gives the same value."""
TISSUE_SNR = (1.8, 4.0)
"""Root mean square of a tissue voxel's echoes in standard deviations of the noise of a real channel, where noise
alone gives 1.4: a voxel above the first is tissue if it touches, through such voxels, one above the second."""
NOISE_QUANTILE = 0.35
"""Quantile of the residual that is compared with chi-square: below the median, where no model error reaches."""
BRIGHT_SNR = 5.0
"""The same, for the voxels from which the noise is read."""
BACKGROUND_QUANTILE = 0.05
"""Share of the voxels that is taken to be background, if dark enough."""
BACKGROUND_SNR = 6.0
"""Root mean square of the echoes, in standard deviations of the noise, above which a dark voxel is tissue after all."""
LOCAL_NOISE_VOXELS = 3.0
"""Standard deviation of the Gaussian window in which residuals are pooled to the local noise, voxels."""


def signal_energy(signal):
    """Sum over echoes of |s|², float32, shape of one echo."""
    return np.square(signal.real).sum(axis=0) + np.square(signal.imag).sum(axis=0)


def degrees_of_freedom(n_echoes, fixed_r2_star=False) -> int:
    """Real data less real parameters of a voxel's fit: 2·n - 6, or 2·n - 5 with R2* held."""
    return 2 * n_echoes - (N_UNKNOWNS - 1 if fixed_r2_star else N_UNKNOWNS)


def noise_variance(study, basis, fixed_r2_star_per_s=None) -> float:
    """Variance of the noise of a real channel, from what the best fit of each voxel leaves.

    Tissue voxels are preferred; without any, all voxels count.

    Args:
        study: The study, in the model's sign of precession.
        basis: [1, a(t)], shape (n_echoes, 2).
        fixed_r2_star_per_s: R2* when it is not estimated.
    Returns:
        Squared units of the signal.
    """
    energy = signal_energy(study.signal).ravel()
    filled = np.flatnonzero(energy > 0)
    flat = study.signal.reshape(study.signal.shape[0], -1)
    freedom = max(degrees_of_freedom(flat.shape[0], fixed_r2_star_per_s is not None), 1)

    def variance_of(voxels):
        sample = voxels[:: max(1, voxels.size // SAMPLED_VOXELS)]
        fit = best_fit(flat[:, sample], study.echo_times_s, study.field_strength_t, basis, fixed_r2_star_per_s)
        return float(np.quantile(fit.residual, NOISE_QUANTILE) / chi2.ppf(NOISE_QUANTILE, freedom))

    first = variance_of(filled)
    bright = np.flatnonzero(energy > BRIGHT_SNR**2 * flat.shape[0] * first)
    return variance_of(bright) if bright.size >= 100 else first


def background_variance(energy, variance, n_echoes) -> float:
    """Variance of the noise around the body, where it exceeds that inside (parallel imaging, ghosts).

    Args:
        energy: Sum over echoes of |s|² of the whole study.
        variance: Of the noise of a real channel in tissue.
        n_echoes: Echoes summed.
    Returns:
        At least ``variance``; just that when the darkest voxels are bright, so that there is no background.
    """
    filled = energy[energy > 0]
    darkest = float(np.quantile(filled, BACKGROUND_QUANTILE))
    if darkest > BACKGROUND_SNR**2 * n_echoes * variance:
        return variance
    return max(variance, darkest / chi2.ppf(BACKGROUND_QUANTILE, 2 * n_echoes))


def tissue_mask(energy, variance, n_echoes) -> np.ndarray:
    """Voxels of a slice that hold tissue.

    Args:
        energy: Sum over echoes of |s|², shape (x, y).
        variance: Of the noise of a real channel.
        n_echoes: Echoes summed.
    Returns:
        Shape (x, y), bool.
    """
    low, high = (snr**2 * n_echoes * variance for snr in TISSUE_SNR)
    return apply_hysteresis_threshold(energy, max(low, 0.0), max(high, 0.0))


def local_noise_variance(residual, mask, n_freedom, fallback) -> np.ndarray:
    """Noise variance of a real channel around each voxel of a slice, pooled from the residuals of its neighbours.

    It follows the noise where parallel imaging makes it uneven, and grows where the model does not fit.

    Args:
        residual: Sum of squares left by the fit, shape (x, y); ignored outside ``mask``.
        mask: Fitted voxels, shape (x, y).
        n_freedom: Degrees of freedom of one fit; with none, ``fallback`` is taken.
        fallback: Variance where there is nothing to pool.
    Returns:
        Shape (x, y).
    """
    if n_freedom < 1:
        return np.full(mask.shape, fallback)
    window = {"sigma": LOCAL_NOISE_VOXELS, "mode": "constant", "truncate": 3.0}
    weight = ndimage.gaussian_filter(mask.astype(np.float64), **window)
    pooled = ndimage.gaussian_filter(np.where(mask, residual, 0.0).astype(np.float64), **window)
    return np.where(weight > 1e-6, pooled / np.maximum(weight, 1e-6) / n_freedom, fallback)
