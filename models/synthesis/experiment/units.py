"""Units: pieces of work of one process, each with a record on disk that is whole or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...io.json_records import JsonRecords

UNIT_SCHEMA = "liverlabel.synthesis-unit.v1"
"""Name and version of what is kept of each unit."""
RECORDS, FILES, UNFINISHED, LEASES = "units", "files", "unfinished", "leases"
"""Folders of an experiment: records, larger results, checkpoints, and who works on what."""
_LIBRARY = Path(__file__).parents[2]
_SOURCES = (
    *("weights.py", "io/synthetic_set.py", "learning/*.py", "ultrasound/*.py", "synthesis/*.py"),
    *(f"synthesis/experiment/{name}.py" for name in ("compute", "parts")),
)
"""Code whose change makes a unit another one; that of tables and figures does not."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of work; what it is made from is all that its result depends on."""

    kind: str
    """Which function computes it."""
    place: str
    """Which of its kind, for names of files: letters, digits, ``_``, ``-`` and ``.``."""
    params: Mapping[str, Any]
    """Everything its result depends on besides the frames, the code and other units; JSON-ready."""
    needs: Mapping[str, Unit] = field(default_factory=dict)
    """Units whose results it reads, by what they are to it."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of kind, parameters and needs: units that differ in any never share a file."""
        needs = {name: unit.digest for name, unit in self.needs.items()}
        text = json.dumps([self.kind, dict(self.params), needs], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Stem of its files."""
        return f"{self.kind}__{self.place}__{self.digest[:10]}"


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """The units and all they need, each once, needs first."""
    found: dict[str, Unit] = {}

    def add(unit):
        if unit.name not in found:
            for need in unit.needs.values():
                add(need)
            found[unit.name] = unit

    for unit in units:
        add(unit)
    return list(found.values())


def code_digest(library: Path = _LIBRARY) -> str:
    """SHA-256 of the source that units depend on: an experiment that goes on never mixes two."""
    digest = hashlib.sha256(__version__.encode())
    for pattern in _SOURCES:
        for file in sorted(library.glob(pattern)):
            digest.update(f"{file.relative_to(library)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class UnitStore:
    """The results of an experiment's units.

    Args:
        out: Folder of the experiment.
        digests: Of code and cohort; a record of others is as if it were not there.
    """

    def __init__(self, out: Path, digests: Mapping[str, str]):
        self.out, self.digests = Path(out), dict(digests)

    def has(self, unit: Unit) -> bool:
        """Whether its record is there; its arrays are not opened."""
        return self._records(unit).load(unit.name) is not None

    def load(self, unit: Unit) -> tuple[dict, dict[str, np.ndarray]] | None:
        """Its record and arrays; None: not there, or torn apart."""
        return self._records(unit).load_with_arrays(unit.name)

    def save(self, unit: Unit, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a result.

        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        self._records(unit).save(unit.name, value, arrays)

    def forget(self, unit: Unit) -> None:
        """Remove a record that cannot be read, so that it is made again."""
        (self.out / RECORDS / f"{unit.name}.json").unlink(missing_ok=True)

    def file(self, unit: Unit, suffix: str = "") -> Path:
        """Where a larger result of it lies: weights, or a folder of pictures."""
        return self.out / FILES / f"{unit.name}{suffix}"

    def unfinished(self, unit: Unit) -> Path:
        """Where it keeps what it goes on from; removed when it is done."""
        return self.out / UNFINISHED / unit.name

    def _records(self, unit: Unit) -> JsonRecords:
        return JsonRecords(self.out / RECORDS, {"schema": UNIT_SCHEMA, "unit": unit.digest, **self.digests})


Compute = Callable[[Unit], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]
"""Gives record and arrays of a unit whose needs are there."""
