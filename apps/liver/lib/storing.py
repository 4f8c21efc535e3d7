"""Writing files into the studies folder: all of them or none, each with its description, then the index."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from liver_models.io.files import cannot_write

from .index import KEYS, Index
from .layout import (
    FORMER_FOLDER,
    IMAGES,
    INFO_FOLDER,
    LABELS,
    READER_LABELS,
    Entry,
    Layout,
    digest,
    sidecar,
    write_sidecar,
    write_unfinished,
)
from .reconcile import FolderWatch


@dataclass(frozen=True)
class Planned:
    """A file that is to be stored."""

    table: str
    """Of the index."""
    entry: Entry
    """Its name and what is known of it."""
    content: bytes
    """Its bytes."""


@dataclass(frozen=True)
class _Staged:
    table: str
    entry: Entry
    path: Path


def plan(
    table: str, content: bytes, info: Mapping[str, Any], *, stored_at_s: float | None = None, **named: str
) -> Planned:
    """A file to be stored.

    Args:
        table: Of the index.
        content: Its bytes.
        info: What is told of it.
        stored_at_s: When it was stored elsewhere, seconds since 1970; None: now.
        named: Its id, suffix and, for a label, its tag, kind and reader.
    """
    entry = Entry(**named)
    now = int(time.time() if stored_at_s is None else stored_at_s)
    told = {**info, "ts": now, "name": entry.name}
    return Planned(table, replace(entry, info=told, ts=now, sha256=hashlib.sha256(content).hexdigest()), content)


class Store:
    """Writes and removes files of one studies folder."""

    def __init__(self, layout: Layout, index: Index, watch: FolderWatch):
        self._layout, self._index, self._watch = layout, index, watch

    def write(self, planned: Iterable[Planned], check: Callable[[], bool | None]) -> None:
        """Store files, all of them or none.

        Args:
            planned: What to store.
            check: Called under the lock with the index up to date, before anything is moved in place; it raises if
                the files may not be stored, and returns False if there is nothing to do.
        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        staged: list[_Staged] = []
        name = "a file"
        try:
            for item in planned:
                name = item.entry.name
                staged.append(self._staged(item))
            with self._index.lock:
                self._watch.see_new_files(self._index)
                if check() is False:
                    return
                for item in tuple(staged):
                    if (left := self._left_behind(item)) is not None:
                        staged.insert(0, self._staged(left))
                self._move([(item, self._announced(item)) for item in staged])
        except OSError as error:
            raise cannot_write(Path(name), error) from error
        finally:
            for item in staged:
                item.path.unlink(missing_ok=True)

    def describe(self, table: str, entry: Entry, info: Mapping[str, Any]) -> None:
        """Store other information with a file.

        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        told = replace(entry, info=dict(info))
        try:
            told = replace(told, info_mtime_ns=write_sidecar(self._layout.file(table, entry), told))
        except OSError as error:
            raise cannot_write(Path(entry.name), error) from error
        self._index.put(table, [told])

    def remove(self, table: str, entries: Iterable[Entry]) -> None:
        """Remove files and their descriptions, on purpose."""
        entries = list(entries)
        for entry in entries:
            path = self._layout.file(table, entry)
            with self._watch.own_change(path.parent):
                path.unlink(missing_ok=True)
            sidecar(path).unlink(missing_ok=True)
        if entries:
            self._index.drop(table, entries)

    def set_aside(self, entries: Iterable[Entry]) -> list[str]:
        """Move labels to the former ones of their tag, with their descriptions.

        Returns:
            Their new names inside the studies folder.
        Raises:
            UnsuitableInputError: the folder cannot be written.
        """
        entries, names = list(entries), []
        try:
            for entry in entries:
                path = self._layout.file(LABELS, entry)
                folder = path.parent / FORMER_FOLDER
                (folder / INFO_FOLDER).mkdir(parents=True, exist_ok=True)
                n = 1
                while (target := folder / f"{entry.name}.{n}").exists():
                    n += 1
                with self._watch.own_change(path.parent):
                    os.replace(path, target)
                if sidecar(path).exists():
                    os.replace(sidecar(path), sidecar(target))
                names.append(str(target.relative_to(self._layout.root)))
        except OSError as error:
            raise cannot_write(Path(entry.name), error) from error
        finally:
            self._index.drop(LABELS, entries[: len(names)])
        return names

    def _staged(self, item: Planned) -> _Staged:
        folder = self._layout.folder(item.table, item.entry.tag, item.entry.reader)
        if not (folder / INFO_FOLDER).is_dir():
            watched = IMAGES if item.table == IMAGES else LABELS
            with self._index.lock, self._watch.own_change(self._layout.folder(watched, item.entry.tag)):
                (folder / INFO_FOLDER).mkdir(parents=True, exist_ok=True)
        path = write_unfinished(folder / INFO_FOLDER, item.content)
        found = path.stat()
        return _Staged(item.table, replace(item.entry, size=found.st_size, mtime_ns=found.st_mtime_ns), path)

    def _present(self, item: _Staged) -> Entry | None:
        named = {key: getattr(item.entry, key) for key in KEYS[item.table]}
        return next(iter(self._index.entries(item.table, **named)), None)

    def _left_behind(self, item: _Staged) -> Planned | None:
        """The copy of another reader's label that came into the folder without one and is about to be replaced."""
        former = self._present(item) if item.table == LABELS else None
        if former is None or not former.reader or former.reader == item.entry.reader:
            return None
        path, named = self._layout.file(LABELS, former), {key: getattr(former, key) for key in KEYS[READER_LABELS]}
        if self._index.entries(READER_LABELS, **named) or not path.is_file():
            return None
        content = path.read_bytes()
        if former.sha256 not in (None, hashlib.sha256(content).hexdigest()):
            return None  # Damaged.
        sha256 = former.sha256 or digest(path)
        return Planned(READER_LABELS, replace(former, sha256=sha256, info_mtime_ns=0), content)

    def _announced(self, item: _Staged) -> Entry | None:
        """Write the description of a file before it is moved in place; the file it replaces is returned."""
        former = self._present(item)
        path = self._layout.file(item.table, item.entry)
        is_same_file = former is not None and former.ext == item.entry.ext
        write_sidecar(path, item.entry, former if is_same_file else None)
        return former

    def _move(self, announced: list[tuple[_Staged, Entry | None]]) -> None:
        stored: dict[str, list[Entry]] = {}
        with ExitStack() as changes:
            for folder in {self._layout.file(item.table, item.entry).parent for item, _ in announced}:
                changes.enter_context(self._watch.own_change(folder))
            for item, former in announced:
                path = self._layout.file(item.table, item.entry)
                os.replace(item.path, path)
                if former is not None and former.ext != item.entry.ext:
                    other = self._layout.file(item.table, former)
                    other.unlink(missing_ok=True)
                    sidecar(other).unlink(missing_ok=True)
                entry = replace(item.entry, info_mtime_ns=sidecar(path).stat().st_mtime_ns)
                stored.setdefault(item.table, []).append(entry)
        names = [self._layout.relative(table, entry) for table, entries in stored.items() for entry in entries]

        def enter(_: Any) -> None:
            for table, entries in stored.items():
                self._index.put(table, entries)
            self._index.forget_gone(names)

        self._index.write(enter)
