"""The unit of stored phase: declared, or found from the range of its values, or refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UnsuitableInputError

_TOLERANCE = 0.005
"""How far values may exceed a unit's range, fraction of the full circle (rounding of stored integers)."""
_MIN_COVERAGE = 0.95
"""Fraction of a unit's full circle that undeclared phase has to span for the unit to be recognised."""
_MIN_DECLARED_COVERAGE = 0.1
"""Values that span less of a declared unit, but all of another one, contradict the declaration."""


@dataclass(frozen=True)
class PhaseUnit:
    """One way of storing phase."""

    name: str
    """Its name, as said to the user."""
    full_circle: float
    """Stored value of 2π."""
    lowest: float
    """Smallest stored value; the stored range is [lowest, lowest + full_circle]."""
    zero: float = 0.0
    """Stored value of zero phase."""

    def to_radians(self, values: np.ndarray) -> np.ndarray:
        """Stored values in radians, float64."""
        return (np.asarray(values, dtype=np.float64) - self.zero) * (2 * np.pi / self.full_circle)

    def holds(self, low: float, high: float) -> bool:
        """Whether values between low and high can have this unit."""
        slack = _TOLERANCE * self.full_circle
        return self.lowest - slack <= low and high <= self.lowest + self.full_circle + slack


RADIANS = PhaseUnit("radians", 2 * np.pi, -np.pi)
UNITS = (
    RADIANS,
    PhaseUnit("radians", 2 * np.pi, 0.0),
    PhaseUnit("degrees", 360.0, -180.0),
    PhaseUnit("degrees", 360.0, 0.0),
    PhaseUnit("milliradians", 2000 * np.pi, -1000 * np.pi),
    PhaseUnit("milliradians", 2000 * np.pi, 0.0),
    PhaseUnit("0 to 4095", 4096.0, 0.0, zero=2048.0),
    PhaseUnit("-4096 to 4096", 8192.0, -4096.0),
)
"""The ways of storing phase that are known: SI; DICOM of GE and Philips (mrad) and of Siemens (12 bits, and those
rescaled by slope 2 and intercept -4096, so that x·π/4096 is in radians)."""

_DECLARED_NAMES = {
    "rad": "radians",
    "radian": "radians",
    "radians": "radians",
    "deg": "degrees",
    "degree": "degrees",
    "degrees": "degrees",
    "mrad": "milliradians",
    "milliradian": "milliradians",
    "milliradians": "milliradians",
}


def unit_of_phase(low: float, high: float, declared: str | None = None, *, are_integers: bool = False) -> PhaseUnit:
    """Find the unit of a study's phase values.

    Args:
        low: Smallest finite phase value of the study, after the file's own rescaling.
        high: Largest one.
        declared: Unit the file names, if any; a name that is not a unit of angle is ignored.
        are_integers: Whether every value is a whole number: whole numbers within ±3 are not radians.
    Raises:
        UnsuitableInputError: the values contradict the declared unit, or fit none or several units.
    """
    name = _DECLARED_NAMES.get((declared or "").strip().lower())
    fitting = [unit for unit in UNITS if unit.holds(low, high)]
    covered = [u for u in fitting if high - low >= _MIN_COVERAGE * u.full_circle * (1 - 2 * _TOLERANCE)]
    covered = [u for u in covered if not (are_integers and u.name == "radians")]
    if name is not None:
        believed = [unit for unit in fitting if unit.name == name]
        others = {unit.name for unit in covered} - {name}
        if not believed or (others and high - low < _MIN_DECLARED_COVERAGE * believed[0].full_circle):
            instead = f", which are {others.pop()}" if others else ""
            raise UnsuitableInputError(
                f"Phase declared in {name} needs to stay within one full circle and to look like it; found values from "
                f"{low:g} to {high:g}{instead}. Correct the declared unit or export wrapped phase."
            )
        return believed[0]
    if len({unit.name for unit in covered}) != 1:
        raise UnsuitableInputError(
            "The unit of the phase images needs to be told from their range (radians, degrees, milliradians, 0 to "
            f"4095 or -4096 to 4096); found values from {low:g} to {high:g}, which span none of these. Export the "
            "phase with its unit, or export real and imaginary images."
        )
    return covered[0]
