"""From magnitude, phase, real and imaginary images of each echo to one complex study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import UnsuitableInputError
from .phase import unit_of_phase
from .study import MIN_ECHOES, MultiEchoStudy

EchoTimeUs = int
"""An echo time rounded to whole microseconds: equal times of different files compare equal."""

Loader = Callable[[], np.ndarray]
"""Reads one volume, shape (x, y, z), real or complex."""


@dataclass
class EchoImages:
    """The images of one acquisition: for each part (magnitude, phase …) and echo time, how to read its volume."""

    label: str
    """How to name it to the user."""
    volumes: Mapping[str, Mapping[EchoTimeUs, Loader]]
    """Part -> echo time in µs -> loader; parts are magnitude, phase, real, imaginary, complex."""
    echo_numbers: Mapping[EchoTimeUs, int] = field(default_factory=dict)
    """The scanner's number of each echo, where it gives one."""
    phase_unit: str | None = None
    """Unit of phase the files declare."""
    fields: dict = field(default_factory=dict)
    """Other fields of the study: affine, field_strength_t …"""
    fixes_alternating_slices: bool = False
    """Whether the scanner may alternate the sign of the complex signal from slice to slice (GE, 3-D)."""


def to_us(echo_time_s: float) -> EchoTimeUs:
    """Echo time in whole microseconds."""
    return round(echo_time_s * 1e6)


def in_ms(echo_time_us: EchoTimeUs) -> str:
    """An echo time as the user reads it."""
    return f"{echo_time_us / 1000:g} ms"


def used_parts(available) -> tuple[str, ...]:
    """Which parts a study is read from, given those that are there.

    Real and imaginary images are preferred to magnitude and phase, because their unit is never in doubt.

    Raises:
        UnsuitableInputError: phase, real or imaginary images whose counterpart is missing.
    """
    for parts in (("complex",), ("real", "imaginary"), ("magnitude", "phase"), ("magnitude",)):
        if set(parts) <= set(available):
            return parts
    needed = {"phase": "magnitude", "real": "imaginary", "imaginary": "real"}
    found = sorted(available)
    raise UnsuitableInputError(
        f"Complex images need both of their parts; found {' and '.join(found)} without {needed[found[0]]} images. "
        f"Export the {needed[found[0]]} images of every echo too."
    )


def check_echoes(images: EchoImages) -> tuple[EchoTimeUs, ...]:
    """The echo times, increasing, after checking that every part has every echo.

    Raises:
        UnsuitableInputError: fewer than three echoes, or one that is missing.
    """
    parts = used_parts(images.volumes)
    times = sorted(set().union(*(images.volumes[part] for part in parts)))
    for part in parts:
        missing = [time for time in times if time not in images.volumes[part]]
        if missing:
            raise UnsuitableInputError(
                f"Every echo needs its {part} image; {images.label} has none at {', '.join(map(in_ms, missing))} "
                "(other parts have that echo). Export every echo."
            )
    if len(times) < MIN_ECHOES:
        raise UnsuitableInputError(
            f"PDFF needs at least {MIN_ECHOES} echoes; {images.label} has {len(times)} "
            f"({', '.join(map(in_ms, times))}). Export every echo."
        )
    numbers = [images.echo_numbers.get(time) for time in times]
    if None not in numbers and len(set(numbers)) == len(numbers):
        absent = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
        if absent:
            raise UnsuitableInputError(
                f"Every echo of the train is needed; {images.label} has the echoes "
                f"{', '.join(map(str, sorted(numbers)))}, so echo {', '.join(map(str, absent))} is missing. Export "
                "every echo."
            )
    return tuple(times)


def build_study(images: EchoImages) -> MultiEchoStudy:
    """Read the volumes of an acquisition and validate them as one study.

    Raises:
        UnsuitableInputError: missing echoes, shapes that differ, phase of unknown unit.
    """
    times = check_echoes(images)
    parts = used_parts(images.volumes)
    first, *rest = (_stack(images, part, times) for part in parts)
    notes = tuple(images.fields.pop("warnings", ()))
    if parts == ("magnitude", "phase"):
        signal = _from_magnitude_and_phase(first, rest[0], images.phase_unit)
    elif parts == ("real", "imaginary"):
        signal = np.empty(first.shape, dtype=np.complex64)
        signal.real, signal.imag = first, rest[0]
    else:
        signal = first
    if images.fixes_alternating_slices and parts != ("magnitude",) and alternates_between_slices(signal):
        signal[..., 1::2] *= -1
        notes += (
            "The complex signal alternated its sign from slice to slice, as GE 3-D images may; it was corrected.",
        )
    first_number = images.echo_numbers.get(times[0])
    if first_number is not None and first_number > 1:
        notes += (f"The scanner numbered the first echo {first_number}: those before it are not among the images.",)
    if parts == ("magnitude",):
        notes += ("No phase images were found: the study holds magnitudes only.",)
    return MultiEchoStudy.from_echoes(
        signal,
        np.array(times, dtype=np.float64) / 1e6,
        is_magnitude_only=parts == ("magnitude",),
        warnings=notes,
        **images.fields,
    )


def alternates_between_slices(signal: np.ndarray) -> bool:
    """Whether every slice has the opposite sign of its neighbours, where both have signal.

    Args:
        signal: Shape (n_echoes, x, y, z), complex.
    """
    signal = np.where(np.isfinite(signal), signal, 0)
    product = (np.conj(signal[..., :-1]) * signal[..., 1:]).reshape(-1, max(signal.shape[-1] - 1, 0))
    strength = np.abs(product).sum(axis=0)
    seen = strength > 0
    return bool(seen.any() and np.all(product.real.sum(axis=0)[seen] < -0.5 * strength[seen]))


def _stack(images: EchoImages, part: str, times) -> np.ndarray:
    volumes = None
    for index, time in enumerate(times):
        volume = images.volumes[part][time]()
        if volumes is None:
            dtype = np.complex64 if part == "complex" else np.float32
            volumes = np.empty((len(times), *volume.shape), dtype=dtype)
        if volume.shape != volumes.shape[1:]:
            raise UnsuitableInputError(
                f"All echoes need one geometry; in {images.label} the {part} image at {in_ms(time)} has the shape "
                f"{volume.shape}, others {volumes.shape[1:]}. Export the echoes of one acquisition."
            )
        volumes[index] = volume
    return volumes


def _from_magnitude_and_phase(magnitude: np.ndarray, phase: np.ndarray, declared_unit: str | None) -> np.ndarray:
    if magnitude.shape != phase.shape:
        raise UnsuitableInputError(
            f"Magnitude and phase images need one geometry; found the shapes {magnitude.shape[1:]} and "
            f"{phase.shape[1:]}. Export both from one acquisition."
        )
    finite = phase[np.isfinite(phase)]
    if finite.size == 0:
        raise UnsuitableInputError("Phase images need finite values; found none. Export the phase images again.")
    low, high = float(finite.min()), float(finite.max())
    unit = unit_of_phase(low, high, declared_unit, are_integers=bool(np.all(finite == np.round(finite))))
    signal = np.empty(magnitude.shape, dtype=np.complex64)
    for echo in range(magnitude.shape[0]):
        with np.errstate(invalid="ignore"):
            signal[echo] = magnitude[echo] * np.exp(1j * unit.to_radians(phase[echo]))
    return signal
