"""Echoes of simulated tissue: speckle, attenuation, gain and log compression, along the beams of a curved probe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage, special

from .phantom_anatomy import (
    BEYOND,
    DEPTH_MM,
    DIAPHRAGM,
    KIDNEY,
    LIVER,
    N_DEPTHS,
    ORGANS,
    PORTAL_WALL,
    SINUS,
    VESSEL,
    WALL,
    beam_distances_mm,
    depths_mm,
    picture_coordinates,
)

FREQUENCY_MHZ = 6.0
"""Centre of the pulse."""
DYNAMIC_RANGE_DB = 60.0
"""From black to white."""
_TOP_DB = 32.0
"""White, over the mean echo of a liver without fat."""
_TGC_DB_PER_CM_MHZ = 0.7
"""Attenuation that the scanner compensates, one way."""
_NOISE_DB = -78.0
"""Electronic noise before compensation, below the echo of a liver at the probe's face."""
_AXIAL_FWHM_MM = 0.35
"""Length of the pulse: about three half cycles of 6 MHz."""
_LATERAL_FWHM_MM = (0.35, 1.0)
"""Width of the beam at the probe's face and at the deepest sample."""
_FWHM_PER_STD = np.sqrt(8 * np.log(2))
_UNCLUSTERED = 1e3
"""A shape of the gamma texture from which on speckle is fully developed."""
_ECHO_DB = {
    WALL: 4.0,
    VESSEL: -32.0,
    PORTAL_WALL: 9.0,
    KIDNEY: -3.0,
    SINUS: 8.0,
    DIAPHRAGM: 20.0,
    BEYOND: -8.0,
}
"""Over the liver without fat."""
_ATTENUATION_DB_PER_CM_MHZ = {WALL: 0.8, VESSEL: 0.2, PORTAL_WALL: 0.6, KIDNEY: 0.6, SINUS: 0.6, DIAPHRAGM: 0.7}


@dataclass(frozen=True)
class Scanner:
    """How a patient's gain was set."""

    gain_db: float = 0.0
    """Over all depths."""
    tgc_error_db_per_cm_mhz: float = 0.0
    """Compensation with depth, over the nominal one."""
    sliders_db: tuple[float, ...] = (0.0,) * 6
    """Six sliders, from the probe's face to the deepest sample."""

    def gain_at_depth_db(self) -> np.ndarray:
        """Shape (N_DEPTHS,)."""
        sliders = np.interp(np.linspace(0, len(self.sliders_db) - 1, N_DEPTHS), range(6), self.sliders_db)
        slope = _TGC_DB_PER_CM_MHZ + self.tgc_error_db_per_cm_mhz
        return self.gain_db + sliders + 2 * slope * FREQUENCY_MHZ * depths_mm() / 10


def draw_scanner(patient: np.random.Generator) -> Scanner:
    """Settings of one patient's examination."""
    return Scanner(
        float(patient.normal(0, 3.0)), float(patient.normal(0, 0.06)), tuple(patient.normal(0, 1.0, 6).tolist())
    )


def attenuation_db_per_cm_mhz(fat_percent: float) -> float:
    """Attenuation of a liver, one way: 0.5 without fat, 0.95 from 40 % on."""
    return float(np.interp(fat_percent, (0, 40), (0.5, 0.95)))


def liver_echo_db(fat_percent: float) -> float:
    """Backscatter of a liver over that of one without fat, dB: 8.6 at 40 %, and levelling off."""
    return float(10 * (1 - np.exp(-fat_percent / 20)))


def texture(fibrosis: float) -> tuple[float, float]:
    """Shape of the gamma texture and its correlation length (FWHM, mm): fibrosis clusters and coarsens."""
    return float(12 * (2.5 / 12) ** fibrosis), 0.5 + 1.3 * fibrosis


