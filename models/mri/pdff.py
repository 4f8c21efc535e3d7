"""Proton density fat fraction of a study: the one function that the command line, the server and the tests call."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..errors import UnsuitableInputError
from ..io.study import MIN_ECHOES, MultiEchoStudy
from . import least_squares
from .acquisition import (
    BIPOLAR_RATIO,
    CONTRADICTED_RATIO,
    MIN_BIPOLAR_PHASE_RAD,
    REFUTED_RATIO,
    find_odd_even_phase,
    find_precession,
)
from .fat_spectra import get_spectrum
from .field_candidates import field_period_hz
from .field_map import n_steps, solve_field, unwrap_field
from .magnitude import fit_magnitude, start_on_side
from .maps import PdffMaps
from .noise import degrees_of_freedom, local_noise_variance, noise_variance, signal_energy
from .signal_model import design_matrix

METHODS = ("graph_cut",)
"""Names of the methods, the default first."""
PRECESSIONS = {"auto": None, "+1": 1, "-1": -1}
"""How the sign of precession is asked for."""
READOUTS = ("auto", "unipolar", "bipolar")
"""How the polarity of the readouts is asked for."""
FITS = ("complex", "hybrid")
"""Complex fit; or magnitudes below, complex above 50 % fat, for scans with eddy-current phase errors."""
HYBRID_BLEND = (0.40, 0.50)
"""Complex fat fraction below which the magnitude fit counts alone and above which the complex one does (Yu 2011)."""
ASSUMED_R2_STAR = (10.0, 15.0)
"""R2* taken when three echoes do not determine it, a + b·B0 in 1/s: some 32 at 1.5 T and 55 at 3 T as in a liver
without iron."""
MISFIT_ENERGY_FRACTION = 0.5
"""Share of a voxel's signal energy left unexplained above which the model does not describe it …"""
MISFIT_NOISE_RATIO = 5.0
"""… if the residual also exceeds the noise by this factor, both root mean square."""
MISFIT_SURPRISE = 4.0
"""Ratio of a voxel's own residual variance to that around it from which its own one counts: chance exceeds 4 in one
voxel in a thousand with six echoes."""
REFINEMENTS = 8
"""Final Gauss-Newton steps."""
MAX_PDFF_STD = 10.0
"""Standard deviation of the fat fraction, as a fraction, beyond which nothing was measured."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class PdffOptions:
    """What can be asked of an estimate.

    Raises:
        UnsuitableInputError: a value that is not known, naming those that are.
    """

    spectrum: str = "hamilton_2011"
    """Name of the fat spectrum."""
    precession: str = "auto"
    """"auto": as declared, else found; "+1" or "-1" overrides."""
    readout: str = "auto"
    """"auto": an odd/even phase is removed if one is found; "unipolar": never; "bipolar": always."""
    fit: str = "complex"
    """"complex", or "hybrid" for scans with eddy-current phase errors."""

    def __post_init__(self):
        get_spectrum(self.spectrum)
        for name, known in (("precession", tuple(PRECESSIONS)), ("readout", READOUTS), ("fit", FITS)):
            if getattr(self, name) not in known:
                raise UnsuitableInputError(
                    f"The option {name} needs to be one of {', '.join(known)}; found {getattr(self, name)!r}."
                )

    @classmethod
    def from_request(cls, request: dict) -> PdffOptions:
        """Options from a request's JSON; unknown keys are refused, naming the known ones."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(request) - set(known))
        if unknown:
            raise UnsuitableInputError(
                f"PDFF knows the options {', '.join(known)}; found {', '.join(unknown)}. Remove or rename it."
            )
        return cls(**{key: str(value) for key, value in request.items()})


