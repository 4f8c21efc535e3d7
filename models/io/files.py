"""Files on disk: digests, writes that happen whole or not at all, names that stay inside their folder."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnsuitableInputError
from .study import MultiEchoStudy

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Skipped:
    """A file or a series that was not used."""

    name: str
    """Name relative to the folder that was read, or a description of a series."""
    reason: str
    """Why, in words for the user."""


@dataclass(frozen=True)
class FoundFile:
    """One file that a study is read from."""

    path: Path
    """Where it lies."""
    name: str
    """Name relative to the folder that was read."""
    sha256: str
    """Hex digest of its bytes."""
    part: str
    """One of :data:`PARTS`."""
    echo_times_s: tuple[float, ...] = ()
    """Echo times of the images in it, seconds."""


PARTS = ("magnitude", "phase", "real", "imaginary", "complex", "mixed", "sidecar")
"""What a file holds; ``mixed`` is a multi-frame file with several, ``sidecar`` is metadata."""


@dataclass(frozen=True)
class FoundStudy:
    """A study that was recognised; its pixels are read when ``read`` is called."""

    label: str
    """How to name it to the user: series description, file stem; no patient identifiers."""
    format: str
    """``dicom``, ``nifti`` or ``ismrm_mat``."""
    files: tuple[FoundFile, ...]
    """The files it consists of, in a fixed order."""
    read: Callable[[], MultiEchoStudy]
    """Reads and validates the pixels; raises UnsuitableInputError."""


@dataclass(frozen=True)
class Found:
    """What a folder or file holds."""

    studies: tuple[FoundStudy, ...]
    """The multi-echo studies, in a fixed order."""
    skipped: tuple[Skipped, ...] = ()
    """What was not used, and why."""


def sha256_of_bytes(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_of_digests(digests: Iterable[str]) -> str:
    """One digest of a set of files, whatever their names and order."""
    return sha256_of_bytes("\n".join(sorted(digests)).encode("ascii"))


def read_bytes(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        UnsuitableInputError: the file cannot be opened; its name is given.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise UnsuitableInputError(f"A readable file is needed; '{Path(path).name}' is not: {reason}.") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: into a temporary file beside it, then renamed over it.

    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def copy_checked(source: Path, target: Path, sha256: str) -> None:
    """Copy a file and check that the copy has the digest the original had when it was read.

    Raises:
        UnsuitableInputError: the disk is full, or the original changed meanwhile.
    """
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(source, "rb") as reader, open(target, "xb") as writer:
            while chunk := reader.read(_CHUNK_BYTES):
                digest.update(chunk)
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise cannot_write(target, error) from error
    if digest.hexdigest() != sha256:
        raise UnsuitableInputError(
            f"The file '{source.name}' needs to stay unchanged while it is imported; it changed. Import again."
        )


def cannot_write(path: Path, error: OSError) -> UnsuitableInputError:
    """The sentence for a write that failed."""
    reason = error.strerror or "write failed"
    return UnsuitableInputError(
        f"A folder with free space that can be written is needed for '{Path(path).name}'; found: {reason}. "
        "Free some space or choose another folder; nothing was kept."
    )


def inside(folder: Path, relative: str) -> Path:
    """The path of a file named in a manifest, which stays inside its folder.

    Raises:
        UnsuitableInputError: an absolute name, one with ``..``, or a link that leads outside.
    """
    parts = relative.split("/")
    is_plain = relative and "\\" not in relative and "\0" not in relative and not {"", ".", ".."} & set(parts)
    if is_plain and not os.path.isabs(relative):
        path = folder.joinpath(*parts)
        if path.resolve().is_relative_to(folder.resolve()):
            return path
    raise UnsuitableInputError(
        f"A file of a case needs a name inside the folder of the case; found '{relative}'. Import the case again."
    )


def identifier(text: str, fallback: str = "case") -> str:
    """A file-safe identifier made of a free text: at most 100 ASCII letters, digits, ``.``, ``_``, ``-``."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_text).strip("._-")[:100].rstrip("._-") or fallback
