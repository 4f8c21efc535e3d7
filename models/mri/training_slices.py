"""Simulated slices to train on: parameter maps made once, acquired anew at every draw.

A bank holds what does not depend on the scan: water, fat, field in ppm and R2* at 1.5 T of abdomens and vials.
A draw turns and scales them, adds a smooth field and coil phase, chooses field strength, echoes and noise, and computes
the signal. The truth goes along for tests and calibration; unsupervised training does not look at it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..units import ppm_to_hz
from .cramer_rao import cramer_rao_bound
from .fat_spectra import get_spectrum
from .phantom import REFERENCE_FIELD_T, default_echo_times_s, make_phantom
from .signal_model import multi_echo_signal

PROTOCOLS = ("any", "paper", "six_echoes")
"""Any 3 to 16 echoes at 0.3 to 3 T; 1.5 T with six echoes of drawn times; 1.5 T with the six echoes 1.3 + 2.1k ms."""
SPECTRUM = "hamilton_2011"
"""Fat spectrum of the simulated signal."""
SIMULATED_AT = np.array([1.3e-3, 3.4e-3, 5.5e-3])
"""Echoes of the simulations whose maps alone are kept, seconds."""
VIALS_EVERY = 8
"""One slice in so many holds vials."""
MAX_BOUND_POINTS = 12.0
"""A drawn protocol whose bound of PDFF at FF 20 %, R2* 40/s and SNR 50 is larger cannot tell water from fat."""
SNR_RANGE = (10.0, 150.0)
"""Of the mean tissue, drawn evenly on a logarithmic scale."""


@dataclass(frozen=True)
class TrainingSlice:
    """One acquired slice, its signal divided by its maximum, and its truth."""

    signal: np.ndarray
    """Complex signal with noise, shape (n_echoes, x, y), complex64, largest magnitude 1."""
    echo_times_s: np.ndarray
    """Shape (n_echoes,), seconds."""
    field_strength_t: float
    """Tesla."""
    noise_std: float
    """Of a real channel, units of ``signal``."""
    water: np.ndarray
    """Water at TE = 0, shape (x, y), units of ``signal``."""
    fat: np.ndarray
    """Fat at TE = 0, shape (x, y), units of ``signal``."""
    field_map_hz: np.ndarray
    """Off-resonance, shape (x, y), Hz."""
    r2_star_per_s: np.ndarray
    """R2*, shape (x, y), 1/s."""
    body_mask: np.ndarray
    """True where tissue gives signal, shape (x, y)."""


class SliceBank:
    """Maps of simulated slices, shape (n_slices, 5, x, y): water, fat, field (ppm), R2* (1/s at 1.5 T), body."""

    def __init__(self, maps: np.ndarray):
        self.maps = maps

    def __len__(self) -> int:
        return len(self.maps)

    @classmethod
    def simulate(cls, n_slices: int, seed: int, size: int = 192, progress=None) -> SliceBank:
        """Simulate livers from below and in the dome, fatty and iron-loaded, and now and then vials.

        Args:
            n_slices: How many; about a second each.
            seed: Of everything that is drawn.
            size: Voxels along x and y.
            progress: Called as progress(done, total).
        """
        rng = np.random.default_rng([seed, 1])
        maps = np.zeros((n_slices, 5, size, size), np.float32)
        for k in range(n_slices):
            options = {"snr": None, "echo_times_s": SIMULATED_AT, "size": size, "seed": int(rng.integers(2**31))}
            if k % VIALS_EVERY == VIALS_EVERY - 1:
                _, truth = make_phantom("vials", background=str(rng.choice(["water", "air"])), **options)
            else:
                fat = float(rng.choice([rng.uniform(0, 12), rng.uniform(0, 50)]))
                rate = float(np.exp(rng.uniform(np.log(20), np.log(320))))
                _, truth = make_phantom("liver", dome=k % 2 == 0, pdff_percent=fat, r2_star_per_s=rate, **options)
            body = np.isfinite(truth.r2_star_per_s[..., 0])
            field_ppm = truth.field_map_hz[..., 0] / ppm_to_hz(1.0, REFERENCE_FIELD_T)
            rate_map = np.where(body, truth.r2_star_per_s[..., 0], 0)
            maps[k] = truth.water[..., 0], truth.fat[..., 0], field_ppm, rate_map, truth.body_mask[..., 0]
            if progress:
                progress(k + 1, n_slices)
        return cls(maps)

    def save(self, path: Path) -> None:
        """Write the maps as one ``.npy``, whole or not at all."""
        partial = Path(f"{path}.partial")
        with partial.open("wb") as target:
            np.save(target, self.maps)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> SliceBank:
        """Read what :meth:`save` wrote; the maps stay on disk until they are drawn."""
        return cls(np.load(path, mmap_mode="r", allow_pickle=False))

    def draw(
        self, rng: np.random.Generator, protocol: str | tuple[float, np.ndarray] = "any", crop: int | None = None
    ) -> TrainingSlice:
        """Acquire a random slice.

        Args:
            rng: Of everything that is drawn.
            protocol: One of :data:`PROTOCOLS`, or the field strength in tesla and echo times in seconds.
            crop: Side of a random square that is cut out, voxels.
        Raises:
            UnsuitableInputError: unknown protocol.
        """
        field_strength_t, times = draw_protocol(rng, protocol) if isinstance(protocol, str) else protocol
        maps = _turned(np.asarray(self.maps[rng.integers(len(self.maps))]), rng)
        water, fat, field_ppm, rate, body = _cropped(maps, crop, rng)
        field_ppm = field_ppm * rng.uniform(0.7, 1.4) + _smooth(rng, body.shape, 0.7) + rng.uniform(-1.5, 1.5)
        field_hz = ppm_to_hz(field_ppm, field_strength_t).astype(np.float32)
        rate = (rate * rng.uniform(0.7, 1.4) * field_strength_t / REFERENCE_FIELD_T).astype(np.float32)
        coil = np.exp(1j * (rng.uniform(-np.pi, np.pi) + _smooth(rng, body.shape, 1.0))).astype(np.complex64)
        shading = np.exp(_smooth(rng, body.shape, 0.2)).astype(np.float32)
        water, fat = water * shading, fat * shading
        signal = multi_echo_signal(
            water * coil, fat * coil, field_hz, rate, times, field_strength_t, get_spectrum(SPECTRUM)
        )
        signal = (signal * _dephasing(field_hz, times)).astype(np.complex64)
        tissue = (water + fat)[body > 0]
        level = float(tissue.mean()) if tissue.size else float(max((water + fat).max(), 1.0))
        noise_std = level / float(np.exp(rng.uniform(*np.log(SNR_RANGE))))
        noise = rng.standard_normal((2, *signal.shape), dtype=np.float32)
        signal = signal + np.float32(noise_std) * (noise[0] + 1j * noise[1])
        scale = np.float32(1 / np.abs(signal).max())
        return TrainingSlice(
            signal=(signal * scale).astype(np.complex64),
            echo_times_s=times,
            field_strength_t=field_strength_t,
            noise_std=noise_std * float(scale),
            water=water * scale,
            fat=fat * scale,
            field_map_hz=field_hz,
            r2_star_per_s=rate,
            body_mask=body > 0,
        )


def draw_protocol(rng: np.random.Generator, protocol: str) -> tuple[float, np.ndarray]:
    """Field strength in tesla and echo times in seconds.

    Raises:
        UnsuitableInputError: unknown protocol.
    """
    if protocol == "six_echoes":
        return 1.5, default_echo_times_s(1.5)
    if protocol == "paper":
        return 1.5, rng.uniform(1.0e-3, 2.4e-3) + (rng.uniform(1.6e-3, 2.6e-3) + rng.normal(0, 1e-4)) * np.arange(6)
    if protocol != "any":
        raise UnsuitableInputError(
            f"Training slices need one of the protocols {', '.join(PROTOCOLS)}; found {protocol!r}."
        )
    while True:
        b0 = float(rng.choice([1.5, 3.0])) if rng.random() < 0.9 else float(np.exp(rng.uniform(np.log(0.3), np.log(3))))
        n_echoes = int(rng.choice([3, 4, 5, 6, 6, 6, 8, 10, 12, 16]))
        # Water and fat turn against each other with the field, so echo spacing follows 1/B0 as protocols do.
        step = rng.uniform(0.9e-3, 3.3e-3) * (1.5 / b0) ** 0.7
        times = rng.uniform(0.8e-3, 2.6e-3) * min(1.5 / b0, 1.5) ** 0.3 + step * np.arange(n_echoes)
        if rng.random() < 0.3:
            times = times + rng.uniform(-0.25, 0.25, n_echoes) * step
        if times[0] > 0.5e-3 and np.diff(times).min() > 0.4e-3 and times[-1] < 0.04 and _can_separate(times, b0):
            return b0, times


def _can_separate(times, field_strength_t) -> bool:
    if times.size == 3:  # R2* is not fitted then.
        basis = np.stack([np.ones(3), np.exp(-2j * np.pi * ppm_to_hz(3.4, field_strength_t) * times)], axis=1)
        return bool(np.linalg.cond(basis) < 3.0)
    bound = cramer_rao_bound(0.2, 40.0, times, field_strength_t, get_spectrum(SPECTRUM), 50.0)
    return bound["pdff_std_percent"] < MAX_BOUND_POINTS


def _turned(maps, rng):
    maps = np.rot90(maps, int(rng.integers(4)), axes=(1, 2))
    return maps[:, ::-1] if rng.random() < 0.5 else maps


def _cropped(maps, crop, rng):
    if crop is None or crop >= min(maps.shape[1:]):
        return maps
    x, y = (int(rng.integers(n - crop + 1)) for n in maps.shape[1:])
    return maps[:, x : x + crop, y : y + crop]


def _smooth(rng, shape, amplitude):
    """A random quadratic over the image; its coefficients have this standard deviation."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    c = rng.normal(0, amplitude, 5).astype(np.float32)
    return c[0] * x + c[1] * y + 0.7 * (c[2] * x * x + c[3] * y * y + c[4] * x * y)


def _dephasing(field_hz, times):
    """Mean of e^{i2πψt} over a voxel across which the field changes linearly, relative to its centre."""
    along_x, along_y = np.gradient(field_hz)
    t = times[:, None, None]
    return (np.sinc(along_x * t) * np.sinc(along_y * t)).astype(np.float32)
