"""What an error of field or R2* does to PDFF: analytic, without noise and without a network (Fig. 12 of the paper)."""

from __future__ import annotations

import numpy as np

from ..fat_spectra import get_spectrum
from ..least_squares import fat_fraction
from ..phantom import default_echo_times_s
from ..signal_model import design_matrix, multi_echo_signal

FIELD_ERRORS_HZ = np.arange(-10.0, 10.1, 1.0)
"""Errors of the off-resonance, Hz."""
R2_STAR_ERRORS_PER_S = np.arange(-50.0, 50.1, 5.0)
"""Errors of R2*, 1/s."""
PDFFS_PERCENT = np.arange(0.0, 100.1, 5.0)
"""True fat fractions, percent."""
R2_STAR_PER_S = 60.0
"""True R2*, 1/s: above the largest error, so that the wrong rate stays positive."""


def pdff_error_points(
    pdff_percent: np.ndarray,
    field_error_hz: float,
    r2_star_error_per_s: float,
    *,
    field_strength_t: float = 1.5,
    echo_times_s: np.ndarray | None = None,
    r2_star_per_s: float = R2_STAR_PER_S,
) -> np.ndarray:
    """Error of PDFF when water and fat are solved at a wrong field and R2*.

    ρ = argmin |D·M·ρ - s|² with D = diag(e^{(i2π(φ+δφ) - R2* - δR2*)·t}), PDFF = Re(F/(W+F))

    Args:
        pdff_percent: True PDFF, shape (n,), percent.
        field_error_hz: δφ, Hz.
        r2_star_error_per_s: δR2*, 1/s.
        field_strength_t: Tesla.
        echo_times_s: Shape (n_echoes,), seconds; None: six echoes as liver protocols have them.
        r2_star_per_s: True R2*, 1/s. The true field is 0: only its error matters.
    Returns:
        Estimated minus true PDFF, shape (n,), percentage points.
    """
    times = default_echo_times_s(field_strength_t) if echo_times_s is None else np.asarray(echo_times_s, np.float64)
    spectrum = get_spectrum("hamilton_2011")
    pdff_percent = np.asarray(pdff_percent, np.float64)
    fat = pdff_percent / 100
    signal = multi_echo_signal(1 - fat, fat, 0.0, r2_star_per_s, times, field_strength_t, spectrum)
    wrong = np.exp((2j * np.pi * field_error_hz - r2_star_per_s - r2_star_error_per_s) * times)
    basis = wrong[:, None] * design_matrix(times, field_strength_t, spectrum)
    (water, fat), *_ = np.linalg.lstsq(basis, signal, rcond=None)
    return 100 * fat_fraction(water, fat) - pdff_percent


def sensitivity_maps(field_strength_t: float) -> dict[str, np.ndarray]:
    """PDFF error against its cause and the true PDFF.

    Args:
        field_strength_t: Tesla.
    Returns:
        "field_map_hz": shape (n field errors, n fat fractions); "r2_star_per_s": shape (n R2* errors, n fat fractions);
        percentage points.
    """

    def error_map(errors):
        return np.array(
            [pdff_error_points(PDFFS_PERCENT, *error, field_strength_t=field_strength_t) for error in errors]
        )

    return {
        "field_map_hz": error_map([(hz, 0.0) for hz in FIELD_ERRORS_HZ]),
        "r2_star_per_s": error_map([(0.0, rate) for rate in R2_STAR_ERRORS_PER_S]),
    }