def tissue_db(organs: np.ndarray, fat_percent: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean echo and what is lost on the way to each sample and back, each shape of ``organs``, dB."""
    echo, loss = np.zeros(len(ORGANS), np.float32), np.full(len(ORGANS), 0.5, np.float32)
    for organ, value in _ECHO_DB.items():
        echo[organ] = value
    for organ, value in _ATTENUATION_DB_PER_CM_MHZ.items():
        loss[organ] = value
    echo[LIVER], loss[LIVER] = liver_echo_db(fat_percent), attenuation_db_per_cm_mhz(fat_percent)
    # What lies beyond the diaphragm is its mirror image of the liver.
    echo[BEYOND] += echo[LIVER]
    loss[BEYOND] = loss[LIVER]
    step_cm = DEPTH_MM / (N_DEPTHS - 1) / 10
    lost = 2 * FREQUENCY_MHZ * step_cm * np.cumsum(loss[organs], axis=0)
    return echo[organs], lost


def envelope_db(
    organs: np.ndarray,
    fat_percent: float,
    rng: np.random.Generator,
    *,
    shape: float = _UNCLUSTERED,
    length_mm: float = 0.5,
    scanner: Scanner | None = None,
) -> np.ndarray:
    """Echoes of scatterers under a beam that widens with depth, compensated for depth.

    envelope = |h * (√(gamma texture · 10^(dB/10)) · complex Gaussian)|, which is K-distributed where the texture varies
    more slowly than the beam h, and Rayleigh-distributed (mean over standard deviation 1.91) without texture.

    Args:
        organs: Organ map, shape (N_DEPTHS, N_BEAMS).
        fat_percent: Of the liver.
        rng: Of the scatterers.
        shape: Of the gamma texture of the liver, mean 1; from 1000 on there is none.
        length_mm: Its correlation length, FWHM.
        scanner: Gain; default: as nominal.
    Returns:
        Same shape, float32, dB over the mean echo of a liver without fat.
    Source: Jakeman and Pusey 1976, doi:10.1109/TAP.1976.1141451; Shankar 2000, doi:10.1109/58.842062.
    """
    echo, lost = tissue_db(organs, fat_percent)
    scatterers = rng.standard_normal((2, *organs.shape), dtype=np.float32)
    scatterers = (scatterers[0] + 1j * scatterers[1]) * np.float32(np.sqrt(0.5))
    if shape < _UNCLUSTERED:
        clusters = _gamma_texture(organs.shape, shape, length_mm, rng)
        scatterers *= np.where(organs == LIVER, np.sqrt(clusters), np.float32(1))
    scatterers *= 10 ** (echo / 20)
    lateral = np.interp(depths_mm(), (0, DEPTH_MM), _LATERAL_FWHM_MM)
    received = _blurred(scatterers, _AXIAL_FWHM_MM, lateral) * 10 ** (-lost / 20)
    noise = rng.standard_normal((2, *organs.shape), dtype=np.float32)
    received += (noise[0] + 1j * noise[1]) * np.float32(np.sqrt(0.5) * 10 ** (_NOISE_DB / 20))
    gain = (scanner or Scanner()).gain_at_depth_db()[:, None]
    return (20 * np.log10(np.maximum(np.abs(received), 1e-9)) + gain).astype(np.float32)


def log_compressed(db: np.ndarray, size: int) -> np.ndarray:
    """The picture of the echoes: scan conversion and 60 dB from black to white.

    Args:
        db: Shape (N_DEPTHS, N_BEAMS), as of :func:`envelope_db`.
        size: Rows, and columns.
    Returns:
        Shape (size, size), uint8; 0 outside the sector, and nowhere in it.
    """
    indices, inside = picture_coordinates(size)
    grey = np.clip((db - _TOP_DB) / DYNAMIC_RANGE_DB + 1, 0, 1) * 255
    converted = ndimage.map_coordinates(grey, indices[:, inside], order=1, mode="nearest")
    picture = np.zeros(inside.shape, np.uint8)
    picture[inside] = np.maximum(np.round(converted), 1).astype(np.uint8)
    return picture


def _gamma_texture(shape: tuple[int, int], gamma_shape: float, length_mm: float, rng) -> np.ndarray:
    """Gamma variates of mean 1 whose underlying Gaussian field has the given FWHM, float32."""
    field = _blurred(rng.standard_normal(shape, dtype=np.float32), length_mm, np.full(shape[0], length_mm))
    scores = np.linspace(-5, 5, 401)
    quantiles = special.gammaincinv(gamma_shape, special.ndtr(scores)) / gamma_shape
    return np.interp(field.real, scores, quantiles).astype(np.float32)


def _blurred(field: np.ndarray, axial_mm: float, lateral_mm: np.ndarray) -> np.ndarray:
    """White noise under a Gaussian of the given FWHM in depth, and across the beams at each depth; power is kept."""
    axial, lateral = _transfer(axial_mm, tuple(lateral_mm.tolist()), field.shape)
    spectrum = fft.fft(field, axis=0) * axial
    spectrum = fft.fft(fft.ifft(spectrum, axis=0), axis=1) * lateral
    return fft.ifft(spectrum, axis=1)


@lru_cache(maxsize=4)
def _transfer(axial_mm: float, lateral_mm: tuple[float, ...], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Transfer functions of mean power 1, in depth and across."""
    step = DEPTH_MM / (N_DEPTHS - 1)
    axial = _gaussian(np.array([axial_mm / step]), shape[0]).T
    return axial, _gaussian(np.array(lateral_mm) / beam_distances_mm(), shape[1])


def _gaussian(fwhm: np.ndarray, n: int) -> np.ndarray:
    """Transfer functions of Gaussians, shape (n_widths, n), float32, for FWHM in samples."""
    std = fwhm[:, None] / _FWHM_PER_STD
    transfer = np.exp(-2 * (np.pi * std * np.fft.fftfreq(n)) ** 2)
    return (transfer / np.sqrt(np.mean(transfer**2, axis=1, keepdims=True))).astype(np.float32)
