"""Where each file of the studies folder lies, and the description kept beside it.

<id>.case.json, <id>.nii.gz, ...            cases and images
labels/<tag>/<id><suffix>                   what is stored with them: a region, a map or an answer
labels/<tag>/.readers/<reader>/<id><suffix> each reader's latest
labels/<tag>/.former/<id><suffix>.<n>       what a reopened case had
<any of these folders>/.info/<name>.json    what is known of the file <name>
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from liver_models.io.case import CASE_SUFFIX

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".dcm", ".mat")
"""What may be stored as an image over HTTP; a case has several files and is imported."""
ANSWER_SUFFIX = ".label.json"
LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ANSWER_SUFFIX)
"""What may be stored as a label over HTTP."""
REGION, ANSWER = "region", "answer"
KINDS = (REGION, ANSWER)
"""What a label is; a tag may hold one of each. A map is stored as a region is."""
IMAGES, LABELS, READER_LABELS = TABLES = ("images", "labels", "reader_labels")
INFO_FOLDER, READERS_FOLDER, FORMER_FOLDER = ".info", ".readers", ".former"
UNFINISHED = ".writing-"
UNFINISHED_KEPT_S = 600
"""A file being written that is older was left by a process that was killed."""


@dataclass(frozen=True)
class Entry:
    """One stored file and what is known of it."""

    image: str
    """Id of the case or image."""
    ext: str
    """Suffix of the file's name after the id."""
    tag: str = ""
    """Of a label."""
    kind: str = ""
    """One of :data:`KINDS` for a label."""
    reader: str = ""
    """Who drew or answered; empty: not known."""
    info: dict[str, Any] = field(default_factory=dict)
    """What clients stored with it."""
    ts: int = 0
    """When it was stored, seconds since 1970."""
    sha256: str | None = None
    """Hex digest of the bytes that were stored; None: not computed yet."""
    size: int = 0
    """Bytes."""
    mtime_ns: int = 0
    """Time stamp of the file."""
    info_mtime_ns: int = 0
    """Time stamp of the description beside it; 0: there is none."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.image + self.ext

    def is_at(self, found: os.stat_result) -> bool:
        """True when a file has the size and time stamp that this entry knows."""
        return (self.size, self.mtime_ns) == (found.st_size, found.st_mtime_ns)


class Layout:
    """The paths inside one studies folder."""

    def __init__(self, root: Path):
        self.root = Path(root)
        self.labels = self.root / "labels"

    def folder(self, table: str, tag: str = "", reader: str = "") -> Path:
        """The folder of the files that one table of the index lists."""
        if table == IMAGES:
            return self.root
        tagged = self.labels / tag
        return tagged if table == LABELS else tagged / READERS_FOLDER / reader

    def file(self, table: str, entry: Entry) -> Path:
        """Where the file of an entry lies."""
        return self.folder(table, entry.tag, entry.reader) / entry.name

    def relative(self, table: str, entry: Entry) -> str:
        """Name of an entry's file inside the studies folder."""
        return str(self.file(table, entry).relative_to(self.root))

    def tags(self) -> list[str]:
        """The tags that have a folder."""
        return [item.name for item in visible(self.labels) if item.is_dir()]

    def readers(self, tag: str) -> list[str]:
        """The readers that have a folder under a tag."""
        return [item.name for item in visible(self.labels / tag / READERS_FOLDER) if item.is_dir()]


def visible(folder: Path) -> Iterator[os.DirEntry]:
    """What lies in a folder and is not hidden; nothing when there is no such folder."""
    try:
        with os.scandir(folder) as found:
            yield from (item for item in found if not item.name.startswith("."))
    except FileNotFoundError:
        return


def stamps(folder: Path) -> dict[str, os.stat_result]:
    """Each visible file of a folder with its size and time stamp; links to nothing are left out."""
    found = {}
    for item in visible(folder):
        try:
            if item.is_file():
                found[item.name] = item.stat()
        except OSError:
            continue
    return found


def split_name(name: str, is_label: bool) -> tuple[str, str] | None:
    """Id and suffix of a file's name; None when such a file is neither an image nor a label."""
    for suffix in LABEL_SUFFIXES if is_label else (CASE_SUFFIX, *IMAGE_SUFFIXES):
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], suffix
    return None


def kind_of(suffix: str) -> str:
    """What a label with such a name is."""
    return ANSWER if suffix == ANSWER_SUFFIX else REGION


def sidecar(path: Path) -> Path:
    """Where the description of a file lies."""
    return path.parent / INFO_FOLDER / f"{path.name}.json"


def digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def reader_in_answer(content: bytes) -> str:
    """Who gave an answer, as its file says; empty when it does not."""
    try:
        reader = json.loads(content).get("reader", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return reader if isinstance(reader, str) else ""


def write_unfinished(folder: Path, content: bytes, *, is_synced: bool = True) -> Path:
    """Write a file under a hidden name, to be moved to its own by the caller.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, dir=folder)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
            opened.flush()
            # The file system's own stamps are milliseconds apart; these tell any two versions of a file.
            os.utime(opened.fileno(), ns=(time.time_ns(), time.time_ns()))
            if is_synced:
                os.fsync(opened.fileno())
        os.chmod(name, 0o644)
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left in a folder's hidden one."""
    try:
        with os.scandir(folder / INFO_FOLDER) as found:
            left = [item for item in found if item.name.startswith(UNFINISHED)]
    except FileNotFoundError:
        return
    for item in left:
        try:
            if time.time() - item.stat().st_mtime > UNFINISHED_KEPT_S:
                os.unlink(item.path)
        except FileNotFoundError:
            continue


def write_sidecar(path: Path, entry: Entry, former: Entry | None = None, *, is_synced: bool = True) -> int:
    """Describe a file that ``entry`` knows; ``former`` is the file that lies there until it is replaced.

    Returns:
        The time stamp of the description.
    Raises:
        OSError: it cannot be written; the former description stays.
    """
    described = [_record(item) for item in (entry, former) if item is not None]
    content = json.dumps({"now": described[0], "former": described[1] if former else None}, default=str).encode()
    target = sidecar(path)
    written = write_unfinished(target.parent, content, is_synced=is_synced)
    try:
        os.replace(written, target)
    except OSError:
        written.unlink()
        raise
    return target.stat().st_mtime_ns


def described(path: Path, entry: Entry) -> Entry:
    """The entry completed by the description beside its file.

    The description is written before the file is moved in place. Where a process was killed between the two, the
    former description still holds; where neither fits, the file was changed by hand and its digest is not known.
    """
    beside = sidecar(path)
    try:
        info_mtime_ns = beside.stat().st_mtime_ns
        content = json.loads(beside.read_bytes())
        records = [_entry(entry, item) for item in (content["now"], content.get("former")) if item]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return entry
    fitting = [item for item in records if (item.size, item.mtime_ns) == (entry.size, entry.mtime_ns)]
    if fitting:
        return replace(fitting[0], info_mtime_ns=info_mtime_ns)
    changed = {"size": entry.size, "mtime_ns": entry.mtime_ns, "sha256": None, "info_mtime_ns": info_mtime_ns}
    return replace(records[0], **changed)


def _record(entry: Entry) -> dict[str, Any]:
    known = ("info", "reader", "ts", "sha256", "size", "mtime_ns")
    return {name: getattr(entry, name) for name in known}


def _entry(entry: Entry, record: dict[str, Any]) -> Entry:
    reader = entry.reader or str(record["reader"])
    return replace(entry, **{**record, "info": dict(record["info"]), "reader": reader})
