"""The folder of an experiment: its own, and never half written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..errors import UnsuitableInputError
from ..io.files import cannot_write


def check_own_folder(out: Path, own_names: Collection[str]) -> None:
    """Refuse a folder that holds something that no experiment put there.

    Args:
        out: New, empty, or of an earlier run.
        own_names: What an experiment's folder may hold.
    Raises:
        UnsuitableInputError: a file, or a folder with something else in it, which is named.
    """
    if out.exists() and not out.is_dir():
        raise UnsuitableInputError(f"The output needs to be a folder; {out} is a file. Choose another name.")
    foreign = sorted(p.name for p in out.iterdir() if p.name not in own_names) if out.is_dir() else []
    foreign = [name for name in foreign if not name.startswith(".writing-")]
    if foreign:
        raise UnsuitableInputError(
            f"The output needs a folder of its own; {out} also holds {foreign[0]}. Choose a new folder."
        )


def publish(out: Path, files: dict[str, bytes]) -> None:
    """Put the finished files in place: all are written under another name first, ``results.json`` is renamed last.

    A full disk therefore leaves the former result as it was.
    """
    try:
        partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=out))
        try:
            (partial / "tables").mkdir()
            for name, data in files.items():
                (partial / name).write_bytes(data)
            (out / "tables").mkdir(exist_ok=True)
            for name in files:
                os.replace(partial / name, out / name)
            for former in (out / "tables").glob("*.csv"):
                if f"tables/{former.name}" not in files:
                    former.unlink()
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise cannot_write(out, error) from error
