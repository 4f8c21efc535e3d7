"""Checks of JSON that a user or another program may have changed: the keys of a dataclass, types, choices."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from ..errors import UnsuitableInputError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def checked(kind: type, values: object, name: str, unknown: frozenset | set = frozenset()) -> dict:
    """A copy of a JSON object that has the keys of a dataclass and no other."""
    if not isinstance(values, dict):
        raise UnsuitableInputError(f"In '{name}', a JSON object is needed for {kind.__name__}; found {values!r}.")
    known = [f.name for f in fields(kind) if f.name not in unknown]
    strange = sorted(set(values) - set(known))
    if strange:
        raise UnsuitableInputError(
            f"In '{name}', the keys of {kind.__name__} are {', '.join(known)}; found {', '.join(strange)}. Remove what "
            "is unknown or update LiverLabel."
        )
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    absent = [key for key in required if key not in values]
    if absent:
        raise UnsuitableInputError(f"In '{name}', {kind.__name__} needs {', '.join(absent)}. Import the case again.")
    return dict(values)


def check_choice(values: dict, key: str, choices: tuple, name: str) -> None:
    """Refuse a value that is none of the choices; True is not 1."""
    if key in values and not any(
        values[key] is c or (values[key] == c and type(values[key]) is type(c)) for c in choices
    ):
        raise UnsuitableInputError(
            f"In '{name}', {key} needs to be one of {', '.join(map(str, choices))}; found {values[key]!r}."
        )


def check_type(values: dict, key: str, types: tuple, name: str) -> None:
    """Refuse a value of another type; True is no number."""
    is_bool = isinstance(values.get(key), bool) and bool not in types
    if key in values and (is_bool or not isinstance(values[key], types)):
        raise UnsuitableInputError(
            f"In '{name}', {key} needs to be of type {' or '.join(t.__name__ for t in types)}; found {values[key]!r}."
        )


def check_sha256(values: dict, name: str) -> None:
    """Refuse a digest that is none."""
    if not isinstance(values["sha256"], str) or not _SHA256.fullmatch(values["sha256"]):
        raise UnsuitableInputError(f"In '{name}', sha256 needs 64 hexadecimal digits; found {values['sha256']!r}.")
