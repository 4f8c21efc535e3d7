"""One complex image from those of several receiver coils."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

_ITERATIONS = 4
_WINDOW = 7
"""Side of the in-plane window over which coil sensitivities are taken as constant, pixels."""


def combine_coils(images: np.ndarray) -> np.ndarray:
    """Adaptive coil combination: the matched filter to sensitivities estimated from all echoes.

    s(t) = Σ_c conj(v_c) s_c(t), with v the dominant eigenvector of the local coil covariance Σ_t s s^H, found by power
    iteration in a sliding window. v is the same for every echo, so the combination is linear in the images: noise stays
    Gaussian and the phase evolution over echoes is untouched. Its phase is continuous, that of the strongest coil.

    Args:
        images: Shape (n_echoes, n_coils, x, y, z), complex.
    Returns:
        Shape (n_echoes, x, y, z), complex64.
    Source: Walsh et al. 2000, doi:10.1002/(SICI)1522-2594(200005)43:5<682::AID-MRM10>3.0.CO;2-G.
    """
    n_echoes, n_coils, *shape = images.shape
    combined = np.empty((n_echoes, *shape), dtype=np.complex64)
    usable = np.where(np.isfinite(images), images, 0)
    reference = int(np.argmax((np.abs(usable) ** 2).sum(axis=(0, 2, 3, 4))))
    for z in range(shape[-1]):
        slice_ = usable[..., z].astype(np.complex64)
        estimate = slice_[:, reference]
        for _ in range(_ITERATIONS):
            sensitivity = np.stack([_smooth((slice_[:, c] * estimate.conj()).sum(axis=0)) for c in range(n_coils)])
            length = np.sqrt((np.abs(sensitivity) ** 2).sum(axis=0))
            sensitivity = sensitivity / np.where(length > 0, length, 1)
            estimate = (sensitivity.conj()[None] * slice_).sum(axis=1)
        combined[..., z] = (sensitivity.conj()[None] * images[..., z]).sum(axis=1)
    return combined


def _smooth(image: np.ndarray) -> np.ndarray:
    return uniform_filter(image.real, _WINDOW) + 1j * uniform_filter(image.imag, _WINDOW)
