"""What a study does not say about how it was acquired, found from the signal: precession and readout polarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .field_candidates import best_fit
from .noise import signal_energy

SAMPLED_VOXELS = 1500
"""Voxels looked at, every so-manieth of the bright ones, so the same study gives the same answer."""
BRIGHT_FRACTION = 0.1
"""Energy of a bright voxel over the 99th percentile of all."""
DECIDED_RATIO = 2.0
"""Evidence ratio from which the sign of precession is called found."""
CONTRADICTED_RATIO = 3.0
"""Evidence ratio from which a declared sign is called into question."""
REFUTED_RATIO = 10.0
"""Evidence ratio from which a study that declares the other sign is refused: its PDFF would be far off everywhere."""
BIPOLAR_RATIO = 0.7
"""Residual with an odd/even phase over that without, below which a readout is called bipolar."""
MIN_BIPOLAR_PHASE_RAD = 0.02
"""Smallest odd/even phase that matters: about 0.1 points of PDFF at 1.5 T."""
MIN_BIPOLAR_ECHOES = 4
"""An odd/even phase is one more unknown; three echoes do not determine it."""
PHASE_SCANS = ((np.pi / 4, 12, True), (0.08, 5, False))
"""Half width in radians, steps and whether it closes, of the scans over the odd/even phase; beyond ±π/4 it equals
another phase and half a period of the field."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Precession:
    """Which sign the phase has."""

    sign: int
    """+1: as our model; -1: its conjugate."""
    basis: str
    """"given", "found" or "undecided"."""
    evidence_ratio: float
    """Relative residual that this sign saves where it fits better, over what it costs where it fits worse: 1 is no
    evidence."""


@dataclass(frozen=True)
class OddEvenPhase:
    """Phase that alternates with the echo, linear in space: +θ on the first, -θ on the second …"""

    offset_rad: float
    """θ at the centre of the image."""
    slope_rad_per_voxel: tuple[float, float, float]
    """Change of θ along each index."""
    residual_ratio: float
    """Residual with this phase over that without."""

    def at(self, shape):
        """θ over an image of a shape, radians."""
        axes = [np.arange(n) - (n - 1) / 2 for n in shape]
        x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
        slope = self.slope_rad_per_voxel
        return (self.offset_rad + slope[0] * x + slope[1] * y + slope[2] * z).astype(np.float32)

    def remove_from(self, signal):
        """Signal without the alternation, shape (n_echoes, x, y, z)."""
        turn = np.exp(-1j * self.at(signal.shape[1:])).astype(np.complex64)
        return np.stack([echo * (turn if k % 2 == 0 else turn.conj()) for k, echo in enumerate(signal)])


