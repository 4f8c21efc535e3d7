"""One slice to be estimated, with everything its estimate depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .field_candidates import field_period_hz
from .noise import background_variance, degrees_of_freedom, signal_energy, tissue_mask


@dataclass(frozen=True)
class SliceProblem:
    """Signal, tissue and assumptions of one slice."""

    signal: np.ndarray
    """Complex, in the model's sign of precession, shape (n_echoes, x, y), complex64."""
    mask: np.ndarray
    """Tissue voxels, shape (x, y)."""
    echo_times_s: np.ndarray
    """Shape (n_echoes,), seconds."""
    field_strength_t: float
    """Tesla."""
    basis: np.ndarray
    """[1, a(t)], shape (n_echoes, 2)."""
    variance: float
    """Of the noise of a real channel, squared units of the signal."""
    fixed_r2_star_per_s: float | None = None
    """R2* when it is not estimated, 1/s."""

    @cached_property
    def voxels(self) -> np.ndarray:
        """Signal of the tissue voxels, shape (n_echoes, n_voxels)."""
        return np.ascontiguousarray(self.signal[:, self.mask])

    @property
    def period_hz(self) -> float | None:
        """1/ΔTE for equally spaced echoes, else None."""
        return field_period_hz(self.echo_times_s)

    @property
    def n_freedom(self) -> int:
        """Degrees of freedom of a voxel's fit."""
        return degrees_of_freedom(self.echo_times_s.size, self.fixed_r2_star_per_s is not None)


def slice_problems(study, basis, variance, fixed_r2_star_per_s=None) -> Iterator[SliceProblem]:
    """Every slice of a study along z.

    Args:
        study: In the model's sign of precession.
        basis: [1, a(t)], shape (n_echoes, 2).
        variance: Of the noise of a real channel.
        fixed_r2_star_per_s: R2* when it is not estimated.
    """
    n_echoes = study.echo_times_s.size
    around = background_variance(signal_energy(study.signal), variance, n_echoes)
    for z in range(study.signal.shape[3]):
        signal = study.signal[..., z]
        mask = tissue_mask(signal_energy(signal), around, n_echoes) & ~study.unusable_mask[..., z]
        yield SliceProblem(
            signal, mask, study.echo_times_s, study.field_strength_t, basis, variance, fixed_r2_star_per_s
        )
