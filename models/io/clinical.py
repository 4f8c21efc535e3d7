"""Clinical values: their names, units and plausible ranges for each species.

A value is stored in the unit its name ends with. A number in another unit is almost always out of range there, because
the units differ by a factor of 18 to 89: such a column is refused, with the unit it is likely in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ..errors import UnsuitableInputError

SPECIES = ("rat", "human")
"""Whose ranges are known."""
CLINICAL_FEATURES = (
    "weight_g",
    "alt_u_per_l",
    "ast_u_per_l",
    "ast_alt_ratio",
    "ggt_u_per_l",
    "chol_mmol_per_l",
    "tg_mmol_per_l",
    "hdl_c_mmol_per_l",
    "ldl_c_mmol_per_l",
)
"""Clinical values that methods know, by name with unit; elastography has its own place."""
_CHOLESTEROL = {"mmol/L": 1.0, "mg/dL": 1 / 38.67}
"""386.7 g/mol: 1 mmol/L = 38.67 mg/dL."""
_TRIGLYCERIDES = {"mmol/L": 1.0, "mg/dL": 1 / 88.57}
"""885.7 g/mol, by convention that of triolein: 1 mmol/L = 88.57 mg/dL."""
_ENZYME = {"U/L": 1.0, "µkat/L": 60.0}
"""1 µkat = 1 µmol/s = 60 U."""
_MIN_FOR_MEDIAN = 3


@dataclass(frozen=True)
class ClinicalColumn:
    """A clinical quantity."""

    name: str
    """Canonical name, with its unit."""
    title: str
    """What it is called on a screen, without its unit."""
    aliases: tuple[str, ...]
    """What it is called in tables, in lower case without spaces."""
    to_canonical: Mapping[str, float]
    """Unit -> factor to the canonical unit; the first is the canonical one."""
    ranges: Mapping[str, tuple[float, float]]
    """Species -> lowest and highest value that is believed, canonical unit."""
    medians: Mapping[str, tuple[float, float]]
    """Species -> lowest and highest median of a cohort that is believed, canonical unit."""

    @property
    def unit(self) -> str:
        """The canonical unit; empty for a ratio."""
        return next(iter(self.to_canonical))


def _column(name, title, aliases, units, rat, human, rat_medians, human_medians) -> ClinicalColumn:
    ranges, medians = {"rat": rat, "human": human}, {"rat": rat_medians, "human": human_medians}
    return ClinicalColumn(name, title, (name, *aliases), units, ranges, medians)


# The ranges span disease (diet-induced NASH in rats, acute hepatitis and familial dyslipidaemia in patients) on either
# side of the reference intervals of Giknis and Clifford 2006 (Crl:CD(SD) rats) and of the Merck Manual; the medians are
# those a cohort may have.
CLINICAL_COLUMNS: Mapping[str, ClinicalColumn] = {
    column.name: column
    for column in (
        _column(
            "weight_g",
            "Weight",
            ("weight", "bodyweight", "bw"),
            {"g": 1.0, "kg": 1000.0},
            (50, 1500),
            (20_000, 300_000),
            (100, 1000),
            (40_000, 200_000),
        ),
        _column(
            "alt_u_per_l", "ALT", ("alt", "alat", "gpt", "sgpt"), _ENZYME, (3, 5000), (2, 10_000), (10, 2000), (8, 2000)
        ),
        _column(
            "ast_u_per_l", "AST", ("ast", "asat", "got", "sgot"), _ENZYME, (5, 8000), (2, 10_000), (20, 3000), (8, 2000)
        ),
        _column(
            "ast_alt_ratio",
            "AST/ALT",
            ("ast/alt", "ast/altratio", "deritis", "deritisratio"),
            {"": 1.0},
            (0.05, 50),
            (0.05, 50),
            (0.2, 15),
            (0.2, 8),
        ),
        _column(
            "ggt_u_per_l",
            "GGT",
            ("ggt", "γ-gt", "gamma-gt", "γ-gtp"),
            _ENZYME,
            (0, 500),
            (1, 5000),
            (0, 100),
            (5, 1500),
        ),
        _column(
            "chol_mmol_per_l",
            "Cholesterol",
            ("chol", "cholesterol", "totalcholesterol", "tc"),
            _CHOLESTEROL,
            (0.3, 20),
            (1, 20),
            (0.8, 12),
            (2.5, 9),
        ),
        _column(
            "tg_mmol_per_l",
            "Triglycerides",
            ("tg", "triglyceride", "triglycerides"),
            _TRIGLYCERIDES,
            (0.05, 12),
            (0.2, 60),
            (0.15, 6),
            (0.5, 8),
        ),
        _column(
            "hdl_c_mmol_per_l",
            "HDL-C",
            ("hdl-c", "hdl", "hdlcholesterol", "hdl-cholesterol"),
            _CHOLESTEROL,
            (0.08, 6),
            (0.2, 5),
            (0.2, 3),
            (0.6, 3),
        ),
        _column(
            "ldl_c_mmol_per_l",
            "LDL-C",
            ("ldl-c", "ldl", "ldlcholesterol", "ldl-cholesterol"),
            _CHOLESTEROL,
            (0.01, 12),
            (0.2, 15),
            (0.08, 3),
            (1, 7),
        ),
        _column(
            "glucose_mmol_per_l",
            "Glucose",
            ("glucose", "glu", "bloodglucose", "fpg"),
            {"mmol/L": 1.0, "mg/dL": 1 / 18.016},
            (1.5, 50),
            (1, 60),
            (3, 35),
            (3, 20),
        ),
        _column(
            "histology_fat_percent",
            "Hepatocytes with fat in histology",
            ("histologyfat", "hepatocyteswithfat"),
            {"%": 1.0},
            (0, 100),
            (0, 100),
            (0, 100),
            (0, 100),
        ),
    )
}
"""Clinical values that tables may hold, by canonical name: :data:`CLINICAL_FEATURES` and those only stored, such as
the fat that histology counted, which no method may read."""


@dataclass(frozen=True)
class ClinicalValue:
    """A quantity that methods know, and what one case has of it."""

    name: str
    """One of :data:`CLINICAL_FEATURES`."""
    title: str
    """What it is called on a screen."""
    unit: str
    """Of the numbers; empty for a ratio."""
    low: float
    """Lowest value that is believed."""
    high: float
    """Highest value that is believed."""
    value: float | None
    """Of the case; None: not measured."""


def clinical_values(values: Mapping[str, float], species: str | None) -> tuple[ClinicalValue, ...]:
    """All of :data:`CLINICAL_FEATURES` with the values of a case.

    Args:
        values: By name.
        species: One of :data:`SPECIES`; None: not known, and the ranges hold those of every species.
    """
    told = []
    for column in map(CLINICAL_COLUMNS.__getitem__, CLINICAL_FEATURES):
        lows, highs = zip(*(column.ranges[one] for one in ([species] if species else SPECIES)), strict=True)
        found = values.get(column.name)
        told.append(ClinicalValue(column.name, column.title, column.unit, min(lows), max(highs), found))
    return tuple(told)


def check_ranges(
    column: ClinicalColumn, unit: str, header: str, values: Sequence[tuple[str, float]], species: str
) -> None:
    """Refuse a column with a value that no such animal has, or with a median that no cohort has.

    Args:
        column: The quantity.
        unit: The unit the numbers are declared in.
        header: Of the column, as the table has it.
        values: (subject, number in ``unit``), those that are not missing.
        species: One of :data:`SPECIES`.
    Raises:
        UnsuitableInputError: names the column, the value, the range and the unit it is likely in.
    """
    factor = column.to_canonical[unit]
    numbers = [number for _, number in values]
    low, high = column.ranges[species]
    for subject, number in values:
        if not low <= number * factor <= high:
            bounds = f"values of {low / factor:.3g} to {high / factor:.3g}{_of(unit)}"
            found = f"subject '{subject}' has {number:.4g}"
            raise UnsuitableInputError(_refusal(column, unit, header, numbers, species, bounds, found))
    low, high = column.medians[species]
    middle = median(numbers) if len(numbers) >= _MIN_FOR_MEDIAN else None
    if middle is not None and not low <= middle * factor <= high:
        bounds = f"a median of {low / factor:.3g} to {high / factor:.3g}{_of(unit)} over subjects"
        raise UnsuitableInputError(
            _refusal(column, unit, header, numbers, species, bounds, f"the median is {middle:.4g}")
        )


def _of(unit: str) -> str:
    return f" {unit}" if unit else ""


def _refusal(column, unit, header, numbers, species, bounds, found) -> str:
    middle = median(numbers)
    likely = [
        other
        for other, factor in column.to_canonical.items()
        if other != unit
        and all(column.ranges[species][0] <= number * factor <= column.ranges[species][1] for number in numbers)
        and column.medians[species][0] <= middle * factor <= column.medians[species][1]
    ]
    if not likely:
        return f"Column '{header}' needs {bounds} for a {species}; {found}. Correct the value, or leave it empty."
    other = likely[0]
    factor = column.to_canonical[other] / column.to_canonical[unit]
    return (
        f"Column '{header}' needs {bounds} for a {species}; {found}. The numbers look like {other} (1 {other} = "
        f"{factor:.4g} {unit}). Correct the unit in the header or the numbers."
    )


def check_stored_values(values: object, name: str) -> dict[str, float]:
    """Clinical values as a manifest holds them.

    Raises:
        UnsuitableInputError: not an object of known names and finite numbers.
    """
    if not isinstance(values, dict):
        raise UnsuitableInputError(f"In '{name}', clinical needs to be a JSON object; found {values!r}.")
    strange = sorted(set(values) - set(CLINICAL_COLUMNS))
    if strange:
        raise UnsuitableInputError(
            f"In '{name}', clinical values are {', '.join(CLINICAL_COLUMNS)}; found {', '.join(strange)}."
        )
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UnsuitableInputError(f"In '{name}', {key} needs to be a number; found {value!r}.")
    return {key: float(value) for key, value in values.items()}
