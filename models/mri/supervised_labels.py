"""Labelled slices for the compared networks: simulated scans, and what our graph cut says of them, never the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..io.study import MultiEchoStudy
from .fat_spectra import get_spectrum
from .least_squares import solve_water_fat
from .pdff import estimate
from .pdff_options import PdffOptions
from .signal_model import design_matrix, multi_echo_signal
from .supervised import as_channels
from .training_slices import SPECTRUM, SliceBank, TrainingSlice, draw_protocol

EXTRA_NOISE = 1.0
"""Noise added at every draw, at most, in standard deviations of that already there."""
MAX_LABEL = 1.4
"""Sum of water and fat beyond which a label is noise at the edge of tissue, units of the slice's largest signal."""
MAX_LABEL_R2_STAR_PER_S = 600.0
"""The same for R2*: the most iron that the simulations hold gives 450."""


@dataclass(frozen=True)
class LabelledSlice:
    """A simulated scan of one slice and the graph cut's answer; arrays of shape (x, y) unless said otherwise."""

    signal: np.ndarray
    """Complex with noise, shape (n_echoes, x, y), complex64, largest magnitude 1."""
    echo_times_s: np.ndarray
    """Shape (n_echoes,), seconds."""
    field_strength_t: float
    """Tesla."""
    noise_std: float
    """Of a real channel, units of ``signal``."""
    water: np.ndarray
    """Complex water at TE = 0, complex64; 0 outside ``valid_mask``."""
    fat: np.ndarray
    """Complex fat at TE = 0, complex64; 0 outside ``valid_mask``."""
    r2_star_per_s: np.ndarray
    """R2*, 1/s; 0 outside ``valid_mask``."""
    field_map_hz: np.ndarray
    """Off-resonance, Hz; 0 outside ``valid_mask``."""
    valid_mask: np.ndarray
    """True where there is a label."""


def label_slice(drawn: TrainingSlice) -> LabelledSlice:
    """Ask the graph cut; the phase of water and fat follows by least squares with its field and R2*."""
    study = MultiEchoStudy(
        signal=drawn.signal[..., None],
        echo_times_s=drawn.echo_times_s,
        field_strength_t=drawn.field_strength_t,
        affine=np.eye(4),
        unusable_mask=np.zeros((*drawn.signal.shape[1:], 1), bool),
        precession=1,
        is_bipolar=False,
        is_simulated=True,
    )
    maps = estimate(study, method="graph_cut", options=PdffOptions(spectrum=SPECTRUM, readout="unipolar"))
    valid = maps.valid_mask[..., 0] & (maps.r2_star_per_s[..., 0] < MAX_LABEL_R2_STAR_PER_S)
    valid &= (maps.water + maps.fat)[..., 0] < MAX_LABEL
    rate, field = (np.where(valid, values[..., 0], 0) for values in (maps.r2_star_per_s, maps.field_map_hz))
    basis = design_matrix(drawn.echo_times_s, drawn.field_strength_t, get_spectrum(SPECTRUM))
    water, fat = np.zeros((2, *valid.shape), np.complex64)
    water[valid], fat[valid] = solve_water_fat(
        drawn.signal[:, valid], drawn.echo_times_s, basis, field[valid], rate[valid]
    )
    return LabelledSlice(
        signal=drawn.signal,
        echo_times_s=drawn.echo_times_s,
        field_strength_t=drawn.field_strength_t,
        noise_std=drawn.noise_std,
        water=water,
        fat=fat,
        r2_star_per_s=rate,
        field_map_hz=field,
        valid_mask=valid,
    )


def label_slices(
    bank: SliceBank, n_slices: int, seed: int, protocol: str = "six_echoes", progress: Callable | None = None
) -> list[LabelledSlice]:
    """Draw slices from a bank and label them; some 0.4 s each at 192 x 192.

    Args:
        protocol: As :meth:`SliceBank.draw` takes it.
        progress: Called as progress(done, total).
    """
    found = []
    for k in range(n_slices):
        found.append(label_slice(bank.draw(np.random.default_rng([seed, k]), protocol)))
        if progress:
            progress(k + 1, n_slices)
    return found


