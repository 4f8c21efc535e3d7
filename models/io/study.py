"""One multi-echo chemical-shift MRI acquisition in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import UnsuitableInputError

MIN_ECHOES = 3
UNKNOWN_ORIENTATION = "The file states no position or orientation: its axes are taken as stored, from the origin."
"""What a reader says with ``is_orientation_known`` False."""
ECHO_TIME_RESOLUTION_S = 1e-6


@dataclass(frozen=True)
class SourceFile:
    """Where a study came from."""

    name: str
    """File name relative to the folder it was read from."""
    sha256: str
    """Hex digest of the file's bytes."""


@dataclass(frozen=True)
class MultiEchoStudy:
    """Complex multi-echo images of one visit, validated.

    Constructing one sorts nothing and repairs nothing: it refuses what cannot be used. Use :meth:`from_echoes` to sort
    echoes and to mask pixels that are not finite.

    Raises:
        UnsuitableInputError: fewer than three echoes, times not increasing, shapes that disagree, no pixel left.
    """

    signal: np.ndarray
    """Complex signal, shape (n_echoes, x, y, z), complex64, arbitrary units; magnitudes with zero imaginary part when
    ``is_magnitude_only``. Finite everywhere: pixels in ``unusable_mask`` hold 0."""
    echo_times_s: np.ndarray
    """Echo times, shape (n_echoes,), seconds, strictly increasing."""
    field_strength_t: float
    """Main field, tesla."""
    affine: np.ndarray
    """Voxel index to world millimetres, RAS+, shape (4, 4)."""
    unusable_mask: np.ndarray
    """True where some echo held NaN or Inf, shape (x, y, z), bool."""
    precession: int | None = None
    """+1: the signal follows our model as stored; -1: it is its complex conjugate; None: not declared, to be found."""
    is_bipolar: bool | None = None
    """True when odd and even echoes were read in opposite directions; None: not declared, to be found."""
    is_magnitude_only: bool = False
    """True when no phase was stored."""
    is_orientation_known: bool = True
    """False when the files state no position or orientation: left and right of the images are not known then."""
    case_id: str = "case"
    """Name of the case; a file-safe identifier."""
    patient_id: str | None = None
    """What every split groups by; None when the source says nothing."""
    is_simulated: bool = False
    """True when the signal was computed, not measured; said wherever the study appears."""
    sources: tuple[SourceFile, ...] = ()
    """The files the study was read from."""
    warnings: tuple[str, ...] = field(default=())
    """What the reader should know about how the study was read, in sentences."""

    def __post_init__(self):
        times = np.asarray(self.echo_times_s, dtype=np.float64)
        if self.signal.ndim != 4:
            raise UnsuitableInputError(
                f"A multi-echo study needs an array of shape (echoes, x, y, z); this one has shape {self.signal.shape}."
            )
        if times.shape != (self.signal.shape[0],):
            raise UnsuitableInputError(
                f"Each echo needs its echo time; this study has {self.signal.shape[0]} echoes and {times.size} echo "
                "times. Export the echo times of every echo."
            )
        if times.size < MIN_ECHOES:
            raise UnsuitableInputError(
                f"PDFF needs at least {MIN_ECHOES} echoes; this study has {times.size}. Export every echo."
            )
        if not np.all(np.isfinite(times)) or times[0] < 0 or np.any(np.diff(times) < ECHO_TIME_RESOLUTION_S):
            listed = ", ".join(f"{t * 1e3:g}" for t in times)
            raise UnsuitableInputError(
                f"Echo times need to be positive, different and increasing; found {listed} ms. Check for a "
                "duplicate echo."
            )
        if times[-1] > 1.0:
            raise UnsuitableInputError(
                f"Echo times need to be in seconds below 1 s; the last is {times[-1]:g} s. They look like milliseconds."
            )
        if not 0.05 <= self.field_strength_t <= 15:
            raise UnsuitableInputError(
                f"The field strength needs to be between 0.05 and 15 tesla; found {self.field_strength_t:g}. "
                "Check its unit (tesla, not MHz)."
            )
        if np.asarray(self.affine).shape != (4, 4) or not abs(np.linalg.det(np.asarray(self.affine)[:3, :3])) >= 1e-9:
            raise UnsuitableInputError("The image needs an invertible 4 x 4 affine; this one has none.")
        if self.unusable_mask.shape != self.signal.shape[1:]:
            raise UnsuitableInputError(
                f"The mask of unusable pixels needs the shape of the image {self.signal.shape[1:]}; found "
                f"{self.unusable_mask.shape}."
            )
        if self.unusable_mask.all():
            raise UnsuitableInputError("No pixel of this study is finite in every echo. Export the images again.")

    @classmethod
    def from_echoes(cls, signal, echo_times_s, **fields) -> MultiEchoStudy:
        """Sort echoes by time and mask pixels that are not finite, then validate.

        Args:
            signal: Shape (n_echoes, x, y, z), complex or real, any order.
            echo_times_s: Shape (n_echoes,), seconds, in the order of ``signal``.
            **fields: The other fields of the study.
        """
        signal = np.asarray(signal)
        times = np.asarray(echo_times_s, dtype=np.float64)
        if signal.ndim == 4 and times.shape == signal.shape[:1]:
            order = np.argsort(times, kind="stable")
            signal, times = signal[order], times[order]
        signal = np.ascontiguousarray(signal, dtype=np.complex64)
        unusable = ~np.isfinite(signal).all(axis=0)
        notes = tuple(fields.pop("warnings", ()))
        if unusable.any():
            signal = np.where(unusable, 0, signal).astype(np.complex64)
            notes += (f"{int(unusable.sum())} pixels were not finite in some echo; they are masked, not estimated.",)
        return cls(signal=signal, echo_times_s=times, unusable_mask=unusable, warnings=notes, **fields)

    def with_fields(self, **fields) -> MultiEchoStudy:
        """The same study with some fields replaced."""
        return replace(self, **fields)
