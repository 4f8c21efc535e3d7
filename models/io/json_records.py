"""A folder of JSON records, some with arrays, each whole or not there, that belong to one computation and no other."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import sha256_of_bytes, write_atomically


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
        record = self._record(name)
        return record["value"] if record is not None else None

    def load_with_arrays(self, name: str) -> tuple[dict, dict[str, np.ndarray]] | None:
        """The record and its arrays, if both were kept together by just this computation."""
        record = self._record(name)
        try:
            data = (self.folder / f"{name}.npz").read_bytes()
        except OSError:
            return None
        if record is None or record.get("arrays_sha256") != sha256_of_bytes(data):
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return record["value"], {key: stored[key] for key in stored.files}

    def save(self, name: str, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Keep a record.

        Args:
            name: Stem of its files.
            value: JSON-ready.
            arrays: Kept beside it; None: none.
        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        record = {"key": self.key, "value": dict(value)}
        if arrays is not None:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **arrays)
            record["arrays_sha256"] = sha256_of_bytes(buffer.getvalue())
            write_atomically(self.folder / f"{name}.npz", buffer.getvalue())
        # The JSON names the digest of the arrays and is written last: a pair that a crash tore apart does not match.
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(self.folder / f"{name}.json", (text + "\n").encode("utf-8"))

    def _record(self, name: str) -> dict | None:
        try:
            record = json.loads((self.folder / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        is_ours = isinstance(record, dict) and record.get("key") == self.key and "value" in record
        return record if is_ours else None
