"""Reading every stored file and telling which have not the bytes that were stored."""

from __future__ import annotations

from pathlib import Path

from liver_models.errors import UnsuitableInputError

from .index import Index
from .layout import READER_LABELS, TABLES, Entry, Layout, described, digest, kind_of, split_name
from .reconcile import FolderWatch, damage_of

DAMAGED, GONE = "damaged", "gone"


def problems(index: Index, layout: Layout, watch: FolderWatch, image_id: str | None = None) -> list[dict[str, str]]:
    """The files that are damaged or that somebody removed outside the server.

    Args:
        index: Of the folder.
        layout: Of the folder.
        watch: Takes a file that was edited on purpose, and computes digests that are missing.
        image_id: Only the files of this image; None: every file.
    Returns:
        ``file`` inside the studies folder, ``id`` of the image, ``problem``; by file.
    """
    named = {} if image_id is None else {"image": image_id}
    found: dict[str, dict[str, str]] = {}
    with index.lock:
        stored = [(table, entry) for table in TABLES for entry in index.entries(table, **named)]
        for (path,) in index.read("SELECT path FROM gone"):
            image = _image_of(path)
            if image_id in (None, image):
                found[path] = {"file": path, "id": image, "problem": GONE}
    for table, entry in stored:
        if (problem := _problem(index, layout, watch, table, entry)) is not None:
            path = layout.relative(table, entry)
            found[path] = {"file": path, "id": entry.image, "problem": problem}
    return [found[path] for path in sorted(found)]


def check_label(path: Path) -> None:
    """Compare a label with the description beside it, without an index, as in a process of its own.

    Raises:
        UnsuitableInputError: it has not the bytes it was stored with.
    """
    parts = split_name(path.name, is_label=True)
    if parts is None or not path.is_file():
        return
    found = path.stat()
    named = {"tag": path.parent.name, "kind": kind_of(parts[1])}
    entry = described(path, Entry(*parts, **named, size=found.st_size, mtime_ns=found.st_mtime_ns))
    if entry.sha256 is not None and (now := digest(path)) != entry.sha256:
        raise UnsuitableInputError(damage_of(entry, now))


def _problem(index: Index, layout: Layout, watch: FolderWatch, table: str, entry: Entry) -> str | None:
    # The lock is taken for each file alone, so that requests are answered meanwhile.
    with index.lock:
        named = {"image": entry.image, "tag": entry.tag, "kind": entry.kind}
        named |= {"reader": entry.reader} if table == READER_LABELS else {}
        present = index.entries(table, **named)
        if not present:
            return GONE if not layout.file(table, entry).exists() and _is_noted(index, layout, table, entry) else None
        try:
            watch.checked(index, table, present[0])
        except UnsuitableInputError:
            return DAMAGED
        except FileNotFoundError:
            return GONE
    return None


def _is_noted(index: Index, layout: Layout, table: str, entry: Entry) -> bool:
    return bool(index.read("SELECT 1 FROM gone WHERE path = ?", (layout.relative(table, entry),)))


def _image_of(path: str) -> str:
    folder, _, name = path.rpartition("/")
    parts = split_name(name, is_label=bool(folder))
    return parts[0] if parts else name
