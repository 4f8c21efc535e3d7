"""Bringing the index up to date with the folder, reading only what has changed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import ID_PATTERN

from .index import Index
from .layout import (
    ANSWER,
    IMAGES,
    INFO_FOLDER,
    LABELS,
    READER_LABELS,
    Entry,
    Layout,
    described,
    digest,
    kind_of,
    reader_in_answer,
    remove_unfinished,
    split_name,
    stamps,
    write_sidecar,
)

logger = logging.getLogger(__name__)
SETTLED_NS = 50_000_000
"""A folder that changed less than this ago may change again within the same time stamp."""
LOOK_AGAIN_S, LOOK_AGAIN_AFTER_OURS_S = 0.1, 30.0
"""When to compare a folder again: after such a change, and after one of ours, which may hide another's."""


class FolderWatch:
    """Knows which folders changed; every caller holds the lock of the index."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._seen: dict[Path, int] = {}
        self._due: dict[Path, float] = {}
        self._tags: list[str] = []

    def reconcile_all(self, index: Index) -> None:
        """Compare every file's size and time stamp with the index, as at every start."""
        self._seen.clear()
        self.see_new_files(index)
        tagged = {entry[0] for table in (LABELS, READER_LABELS) for entry in index.read(f"SELECT tag FROM {table}")}
        for tag in tagged | set(self._tags):
            if tag not in self._tags:
                self._reconcile(index, LABELS, tag)
            known = {reader for (reader,) in index.read("SELECT reader FROM reader_labels WHERE tag = ?", (tag,))}
            for reader in known | set(self._layout.readers(tag)):
                self._reconcile(index, READER_LABELS, tag, reader)
                remove_unfinished(self._layout.folder(READER_LABELS, tag, reader))
            remove_unfinished(self._layout.folder(LABELS, tag))
        remove_unfinished(self._layout.root)

    def see_new_files(self, index: Index) -> None:
        """Compare the folders whose time stamp changed."""
        self._look_at(index, IMAGES)
        stamp = _stamp(self._layout.labels)
        if self._is_changed(self._layout.labels, stamp) or self._is_due(self._layout.labels):
            former, self._tags = self._tags, self._layout.tags()
            for tag in set(former) - set(self._tags):
                self._seen.pop(self._layout.folder(LABELS, tag), None)
                self._reconcile(index, LABELS, tag)
        for tag in self._tags:
            self._look_at(index, LABELS, tag)

    @contextmanager
    def own_change(self, folder: Path) -> Iterator[None]:
        """A change of ours, which the index knows already; another's just before it is still seen."""
        before = _stamp(folder)
        yield
        if before and self._seen.get(folder) == before:
            self._seen[folder] = _stamp(folder)
            self._due.setdefault(folder, time.monotonic() + LOOK_AGAIN_AFTER_OURS_S)

    def met(self, table: str, former: Entry | None, path: Path, entry: Entry) -> Entry:
        """What is known of a file that the index does not know as it is.

        Args:
            table: Of the file.
            former: What the index knew under its id and kind.
            path: The file.
            entry: Its id, suffix, tag and reader.
        Raises:
            OSError: it went away meanwhile.
        """
        found = path.stat()
        told = {"ts": int(found.st_mtime), "name": path.name}
        bare = replace(entry, info=told, ts=told["ts"], sha256=None, size=found.st_size, mtime_ns=found.st_mtime_ns)
        full = described(path, replace(bare, info_mtime_ns=0))
        if former is not None and full.info_mtime_ns == 0:
            full = replace(full, info=former.info, ts=former.ts, reader=full.reader or former.reader)
        if full.sha256 is None and table == LABELS and full.kind == ANSWER:
            full = replace(full, reader=known_reader(reader_in_answer(path.read_bytes())))
        if former is None or full.sha256 is not None or former.is_at(found) and former.ext == entry.ext:
            return full
        full = replace(full, sha256=digest(path))
        if full.sha256 != former.sha256:
            logger.warning(
                "A stored file%s was changed outside the server; its new content is taken.",
                f" under the tag {entry.tag!r}" if entry.tag else "",
            )
        if full.info_mtime_ns:
            full = replace(full, info_mtime_ns=write_sidecar(path, full))
        return full

    def checked(self, index: Index, table: str, entry: Entry) -> Entry:
        """The entry, after its file was read and has the digest it was stored with.

        Raises:
            UnsuitableInputError: it has not.
            OSError: it went away.
        """
        path = self._layout.file(table, entry)
        if not entry.is_at(path.stat()):
            entry = self.met(table, entry, path, entry)
            index.put(table, [entry])
        found = digest(path)
        if entry.sha256 is None:
            entry = replace(entry, sha256=found)
            index.put(table, [entry])
        if found != entry.sha256:
            beside = described(path, replace(entry, sha256=None))
            if beside.sha256 != found:
                raise UnsuitableInputError(damage_of(entry, found))
            entry = beside
            index.put(table, [entry])
        return entry

    def _look_at(self, index: Index, table: str, tag: str = "") -> None:
        folder = self._layout.folder(table, tag)
        if self._is_changed(folder, _stamp(folder)):
            self._reconcile(index, table, tag)
        elif self._is_due(folder) and self._names_differ(index, table, tag):
            self._reconcile(index, table, tag)

    def _is_changed(self, folder: Path, stamp: int) -> bool:
        if stamp == self._seen.get(folder):
            return False
        self._seen[folder] = stamp
        self._due.pop(folder, None)
        if time.time_ns() - stamp < SETTLED_NS:
            self._due[folder] = time.monotonic() + LOOK_AGAIN_S
        return True

    def _is_due(self, folder: Path) -> bool:
        if self._due.get(folder, float("inf")) > time.monotonic():
            return False
        del self._due[folder]
        return True

    def _names_differ(self, index: Index, table: str, tag: str) -> bool:
        """Compare names alone, a tenth of the work."""
        query = f"SELECT image || ext FROM {table}" + (" WHERE tag = ?" if tag else "")
        known = {name for (name,) in index.read(query, (tag,) if tag else ())}
        found = set(os.listdir(self._layout.folder(table, tag)))
        return not known <= found or any(split_name(name, table != IMAGES) for name in found - known)

    def _reconcile(self, index: Index, table: str, tag: str = "", reader: str = "") -> None:
        layout, is_label = self._layout, table != IMAGES
        folder = layout.folder(table, tag, reader)
        found, beside = stamps(folder), stamps(folder / INFO_FOLDER)
        named = {"tag": tag} if is_label else {}
        named |= {"reader": reader} if table == READER_LABELS else {}
        known = index.known_as(table, **named)
        candidates: dict[tuple[str, str], list[str]] = {}
        for name in found:
            if (parts := split_name(name, is_label)) is not None:
                image, suffix = parts
                candidates.setdefault((image, kind_of(suffix) if is_label else ""), []).append(suffix)
        changed = []
        for (image, kind), suffixes in candidates.items():
            former = known.pop((image, kind), None)
            suffix = self._chosen(former[0] if former else "", image, suffixes, found if is_label else None)
            name = image + suffix
            stat, described_at = found[name], beside.get(f"{name}.json")
            info_stamp = described_at.st_mtime_ns if described_at else 0
            if former != (suffix, stat.st_size, stat.st_mtime_ns, info_stamp):
                entries = index.entries(table, image=image, kind=kind, **named) if former else []
                entry = Entry(image, suffix, tag, kind, reader)
                try:
                    changed.append(self.met(table, entries[0] if entries else None, folder / name, entry))
                except OSError:
                    continue  # It went away meanwhile, which the next look will see.
        gone = [Entry(image, ext, tag, kind, reader) for (image, kind), (ext, *_) in known.items()]
        if changed or gone:
            index.put(table, changed)
            index.drop(table, gone)
            index.forget_gone(layout.relative(table, entry) for entry in changed)
            index.note_gone(layout.relative(table, entry) for entry in gone)

    @staticmethod
    def _chosen(former: str, image: str, suffixes: list[str], found: dict[str, os.stat_result] | None) -> str:
        """Which of several files of one id counts: the one that did, else a case or the latest label."""
        if former in suffixes:
            return former
        return max(suffixes, key=lambda end: found[image + end].st_mtime_ns) if found else min(suffixes)


def known_reader(reader: str) -> str:
    """The reader's name, if it is from the allow-list; a file put into the folder by hand may say anything."""
    return reader if ID_PATTERN.fullmatch(reader) else ""


def _stamp(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def damage_of(entry: Entry, found: str) -> str:
    """The sentence for a file that has other bytes than were stored."""
    what = f"The {entry.kind} of {entry.image!r} under the tag {entry.tag!r}" if entry.tag else f"{entry.name!r}"
    return (
        f"{what} needs the bytes it was stored with (SHA-256 {str(entry.sha256)[:12]}…); its file is damaged (SHA-256 "
        f"{found[:12]}…). Restore it from a backup, or store it again."
    )
