"""The off-resonance that tissues and air cause, and what a scanner's shim leaves of it."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy import ndimage


def dipole_field_ppm(
    susceptibility_ppm: np.ndarray, spacing_mm: tuple[float, float, float], b0_direction: np.ndarray
) -> np.ndarray:
    """Relative field shift seen by protons inside weakly magnetic material, Lorentz sphere included.

    ΔB/B0 = F⁻¹[(1/3 - (k·b)²/|k|²)·F[χ]]; a uniform infinite medium shifts nothing, which is what a scanner's centre
    frequency makes of it.

    Args:
        susceptibility_ppm: Volume susceptibility (SI), shape (x, y, z), ppm; its edge values must fit together
            periodically (pad with what surrounds the object).
        spacing_mm: Voxel size along each axis, mm.
        b0_direction: Unit vector of the main field in the array's axes, shape (3,).
    Returns:
        ppm of the main field, shape (x, y, z), float32.
    Source: Marques and Bowtell, Concepts Magn Reson B 2005, 10.1002/cmr.b.20034, eq. 3.
    """
    shape = susceptibility_ppm.shape
    frequencies = [scipy.fft.fftfreq(n, d).astype(np.float32) for n, d in zip(shape[:2], spacing_mm[:2], strict=True)]
    frequencies.append(scipy.fft.rfftfreq(shape[2], spacing_mm[2]).astype(np.float32))
    k = np.meshgrid(*frequencies, indexing="ij", sparse=True)
    squared = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
    along = sum(k_axis * np.float32(b) for k_axis, b in zip(k, b0_direction, strict=True))
    squared[0, 0, 0] = 1.0
    kernel = np.float32(1 / 3) - along**2 / squared
    kernel[0, 0, 0] = 0.0
    spectrum = scipy.fft.rfftn(susceptibility_ppm.astype(np.float32))
    return scipy.fft.irfftn(spectrum * kernel, s=shape).astype(np.float32)


def surface_jump(susceptibility_ppm: np.ndarray, b0_direction: np.ndarray) -> np.ndarray:
    """How much of a step in susceptibility the field steps by at the nearest surface.

    1/3 - cos²θ, θ the angle between the surface's normal and B0: 1/3 across a wall along B0, -2/3 across one that faces
    it. Far from surfaces, where it does not matter, 1/3.

    Args:
        susceptibility_ppm: Shape (x, y, z) on an isotropic grid, ppm.
        b0_direction: Unit vector of the main field in the array's axes, shape (3,).
    Returns:
        Shape (x, y, z), float32.
    """
    gradient = [ndimage.gaussian_filter1d(susceptibility_ppm, 1.0, axis=axis, order=1) for axis in range(3)]
    squared = gradient[0] ** 2 + gradient[1] ** 2 + gradient[2] ** 2
    along = sum(g * np.float32(b) for g, b in zip(gradient, b0_direction, strict=True))
    return (np.float32(1 / 3) - along**2 / (squared + np.float32(0.01))).astype(np.float32)


def shim_terms(coordinates: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Polynomials up to second order, as a scanner's shim coils make them.

    Args:
        coordinates: x, y, z of the same n points, each of shape (n,), scaled to about ±1.
    Returns:
        Shape (n, 10).
    """
    x, y, z = (np.asarray(c, dtype=np.float64).ravel() for c in coordinates)
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x, y * y, z * z], axis=1)


def shim_coefficients(field_ppm: np.ndarray, coordinates: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Least-squares shim over the points given.

    Args:
        field_ppm: Field at the points, shape (n,), ppm.
        coordinates: As for :func:`shim_terms`.
    Returns:
        Shape (10,); subtract ``shim_terms(...) @ coefficients``.
    """
    terms = shim_terms(coordinates)
    return np.linalg.lstsq(terms.T @ terms, terms.T @ np.asarray(field_ppm, dtype=np.float64).ravel(), rcond=None)[0]
