"""A folder of JSON records, each whole or not there, that belong to one computation and no other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import write_atomically


class JsonRecords:
    """What a long computation keeps, so that it goes on where it stopped.

    Args:
        folder: Where the records lie, one file each.
        key: Names the computation: data, settings, version; a record of another is as if it were not there. JSON-ready.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]):
        self.folder, self.key = Path(folder), json.loads(json.dumps(dict(key)))

    def load(self, name: str) -> dict | None:
        """The record, if it was kept by just this computation."""
        try:
            record = json.loads((self.folder / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        is_ours = isinstance(record, dict) and record.get("key") == self.key and "value" in record
        return record["value"] if is_ours else None

    def save(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a record.

        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        text = json.dumps({"key": self.key, "value": dict(value)}, indent=1, allow_nan=False)
        write_atomically(self.folder / f"{name}.json", (text + "\n").encode("utf-8"))