def estimate(study: MultiEchoStudy, *, method="graph_cut", options=None, progress=None) -> PdffMaps:
    """Estimate PDFF, R2*, field, water and fat with their standard deviations.

    The signal is divided by its maximum first and the maps multiplied again, so that no unit over- or underflows.

    1. Sign of precession and odd/even phase, given or found.
    2. Noise, and with it the tissue.
    3. Each voxel's possible fields; graph cuts choose among them.
    4. Gauss-Newton on all six real parameters from there, so that the estimate reaches the Cramér-Rao bound.
    5. PDFF = Re(F/(W+F)), its deviation by propagation with the local noise.

    Args:
        study: At least three echoes.
        method: One of :data:`METHODS`.
        options: What is assumed; the defaults suit a liver at 1.5 or 3 T.
        progress: Called as progress(done, total); it may raise to stop.
    Returns:
        PdffMaps; voxels outside tissue, unusable or misfitted are NaN and False in ``valid_mask``.
    Raises:
        UnsuitableInputError: unknown method, or images without signal.
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
    steps = _Steps(progress, 1 if study.is_magnitude_only else n_steps(study.signal.shape[3]) + 1)
    if study.is_magnitude_only:
        return _estimate_from_magnitude(study, basis, scale, options, method, steps)
    fixed_r2_star = None
    if study.echo_times_s.size == MIN_ECHOES:
        constant, slope = ASSUMED_R2_STAR
        fixed_r2_star = constant + slope * study.field_strength_t
    study, settings, warnings = _resolve_acquisition(study, basis, options, fixed_r2_star)
    if fixed_r2_star is not None:
        warnings.append(
            f"Three echoes do not determine R2*; {fixed_r2_star:.0f} 1/s was assumed. PDFF is biased where it differs."
        )
    variance = noise_variance(study, basis, fixed_r2_star)
    starts = solve_field(study, basis, variance, fixed_r2_star, steps.advance)
    maps = _blank_maps(study.signal.shape[1:])
    misfits = 0
    for z, start in enumerate(starts):
        misfits += _refine_slice(maps, study, z, start, basis, variance, fixed_r2_star, options)
    period = field_period_hz(study.echo_times_s)
    if period and maps["valid_mask"].any():
        maps["field_map_hz"] = unwrap_field(maps["field_map_hz"], maps["valid_mask"], period).astype(np.float32)
    steps.advance()
    if misfits:
        warnings.append(
            f"Voxels that do not fit the signal model: {misfits}. They are masked, not estimated; most lie beside air."
        )
    for name in ("water", "fat"):
        maps[name] *= np.float32(scale)
    settings |= {
        "fit": options.fit,
        "noise_std": float(np.sqrt(variance) * scale),
        "field_period_hz": period,
        "r2_star": "fitted" if fixed_r2_star is None else "assumed",
        "n_misfit_voxels": misfits,
    }
    return PdffMaps(**maps, method=method, spectrum=options.spectrum, settings=settings, warnings=tuple(warnings))


class _Steps:
    def __init__(self, progress, total):
        self.progress, self.total, self.done = progress, total, 0
        if progress:
            progress(0, total)

    def advance(self):
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)


def _blank_maps(shape):
    names = ("pdff_percent", "r2_star_per_s", "field_map_hz")
    maps = {name: np.full(shape, np.nan, np.float32) for name in (*names, "water", "fat")}
    for name in ("pdff_std_percent", "r2_star_std_per_s", "field_map_std_hz"):
        maps[name] = np.full(shape, np.nan, np.float32)
    return maps | {"valid_mask": np.zeros(shape, bool)}


def _resolve_acquisition(study, basis, options, fixed_r2_star):
    """The study in the model's sign without odd/even phase, what was found, and what to tell."""
    warnings = []
    if PRECESSIONS[options.precession] is not None:
        study = study.with_fields(precession=PRECESSIONS[options.precession])
    readout = options.readout
    if readout == "auto" and study.is_bipolar is not None:
        readout = "bipolar" if study.is_bipolar else "unipolar"
    found = find_precession(study, basis, fixed_r2_star)
    is_doubtful = found.basis == "undecided" or found.evidence_ratio < 1 / CONTRADICTED_RATIO
    if is_doubtful and readout != "unipolar":
        found = find_precession(study, basis, fixed_r2_star, lambda version: find_odd_even_phase(version, basis))
    if found.basis == "undecided":
        warnings.append(
            "The sign of precession is not declared and the signal does not decide it "
            f"(evidence ratio {found.evidence_ratio:.2f}); +1 was taken. Compare with --precession=-1."
        )
    elif found.basis == "given" and found.evidence_ratio < 1 / CONTRADICTED_RATIO:
        evidence = f"the signal fits the other sign better, {1 / found.evidence_ratio:.0f} to 1"
        if options.precession == "auto" and found.evidence_ratio < 1 / REFUTED_RATIO:
            raise UnsuitableInputError(
                f"PDFF needs the right sign of precession; the study declares {found.sign:+d}, but {evidence}. Give "
                f"--precession={-found.sign:+d}, or --precession={found.sign:+d} to insist."
            )
        warnings.append(f"The sign of precession is given as {found.sign:+d}, but {evidence}. Check it.")
    if found.sign == -1:
        study = study.with_fields(signal=np.conj(study.signal), precession=1)
    settings = {
        "precession": {"sign": found.sign, "basis": found.basis, "evidence_ratio": round(found.evidence_ratio, 3)}
    }
    phase = None if readout == "unipolar" else find_odd_even_phase(study, basis)
    if readout == "bipolar" and phase is None:
        warnings.append("An odd/even echo phase needs at least four echoes to be removed; PDFF may be biased.")
    if phase is not None:
        matters = np.abs(phase.at(study.signal.shape[1:])).max() > MIN_BIPOLAR_PHASE_RAD
        if readout == "bipolar" or (phase.residual_ratio < BIPOLAR_RATIO and matters):
            study = study.with_fields(signal=phase.remove_from(study.signal))
            settings["odd_even_phase"] = {
                "offset_rad": phase.offset_rad,
                "slope_rad_per_voxel": list(phase.slope_rad_per_voxel),
                "residual_ratio": round(phase.residual_ratio, 3),
                "basis": "found" if readout == "auto" else "given",
            }
            if readout == "auto":
                warnings.append(
                    f"Odd and even echoes differ by a phase of {2 * phase.offset_rad:.2f} rad, as bipolar readouts "
                    "leave it; it was removed."
                )
    return study, settings, warnings