def digest(labelled: list[LabelledSlice]) -> str:
    """Hex SHA-256 of the slices and their labels."""
    sha = hashlib.sha256()
    for item in labelled:
        for values in (item.signal, item.water, item.fat, item.r2_star_per_s, item.field_map_hz, item.valid_mask):
            sha.update(np.ascontiguousarray(values).tobytes())
    return sha.hexdigest()


@dataclass(frozen=True)
class Batch:
    """What a network is shown once."""

    echoes: np.ndarray
    """Shape (batch, n_echoes, 2, x, y), float32: real and imaginary part."""
    echo_times_s: np.ndarray
    """Shape (batch, n_echoes), float32."""
    labels: np.ndarray
    """Shape (batch, n_maps, x, y), float32, 1 being the map's scale."""
    valid: np.ndarray
    """Shape (batch, 1, x, y), bool."""


def make_batch(
    labelled: list[LabelledSlice],
    size: int,
    rng: np.random.Generator,
    scales: dict[str, float],
    *,
    draws_echo_times: bool,
    is_phase_relative: bool,
    crop: int | None = None,
) -> Batch:
    """Slices at random, cut, turned, flipped, turned in phase and made noisier; their labels stay.

    Args:
        scales: Name of each map that is learned, in order -> what 1 means.
        draws_echo_times: Compute the signal anew from the labels, at echo times drawn as those of the protocol "paper",
            which is how VET-Net is trained.
        is_phase_relative: As :func:`.supervised.as_channels` takes it.
        crop: Side of the square that is cut out, voxels; None: the whole slice.
    """
    parts = [
        _one(labelled[rng.integers(len(labelled))], rng, scales, draws_echo_times, is_phase_relative, crop)
        for _ in range(size)
    ]
    return Batch(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))


def _one(item, rng, scales, draws_echo_times, is_phase_relative, crop):
    times, noise_std = item.echo_times_s, item.noise_std * rng.uniform(0, EXTRA_NOISE)
    if draws_echo_times:
        field_strength_t, times = draw_protocol(rng, "paper")
        signal = multi_echo_signal(
            item.water,
            item.fat,
            item.field_map_hz,
            item.r2_star_per_s,
            times,
            field_strength_t,
            get_spectrum(SPECTRUM),
        )
        noise_std += item.noise_std
    else:
        signal = item.signal
    noise = rng.standard_normal((2, *signal.shape), dtype=np.float32)
    signal = signal + np.float32(noise_std) * (noise[0] + 1j * noise[1])
    scale = 1 / np.abs(signal).max()
    signal = signal * (scale * np.exp(1j * rng.uniform(-np.pi, np.pi)))
    maps = {
        "water": np.abs(item.water) * scale,
        "fat": np.abs(item.fat) * scale,
        "r2_star_per_s": item.r2_star_per_s,
        "field_map_hz": item.field_map_hz,
    }
    labels = np.stack([maps[name] / unit for name, unit in scales.items()]).astype(np.float32)
    turn = _drawn_turn(rng, item.valid_mask.shape, crop)
    return (
        as_channels(turn(signal), is_phase_relative),
        times.astype(np.float32),
        turn(labels),
        turn(item.valid_mask[None]),
    )


def _drawn_turn(rng, shape, crop):
    """A function that cuts, turns and flips any array of shape (…, x, y) in the same way."""
    turns, is_flipped = int(rng.integers(4)), bool(rng.random() < 0.5)
    sides = shape if crop is None else (crop, crop)
    x, y = (int(rng.integers(whole - side + 1)) for whole, side in zip(shape, sides, strict=True))

    def turn(values):
        turned = np.rot90(values[..., x : x + sides[0], y : y + sides[1]], turns, axes=(-2, -1))
        return turned[..., ::-1] if is_flipped else turned

    return turn
