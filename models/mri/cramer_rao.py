"""The smallest standard deviation that any unbiased estimate of PDFF can have."""

from __future__ import annotations

import numpy as np

from .signal_model import fat_modulation


def cramer_rao_bound(pdff, r2_star_per_s, echo_times_s, field_strength_t, spectrum, snr) -> dict[str, float]:
    """Cramér-Rao bound of a complex fit with six real unknowns: Re and Im of W and of F, field, R2*.

    The Fisher information of independent Gaussian noise in both channels is JᵀJ/σ²; its inverse bounds the
    covariance, and the gradient of Re(F/(W+F)) carries it to PDFF. Neither the phase of the signal nor the field
    enters.

    Args:
        pdff: Fat fraction, 0 to 1.
        r2_star_per_s: R2*, 1/s.
        echo_times_s: Shape (n_echoes,), seconds.
        field_strength_t: Tesla.
        spectrum: The fat spectrum.
        snr: |W + F| over the noise standard deviation of one channel.
    Returns:
        "pdff_std_percent", "r2_star_std_per_s" and "field_map_std_hz".
    Source: Pineda AR et al., MRM 2005, 10.1002/mrm.20623 (the bound for water and fat).
    """
    times = np.asarray(echo_times_s, np.float64)
    modulation = fat_modulation(times, field_strength_t, spectrum)
    decay = np.exp(-r2_star_per_s * times)
    signal = decay * (1 - pdff + pdff * modulation)
    columns = (
        decay,
        1j * decay,
        decay * modulation,
        1j * decay * modulation,
        2j * np.pi * times * signal,
        -times * signal,
    )
    jacobian = np.stack([np.concatenate([c.real, c.imag]) for c in columns], axis=1)
    covariance = np.linalg.inv(jacobian.T @ jacobian) / snr**2
    gradient = np.array([-pdff, 0, 1 - pdff, 0, 0, 0])
    return {
        "pdff_std_percent": 100 * float(np.sqrt(gradient @ covariance @ gradient)),
        "field_map_std_hz": float(np.sqrt(covariance[4, 4])),
        "r2_star_std_per_s": float(np.sqrt(covariance[5, 5])),
    }
