"""PDFF of a study that holds magnitudes only."""

from __future__ import annotations

import numpy as np

from .magnitude import fit_magnitude, start_on_side
from .maps import PdffMaps, blank_maps
from .slice_estimates import MAX_PDFF_STD

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
    freedom = max(n_echoes - 3, 1)
    variance = float(np.median(fit.residual) / freedom)
    maps = blank_maps(study.signal.shape[1:])
    total = fit.water + fit.fat
    with np.errstate(divide="ignore", invalid="ignore"):
        pdff = fit.fat / total
    noise = np.sqrt(max(variance, _TINY))
    good = np.isfinite(pdff) & (fit.pdff_std * noise < MAX_PDFF_STD)
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
    settings = {"fit": "magnitude", "noise_std": float(noise) * scale, "r2_star": "fitted"}
    return PdffMaps(**maps, method=method, spectrum=options.spectrum, settings=settings, warnings=(warning,))
