"""Clinical values that the method knows: titles, units, believed ranges, and numbers as they are typed.

Source: ``models/io/clinical.py`` of the server, whose facts these are; a test holds the two together. A stored case
brings the same facts from the server.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import UnsuitableInputError

SPECIES = ("rat", "human")


@dataclass(frozen=True)
class ClinicalFact:
    """One quantity, as :class:`~.case_images.ClinicalValue` of a stored case."""

    name: str
    """By which the server takes it; it ends with the unit."""
    title: str
    """For people."""
    unit: str
    """Empty for a ratio."""
    low: float
    """Lowest value that is believed."""
    high: float
    """Highest value that is believed."""
    value: float | None = None
    """None: not known."""


_FACTS = (
    ("weight_g", "Weight", "g", (50, 1500), (20_000, 300_000)),
    ("alt_u_per_l", "ALT", "U/L", (3, 5000), (2, 10_000)),
    ("ast_u_per_l", "AST", "U/L", (5, 8000), (2, 10_000)),
    ("ast_alt_ratio", "AST/ALT", "", (0.05, 50), (0.05, 50)),
    ("ggt_u_per_l", "GGT", "U/L", (0, 500), (1, 5000)),
    ("chol_mmol_per_l", "Cholesterol", "mmol/L", (0.3, 20), (1, 20)),
    ("tg_mmol_per_l", "Triglycerides", "mmol/L", (0.05, 12), (0.2, 60)),
    ("hdl_c_mmol_per_l", "HDL-C", "mmol/L", (0.08, 6), (0.2, 5)),
    ("ldl_c_mmol_per_l", "LDL-C", "mmol/L", (0.01, 12), (0.2, 15)),
)
"""(name, title, unit, range of rats, range of people)."""
_INPUTS = {"b_mode": "B-mode images", "swe": "Elastogram", "swe_median_kpa": "Median stiffness (kPa)"}


def clinical_facts(species: str | None) -> tuple[ClinicalFact, ...]:
    """The quantities with the ranges of a species; None: not stated, and the ranges hold those of both."""
    facts = []
    for name, title, unit, rat, human in _FACTS:
        ranges = {"rat": (rat,), "human": (human,)}.get(species, (rat, human))
        facts.append(ClinicalFact(name, title, unit, min(r[0] for r in ranges), max(r[1] for r in ranges)))
    return tuple(facts)


def input_title(name: str) -> str:
    """What an input of the model is called for people, with its unit, such as "ALT (U/L)"."""
    for known, title, unit, *_ in _FACTS:
        if known == name:
            return f"{title} ({unit})" if unit else title
    return _INPUTS.get(name, name)


def typed_value(text: str, fact) -> float | None:
    """The number that was typed; None for an empty field.

    Args:
        text: Of the field.
        fact: A :class:`ClinicalFact`, or the server's value of a case.
    Raises:
        UnsuitableInputError: no number, out of the believed range, or 0, which the server does not take.
    """
    text = text.strip()
    if not text:
        return None
    unit = f" {fact.unit}" if fact.unit else ""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnsuitableInputError(
            f"{fact.title} needs a number such as {(fact.low + fact.high) / 2:.3g}, with a point; found '{text[:20]}'."
        )
    if not fact.low <= value <= fact.high or value <= 0:
        above = " and above 0" if fact.low <= 0 else ""
        raise UnsuitableInputError(
            f"{fact.title} needs {fact.low:g} to {fact.high:g}{unit}{above}; found {value:g}. Correct it or its unit."
        )
    return value
