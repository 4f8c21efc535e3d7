"""How noisy a study is, and which of its voxels hold tissue."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.stats import chi2
from skimage.filters import apply_hysteresis_threshold

from .field_candidates import N_UNKNOWNS, best_fit

SAMPLED_VOXELS = (600, 1800)
"""Voxels from which the noise of the whole study is read, first to find the bright ones, then from these; every
so-manieth, so the same study gives the same value."""
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
LARGEST_SURPRISE = 2.0
"""Residual variance of a voxel relative to the noise around it beyond which it counts no more."""
POOLING_ROUNDS = 6
"""Rounds of pooling; each brings the variance closer to its fixed point."""


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

    def variance_of(voxels, n_sampled):
        sample = voxels[:: max(1, voxels.size // n_sampled)]
        fit = best_fit(flat[:, sample], study.echo_times_s, study.field_strength_t, basis, fixed_r2_star_per_s)
        return float(np.quantile(fit.residual, NOISE_QUANTILE) / chi2.ppf(NOISE_QUANTILE, freedom))

    first = variance_of(filled, SAMPLED_VOXELS[0])
    bright = np.flatnonzero(energy > BRIGHT_SNR**2 * flat.shape[0] * first)
    return variance_of(bright, SAMPLED_VOXELS[1]) if bright.size >= 100 else first


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

    It follows the noise where parallel imaging makes it uneven. A residual counts no more than LARGEST_SURPRISE times
    the noise around it, so that an edge or vessel, which the model does not fit, does not spoil the deviations beside
    it: the variance is the fixed point of pooling what is so limited.

    Args:
        residual: Sum of squares left by the fit, shape (x, y); ignored outside ``mask``.
        mask: Fitted voxels, shape (x, y).
        n_freedom: Degrees of freedom of one fit; with none, ``fallback`` is taken.
        fallback: Variance where there is nothing to pool, and where the fixed point is approached from.
    Returns:
        Shape (x, y).
    Source: Huber PJ, Robust Statistics, 1981, 10.1002/0471725250, chapter 5 (proposal for scale).
    """
    if n_freedom < 1:
        return np.full(mask.shape, fallback)
    window = {"sigma": LOCAL_NOISE_VOXELS, "mode": "constant", "truncate": 3.0}
    weight = ndimage.gaussian_filter(mask.astype(np.float64), **window)
    is_known = weight > 1e-6
    own = np.where(mask, residual, 0.0) / n_freedom
    limit = LARGEST_SURPRISE
    # Mean of min(χ²/f, limit): what limiting takes away from noise alone.
    kept = chi2.cdf(limit * n_freedom, n_freedom + 2) + limit * chi2.sf(limit * n_freedom, n_freedom)
    variance = np.full(mask.shape, float(fallback))
    for _ in range(POOLING_ROUNDS):
        pooled = ndimage.gaussian_filter(np.minimum(own, limit * variance), **window)
        variance = np.where(is_known, pooled / np.maximum(weight, 1e-6) / kept, fallback)
    return variance