def _refine_slice(maps, study, z, start, basis, variance, fixed_r2_star, options):
    """Fill one slice of the maps; returns how many tissue voxels the model does not fit."""
    mask = start.mask
    if not mask.any():
        return 0
    times = study.echo_times_s
    signal = study.signal[..., z][:, mask]
    is_fixed = fixed_r2_star is not None
    fit = least_squares.gauss_newton(
        signal, times, basis, start.field_map_hz, start.r2_star_per_s, REFINEMENTS, fixed_r2_star=is_fixed
    )
    spread = least_squares.covariance(fit, times, basis, fixed_r2_star=is_fixed)
    residual = np.zeros(mask.shape)
    residual[mask] = fit.residual
    freedom = degrees_of_freedom(times.size, is_fixed)
    noise = local_noise_variance(residual, mask, freedom, variance)[mask]
    own = fit.residual / max(freedom, 1)
    noise_std = np.sqrt(np.where(own > MISFIT_SURPRISE * noise, own, noise))
    energy = signal_energy(signal)
    pdff, pdff_std = least_squares.fat_fraction(fit.water, fit.fat), spread.pdff_std * noise_std
    r2_star, r2_star_std = fit.r2_star_per_s, spread.r2_star_std_per_s * noise_std
    if options.fit == "hybrid":
        complex_part = pdff, pdff_std, r2_star, r2_star_std
        pdff, pdff_std, r2_star, r2_star_std = _hybrid(signal, times, basis, fit, noise_std, complex_part)
    misfit = (fit.residual > MISFIT_ENERGY_FRACTION * energy) & (
        fit.residual > MISFIT_NOISE_RATIO**2 * variance * max(freedom, 1)
    )
    good = ~misfit & np.isfinite(pdff) & (pdff_std < MAX_PDFF_STD)
    inside = mask.copy()
    inside[mask] = good
    for name, values in {
        "pdff_percent": 100 * pdff,
        "pdff_std_percent": 100 * pdff_std,
        "r2_star_per_s": r2_star,
        "r2_star_std_per_s": r2_star_std,
        "field_map_hz": fit.field_map_hz,
        "field_map_std_hz": spread.field_map_std_hz * noise_std,
        "water": np.abs(fit.water),
        "fat": np.abs(fit.fat),
    }.items():
        maps[name][inside, z] = values[good]
    maps["valid_mask"][..., z] = inside
    return int(misfit.sum())


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


def _estimate_from_magnitude(study, basis, scale, options, method, steps):
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
    maps = _blank_maps(study.signal.shape[1:])
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
