"""Files in the form in which the server takes them: each under a plain name of its own, else in one archive."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import UnsuitableInputError

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@contextmanager
def sendable(files: Sequence[Path], root: Path) -> Iterator[list[Path]]:
    """What to send for these files: themselves, or an archive that is removed afterwards.

    Args:
        files: Files under ``root``.
        root: Folder that names in the archive are relative to.
    Raises:
        UnsuitableInputError: a file cannot be read, or the disk is full.
    """
    names = [file.name for file in files]
    if len(set(names)) == len(names) and all(_PLAIN.fullmatch(name) for name in names):
        yield list(files)
        return
    with tempfile.TemporaryDirectory(prefix="liverlabel-") as folder:
        archive = Path(folder) / "scan.zip"
        try:
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, strict_timestamps=False) as opened:
                for file in files:
                    opened.write(file, file.relative_to(root).as_posix())
        except OSError as error:
            raise UnsuitableInputError(
                f"The files of the scan have to be put into one archive and cannot be: {error.strerror}. Make room, or "
                "choose them again."
            ) from error
        yield [archive]
