"""The signal that water and fat give at the echoes of a gradient-echo train."""

from __future__ import annotations

import numpy as np

from ..units import ppm_to_hz
from .fat_spectra import FatSpectrum


def fat_modulation(echo_times_s: np.ndarray, field_strength_t: float, spectrum: FatSpectrum) -> np.ndarray:
    """What unit fat contributes at each echo, relative to water.

    a(t) = Σ α_p e^{i2πγB0 f_p t}

    Args:
        echo_times_s: Shape (n_echoes,), seconds.
        field_strength_t: Tesla.
        spectrum: Peaks in ppm relative to water, negative for the main ones.
    Returns:
        Complex, shape (n_echoes,); 1 at t = 0.
    Source: Yu et al., Magn Reson Med 2008, 10.1002/mrm.21737, eq. 2.
    """
    shifts_hz = ppm_to_hz(np.asarray(spectrum.shifts_ppm), field_strength_t)
    phases = 2j * np.pi * np.outer(np.asarray(echo_times_s, dtype=np.float64), shifts_hz)
    return np.exp(phases) @ np.asarray(spectrum.amplitudes)


def design_matrix(echo_times_s: np.ndarray, field_strength_t: float, spectrum: FatSpectrum) -> np.ndarray:
    """M in s = D·M·(W, F): what one unit of water and of fat give at each echo before decay and off-resonance.

    Args:
        echo_times_s: Shape (n_echoes,), seconds.
        field_strength_t: Tesla.
        spectrum: The fat spectrum.
    Returns:
        [1, a(t)], complex, shape (n_echoes, 2).
    """
    modulation = fat_modulation(echo_times_s, field_strength_t, spectrum)
    return np.stack([np.ones_like(modulation), modulation], axis=1)


def multi_echo_signal(
    water: np.ndarray,
    fat: np.ndarray,
    field_map_hz: np.ndarray,
    r2_star_per_s: np.ndarray,
    echo_times_s: np.ndarray,
    field_strength_t: float,
    spectrum: FatSpectrum,
) -> np.ndarray:
    """Complex multi-echo signal of water and fat with a common decay.

    s(t) = (W + F·a(t)) · e^{i2πφt} · e^{-R2*·t},  φ in Hz

    Args:
        water: Water signal at t = 0, any shape, real or complex, arbitrary units.
        fat: Fat signal at t = 0, shape of ``water``.
        field_map_hz: Off-resonance φ, shape of ``water``, Hz.
        r2_star_per_s: Decay rate R2*, shape of ``water``, 1/s.
        echo_times_s: Shape (n_echoes,), seconds.
        field_strength_t: Tesla.
        spectrum: The fat spectrum.
    Returns:
        Complex, shape (n_echoes, *shape of water).
    Source: Yu et al., Magn Reson Med 2008, 10.1002/mrm.21737, eq. 3.
    """
    water, fat = np.asarray(water), np.asarray(fat)
    times = np.asarray(echo_times_s, dtype=np.float64).reshape(-1, *(1,) * water.ndim)
    modulation = fat_modulation(echo_times_s, field_strength_t, spectrum).reshape(times.shape)
    rate = 2j * np.pi * np.asarray(field_map_hz) - np.asarray(r2_star_per_s)
    return (water + fat * modulation) * np.exp(rate * times)
