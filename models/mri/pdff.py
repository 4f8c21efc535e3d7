"""Proton density fat fraction of a study: the one function that the command line, the server and the tests call."""

from __future__ import annotations

import numpy as np

from ..errors import UnsuitableInputError
from ..io.study import MultiEchoStudy
from ..weights import Weights
from .declared_acquisition import resolve_acquisition
from .fat_spectra import get_spectrum
from .field_candidates import assumed_r2_star, field_period_hz
from .field_map import unwrap_field
from .maps import PdffMaps, blank_maps
from .noise import noise_variance
from .pdff_magnitude import estimate_from_magnitude
from .pdff_methods import make_method
from .pdff_options import METHODS, PdffOptions
from .signal_model import design_matrix


def estimate(
    study: MultiEchoStudy, *, method="ai_deal", network: Weights | None = None, options=None, progress=None
) -> PdffMaps:
    """Estimate PDFF, R2*, field, water and fat with their standard deviations.

    The signal is divided by its maximum first and the maps multiplied again, so that no unit over- or underflows.

    1. Sign of precession and odd/even phase, given or found.
    2. Noise, and with it the tissue.
    3. The method: AI-DEAL's networks, graph cuts, or a compared network (:mod:`.pdff_methods`).
    4. PDFF = Re(F/(W+F)), its deviation by propagation.

    Args:
        study: At least three echoes.
        method: One of :data:`.pdff_options.METHODS`. "ai_deal" refines the networks' answer on the physics;
            "ai_deal_one_shot" does not.
        network: Weights of the method's network; None: those that come with the package.
        options: What is assumed; the defaults suit a liver at 1.5 or 3 T.
        progress: Called as progress(done, total); it may raise to stop.
    Returns:
        PdffMaps; voxels outside tissue, unusable or misfitted are NaN and False in ``valid_mask``.
    Raises:
        UnsuitableInputError: unknown method, images without signal, or weights that are not the method's.
    """
    options = options or PdffOptions()
    if method not in METHODS:
        raise UnsuitableInputError(f"PDFF needs one of the methods {', '.join(METHODS)}; found {method!r}.")
    if not study.signal.any():
        raise UnsuitableInputError(
            "PDFF needs images with signal; every pixel of this study is 0. Export the images again."
        )
    scale = float(np.abs(study.signal).max())
    study = study.with_fields(signal=study.signal / np.float32(scale))
    spectrum = get_spectrum(options.spectrum)
    basis = design_matrix(study.echo_times_s, study.field_strength_t, spectrum)
    solver = make_method(method, network, study, options)
    if study.is_magnitude_only:
        return estimate_from_magnitude(study, basis, scale, options, method, Steps(progress, 1))
    steps = Steps(progress, solver.n_steps(study.signal.shape[3]) + 1)
    fixed_r2_star = assumed_r2_star(study.echo_times_s, study.field_strength_t)
    study, settings, warnings = resolve_acquisition(study, basis, options, fixed_r2_star)
    if fixed_r2_star is not None:
        warnings.append(
            f"Three echoes do not determine R2*; {fixed_r2_star:.0f} 1/s was assumed. PDFF is biased where it differs."
        )
    variance = noise_variance(study, basis, fixed_r2_star)
    maps = blank_maps(study.signal.shape[1:])
    estimates = []
    for z, found in enumerate(solver.solve(study, basis, variance, fixed_r2_star, steps.advance)):
        maps["valid_mask"][..., z] = found.mask
        for name, values in found.values.items():
            maps[name][found.mask, z] = values
        estimates.append((found.n_misfit, found.n_tissue, found.n_fallback))
    n_misfit, n_tissue, n_fallback = np.sum(estimates, axis=0).tolist()
    period = field_period_hz(study.echo_times_s)
    if period and maps["valid_mask"].any() and np.isfinite(maps["field_map_hz"][maps["valid_mask"]]).all():
        maps["field_map_hz"] = unwrap_field(maps["field_map_hz"], maps["valid_mask"], period).astype(np.float32)
    steps.advance()
    if n_misfit:
        warnings.append(
            f"Voxels that do not fit the signal model: {n_misfit}. They are masked, not estimated; most lie beside air."
        )
    for name in ("water", "fat"):
        maps[name] *= np.float32(scale)
    settings |= {
        "fit": options.fit,
        "noise_std": float(np.sqrt(variance) * scale),
        "field_period_hz": period,
        "r2_star": "fitted" if fixed_r2_star is None else "assumed",
        "n_misfit_voxels": n_misfit,
    }
    settings |= solver.settings(n_fallback / max(n_tissue, 1))
    warnings += solver.warnings
    return PdffMaps(**maps, method=method, spectrum=options.spectrum, settings=settings, warnings=tuple(warnings))


class Steps:
    """Counts what is done and tells it."""

    def __init__(self, progress, total):
        self.progress, self.total, self.done = progress, total, 0
        if progress:
            progress(0, total)

    def advance(self):
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
