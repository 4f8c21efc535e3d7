"""PDFF of a study that holds magnitudes only."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from .magnitude import fit_magnitude, start_on_side
from .maps import PdffMaps, blank_maps
from .noise import local_noise_variance
from .slice_estimates import MAX_PDFF_STD

N_UNKNOWNS = 3
"""Of a magnitude fit: water, fat, R2*."""
MIN_DARK_VOXELS = 100
"""Voxels outside tissue from which the noise is read, at least."""
NO_NOISE = (
    "Three magnitudes leave nothing that shows the noise, and there is no dark background: no standard deviation is "
    "stated. Export every echo, or phase."
)
_TINY = float(np.finfo(np.float32).tiny)


def estimate_from_magnitude(study, basis, scale, options, method, steps) -> PdffMaps:
    """Magnitude-only PDFF: water-dominant solutions, with what that means said."""
    magnitude = study.signal.real
    n_echoes = magnitude.shape[0]
    energy = np.square(magnitude).sum(axis=0)
    mask = (energy > 0.05**2 * energy.max()) & ~study.unusable_mask
    flat = magnitude[:, mask]
    start = start_on_side(flat, study.echo_times_s, 0.1)
    fit = fit_magnitude(flat, study.echo_times_s, basis[:, 1], *start)
    noise = np.sqrt(_variance(fit.residual, mask, n_echoes, energy))
    maps = blank_maps(study.signal.shape[1:])
    total = fit.water + fit.fat
    with np.errstate(divide="ignore", invalid="ignore"):
        pdff = fit.fat / total
    good = np.isfinite(pdff) & ~(fit.pdff_std * noise >= MAX_PDFF_STD)
    inside = mask.copy()
    inside[mask] = good
    for name, values in {
        "pdff_percent": 100 * pdff,
        "pdff_std_percent": 100 * fit.pdff_std * noise,
        "r2_star_per_s": fit.r2_star_per_s,
        "r2_star_std_per_s": fit.r2_star_std_per_s * noise,
        "water": scale * np.abs(fit.water),
        "fat": scale * np.abs(fit.fat),
    }.items():
        maps[name][inside] = values[good]
    maps["valid_mask"] = inside
    steps.advance()
    warning = (
        "No phase was stored: PDFF comes from magnitudes. It is right below about 40 %; fat-dominant tissue reads as "
        "its water-dominant mirror (100 % minus itself), and there is no field map. Export phase, or real "
        "and imaginary."
    )
    warnings = (warning, NO_NOISE) if np.isnan(noise).all() else (warning,)
    settings = {"fit": "magnitude", "noise_std": float(np.median(noise)) * scale, "r2_star": "fitted"}
    return PdffMaps(**maps, method=method, spectrum=options.spectrum, settings=settings, warnings=warnings)


def _variance(residual, mask, n_echoes, energy):
    """Noise variance of a real channel at each voxel of ``mask``.

    Around each voxel from what the fit leaves; three magnitudes leave nothing, then from the dark voxels around the
    body, and NaN where there are none.
    """
    freedom = n_echoes - N_UNKNOWNS
    if freedom < 1:
        dark = energy[~mask & (energy > 0)]
        is_known = dark.size >= MIN_DARK_VOXELS
        return np.full(residual.size, np.median(dark) / chi2.median(2 * n_echoes) if is_known else np.nan)
    left = np.zeros(mask.shape)
    left[mask] = residual
    fallback = max(float(np.median(residual)) / freedom, _TINY)
    slices = [
        local_noise_variance(left[..., z], mask[..., z], freedom, fallback)[mask[..., z]] for z in range(mask.shape[2])
    ]
    around = np.empty(mask.shape)
    for z, values in enumerate(slices):
        around[..., z][mask[..., z]] = values
    return np.maximum(around[mask], _TINY)