def _bright_sample(study):
    energy = signal_energy(study.signal).ravel()
    bright = np.flatnonzero(energy > BRIGHT_FRACTION * np.quantile(energy, 0.99))
    voxels = bright[:: max(1, bright.size // SAMPLED_VOXELS)]
    return voxels, study.signal.reshape(study.signal.shape[0], -1)[:, voxels]


def find_precession(study, basis, fixed_r2_star_per_s=None, odd_even=lambda study: None) -> Precession:
    """Compare how well the signal and its conjugate fit, voxel by voxel: pure water fits both, mixtures and fat only
    one.

    Args:
        study: Complex-valued.
        basis: [1, a(t)], shape (n_echoes, 2).
        fixed_r2_star_per_s: R2* when it is not estimated: with it free, three echoes fit either sign exactly.
        odd_even: Finds the odd/even phase of a study, to be removed from both versions before they are compared.
    Returns:
        The declared sign if there is one, with the evidence; else the better one.
    """
    residuals, energy = [], None
    for version in (study, study.with_fields(signal=study.signal.conj())):
        phase = odd_even(version)
        if phase is not None:
            version = version.with_fields(signal=phase.remove_from(version.signal))
        _, signal = _bright_sample(version)
        residuals.append(_best_residual(signal, study, basis, fixed_r2_star_per_s))
        energy = signal_energy(signal)
    saved = (residuals[1] - residuals[0]) / np.maximum(energy, _TINY)
    evidence = (np.clip(saved, 0, None).sum() + _TINY) / (np.clip(-saved, 0, None).sum() + _TINY)
    if study.precession is not None:
        return Precession(study.precession, "given", float(evidence**study.precession))
    better = 1 if evidence >= 1 else -1
    if evidence**better < DECIDED_RATIO:
        return Precession(1, "undecided", float(evidence))
    return Precession(better, "found", float(evidence**better))


def _best_residual(signal, study, basis, fixed_r2_star_per_s=None):
    signal = signal.astype(np.complex64)
    return best_fit(signal, study.echo_times_s, study.field_strength_t, basis, fixed_r2_star_per_s).residual


def find_odd_even_phase(study, basis) -> OddEvenPhase | None:
    """Fit the phase that opposite readouts leave on odd and even echoes.

    Each sampled voxel's residual is scanned over θ; a plane is fitted to 4θ, which is unambiguous for equally spaced
    echoes.

    Args:
        study: In the model's sign of precession.
        basis: [1, a(t)], shape (n_echoes, 2).
    Returns:
        The phase, or None with fewer than four echoes.
    Source: Lu W et al., MRM 2008, 10.1002/mrm.21583 (bipolar multi-echo water and fat).
    """
    if study.echo_times_s.size < MIN_BIPOLAR_ECHOES:
        return None
    voxels, signal = _bright_sample(study)
    shape = study.signal.shape[1:]
    place = np.stack(np.unravel_index(voxels, shape)) - (np.array(shape)[:, None] - 1) / 2
    plane = np.zeros(4)
    for half_width, n_steps, is_cyclic in PHASE_SCANS:
        centre = plane[0] + plane[1:] @ place
        trials = half_width * np.linspace(-1, 1, n_steps, endpoint=not is_cyclic)
        cost = np.stack([_residual_at(signal, centre + trial, study, basis) for trial in trials])
        best = cost.argmin(axis=0) if is_cyclic else np.clip(cost.argmin(axis=0), 1, n_steps - 2)
        theta = centre + trials[best] + _parabola_offset(cost, best) * (trials[1] - trials[0])
        contrast = 1 - cost.min(axis=0) / np.maximum(cost.max(axis=0), _TINY)
        plane = _fit_plane_modulo(theta, place, contrast * signal_energy(signal), shape, plane)
    plane[0] += _offset_of_least_residual(signal, plane[0] + plane[1:] @ place, study, basis)
    corrected = _residual_at(signal, plane[0] + plane[1:] @ place, study, basis)
    uncorrected = _residual_at(signal, 0.0, study, basis)
    ratio = float(np.median(corrected / np.maximum(uncorrected, _TINY)))
    return OddEvenPhase(float(plane[0]), tuple(float(s) for s in plane[1:]), ratio)


def _residual_at(signal, theta, study, basis):
    """Residual of each voxel's best basin with θ removed."""
    alternating = np.where(np.arange(signal.shape[0]) % 2 == 0, 1.0, -1.0)[:, None]
    return _best_residual(signal * np.exp(-1j * alternating * theta), study, basis)


def _offset_of_least_residual(signal, theta, study, basis):
    """Bottom of the parabola through the total residual: least squares over all voxels at once."""
    step = PHASE_SCANS[-1][0] / 2
    cost = [_residual_at(signal, theta + change, study, basis).sum(dtype=np.float64) for change in (-step, 0, step)]
    return step * float(_parabola_offset(np.array(cost)[:, None], np.array([1]))[0])


def _parabola_offset(cost, best):
    below, above = (np.take_along_axis(cost, ((best + s) % len(cost))[None], axis=0)[0] for s in (-1, 1))
    middle = np.take_along_axis(cost, best[None], axis=0)[0]
    bend = below - 2 * middle + above
    return np.clip(np.where(bend > 0, 0.5 * (below - above) / np.where(bend > 0, bend, 1), 0), -1, 1)


def _fit_plane_modulo(theta, place, weight, shape, start):
    """Plane c0 + c·r through angles known modulo π/2: the phasor's mean, then least squares of what is left."""
    design = np.vstack([np.ones(theta.size), place])
    plane = start.copy()
    extent = np.array([1.0, *np.maximum(np.array(shape) - 1, 0)]) > 0
    for _ in range(10):
        left = np.exp(4j * (theta - plane @ design))
        shift = np.angle(np.sum(weight * left)) / 4
        plane[0] += shift
        rest = np.angle(left * np.exp(-4j * shift)) / 4
        robust = weight / (1 + (rest / 0.1) ** 2)
        rows = design[extent]
        change, *_ = np.linalg.lstsq((rows * np.sqrt(robust)).T, np.sqrt(robust) * rest, rcond=None)
        plane[extent] += change
    return plane
