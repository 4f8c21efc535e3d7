"""The field map of a whole study: each slice by graph cuts, then the slices brought into agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.restoration import unwrap_phase

from ..units import ppm_to_hz
from .field_candidates import Candidates, basin_cost, find_candidates
from .graph_cut import EXPANSIONS, FieldEnergy, link_neighbours
from .noise import background_variance, signal_energy, tissue_mask

SMOOTHNESS_PER_PPM = 6.0
"""Cost of a field difference of 1 ppm between adjacent voxels, in nats. Liver fields differ by some 0.02 ppm a voxel,
so this leaves the decision to the data wherever several voxels agree. Chosen on simulated livers of seeds 100 to
111."""
HUBER_PPM = 0.1
"""Field difference between neighbours up to which the cost is quadratic, ppm: the slope of a field under the lung's
dome."""
MAX_SLICE_COUPLING = 0.2
"""Largest weight of the link between slices relative to that within; it is the ratio of the voxel sizes below that."""
SLICE_SWEEPS = 2
"""Sweeps over a volume after each slice was solved alone."""
CONSTANT_RANGE_PPM = 3.0
"""Half range of the constant fields proposed when echoes are not equally spaced, ppm."""


@dataclass
class _Slice:
    mask: np.ndarray
    candidates: Candidates
    energy: FieldEnergy
    own_cost: np.ndarray
    labels: np.ndarray

    def field(self):
        """Field in the shape of the slice, NaN outside tissue, Hz."""
        field = np.full(self.mask.shape, np.nan, np.float32)
        field[self.mask] = self.energy.field(self.labels)
        return field


@dataclass(frozen=True)
class FieldStart:
    """Field and R2* of one slice's tissue voxels, in the right basin, to be refined."""

    mask: np.ndarray
    """Tissue voxels, shape (x, y)."""
    field_map_hz: np.ndarray
    """Shape (n_voxels,)."""
    r2_star_per_s: np.ndarray
    """Shape (n_voxels,)."""


def solve_field(study, basis, variance, fixed_r2_star_per_s=None, on_slice=lambda: None) -> list[FieldStart]:
    """Choose every tissue voxel's field.

    Args:
        study: In the model's sign of precession.
        basis: [1, a(t)], shape (n_echoes, 2).
        variance: Of the noise of a real channel.
        fixed_r2_star_per_s: R2* when it is not estimated.
        on_slice: Called after each slice of each sweep, :func:`n_steps` times in all.
    Returns:
        One start for each slice along z.
    """
    around = background_variance(signal_energy(study.signal), variance, study.signal.shape[0])
    slices = []
    for z in range(study.signal.shape[3]):
        slices.append(_prepare(study, z, basis, variance, around, fixed_r2_star_per_s))
        _minimise(slices[-1], study)
        on_slice()
    if len(slices) > 1:
        coupling = SMOOTHNESS_PER_PPM / ppm_to_hz(1.0, study.field_strength_t) * _slice_coupling(study.affine)
        for _ in range(SLICE_SWEEPS):
            for z, here in enumerate(slices):
                beside = [slices[k].field() for k in (z - 1, z + 1) if 0 <= k < len(slices)]
                here.energy.cost = here.own_cost + sum(_disagreement(here, field, coupling) for field in beside)
                _minimise(here, study)
                on_slice()
    return [
        FieldStart(s.mask, s.energy.field(s.labels), s.candidates.r2_star_per_s[s.labels, np.arange(s.labels.size)])
        for s in slices
    ]


def n_steps(n_slices) -> int:
    """How often :func:`solve_field` calls ``on_slice``."""
    return n_slices if n_slices == 1 else n_slices * (1 + SLICE_SWEEPS)


def _prepare(study, z, basis, variance, around, fixed_r2_star_per_s):
    signal = study.signal[..., z]
    n_echoes = signal.shape[0]
    energy = signal_energy(signal)
    mask = tissue_mask(energy, around, n_echoes) & ~study.unusable_mask[..., z]
    voxels = signal[:, mask]
    found = find_candidates(voxels, study.echo_times_s, study.field_strength_t, basis, fixed_r2_star_per_s)
    cost = basin_cost(found, energy[mask], variance, n_echoes, study.field_strength_t)
    one_ppm = ppm_to_hz(1.0, study.field_strength_t)
    links = link_neighbours(mask, SMOOTHNESS_PER_PPM / one_ppm)
    problem = FieldEnergy(found.field_map_hz, cost, links, found.period_hz, HUBER_PPM * one_ppm)
    return _Slice(mask, found, problem, cost, cost.argmin(axis=0))


def _minimise(here, study):
    period = here.candidates.period_hz
    if period:
        constants = np.arange(EXPANSIONS) * period / EXPANSIONS
    else:
        limit = ppm_to_hz(CONSTANT_RANGE_PPM, study.field_strength_t)
        constants = np.linspace(-limit, limit, EXPANSIONS)
    if here.mask.any():
        here.labels = here.energy.minimise(here.labels, constants)


def _disagreement(here, beside_hz, coupling):
    """Cost of each candidate for differing from the adjacent slice's field, 0 where that slice has no tissue."""
    target = beside_hz[here.mask]
    known = np.isfinite(target)
    difference = np.abs(here.energy.wrap(here.candidates.field_map_hz - np.where(known, target, 0)))
    bend = 2 * here.energy.huber_hz
    cost = np.where(difference < bend, difference**2 / (2 * bend), difference - bend / 2)
    return np.where(known, coupling * cost, 0).astype(np.float32)


def _slice_coupling(affine):
    x_mm, y_mm, z_mm = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    return min(MAX_SLICE_COUPLING, np.sqrt(x_mm * y_mm) / z_mm)


def unwrap_field(field_map_hz, mask, period_hz):
    """Remove the jumps of a field known modulo a period, and bring its median next to 0.

    Args:
        field_map_hz: Shape (x, y, z), Hz; ignored outside ``mask``.
        mask: Where the field is known.
        period_hz: 1/ΔTE.
    Returns:
        Field differing from the input by whole periods only, inside ``mask``.
    """
    phase = np.where(mask, field_map_hz, 0) * (2 * np.pi / period_hz)
    wrapped = np.ma.masked_array(np.angle(np.exp(1j * phase)), ~mask)
    squeezed = wrapped[..., 0] if wrapped.shape[2] == 1 else wrapped
    smooth = np.ma.getdata(unwrap_phase(squeezed, rng=0)).reshape(field_map_hz.shape) * (period_hz / (2 * np.pi))
    smooth = smooth - period_hz * np.round(np.median(smooth[mask]) / period_hz)
    return field_map_hz + period_hz * np.round((smooth - field_map_hz) / period_hz)
