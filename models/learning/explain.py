"""Where a network looked."""

from __future__ import annotations

import numpy as np


def grad_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Grad-CAM of one image: maps of a convolution, weighted by the mean gradient of the answer.

    L = ReLU(Σ_k α_k A_k), α_k = mean over places of ∂y/∂A_k, divided by its largest value.

    Args:
        maps: A_k, shape (n_channels, rows, columns).
        gradient: ∂y/∂A_k, same shape.
    Returns:
        Shape (rows, columns), float32, within [0, 1]; 0 everywhere when nothing spoke for the answer.
    Source: Selvaraju RR et al., ICCV 2017, 10.1109/ICCV.2017.74.
    """
    maps, gradient = np.asarray(maps, np.float32), np.asarray(gradient, np.float32)
    if maps.shape != gradient.shape or maps.ndim != 3:
        raise ValueError(f"Maps and gradient need one shape of three axes; found {maps.shape} and {gradient.shape}.")
    weight = gradient.mean(axis=(1, 2))
    cam = np.maximum(np.tensordot(weight, maps, axes=1), 0)
    largest = float(cam.max(initial=0))
    return (cam / largest if largest > 0 else cam).astype(np.float32)
