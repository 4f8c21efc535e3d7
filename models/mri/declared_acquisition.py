"""What a study declares of its sign of precession and readout, weighed against its signal."""

from __future__ import annotations

import numpy as np

from ..errors import UnsuitableInputError
from .acquisition import (
    BIPOLAR_RATIO,
    CONTRADICTED_RATIO,
    MIN_BIPOLAR_PHASE_RAD,
    REFUTED_RATIO,
    find_odd_even_phase,
    find_precession,
)
from .pdff_options import PRECESSIONS


def resolve_acquisition(study, basis, options, fixed_r2_star):
    """The study in the model's sign without odd/even phase, what was found, and what to tell.

    Args:
        study: Complex-valued.
        basis: [1, a(t)], shape (n_echoes, 2).
        options: :class:`.pdff_options.PdffOptions`.
        fixed_r2_star: R2* when it is not estimated, 1/s.
    Returns:
        Study, settings and warnings.
    Raises:
        UnsuitableInputError: the declared sign is refuted by the signal.
    """
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
