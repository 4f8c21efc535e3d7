"""What this server knows of a DICOMweb store: which cases it lists and fetched, and every label and mark in it.

A label is current when no later label or mark has its case, tag and kind; answers to each task are a kind of their own,
beside that of all. A journal that is lost is made again by looking at the store; it only spares that.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from liver_models.io.dicom_label import LabelNote

from .layout import ANSWER

_OF_TASK = ANSWER + "/"
"""Begins the kind of an answer to a task."""
JOURNAL_NAME = ".liverlabel-dicomweb.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS cases (image TEXT PRIMARY KEY, study TEXT, modality TEXT, series TEXT, fetched TEXT);
CREATE TABLE IF NOT EXISTS events (
    uid TEXT, image TEXT, tag TEXT, kind TEXT, reader TEXT, time_s REAL, is_mark INT, PRIMARY KEY (uid, kind)
);
CREATE INDEX IF NOT EXISTS events_by_label ON events (image, tag, kind, time_s);
"""


@dataclass(frozen=True)
class RemoteCase:
    """A case of the store: the images of one modality of one study."""

    image: str
    """Its id here."""
    study: str
    """StudyInstanceUID."""
    modality: str
    """MR or US."""
    series: Mapping[str, int]
    """SeriesInstanceUID -> number of images, as the store lists them."""
    fetched: Mapping[str, int] | None = None
    """The same when it was fetched; None: not yet."""

    @property
    def is_fetched(self) -> bool:
        """True unless the store has other images by now."""
        if self.fetched is None or self.fetched.keys() != self.series.keys():
            return False
        # A store that does not say how many images a series has lists 0.
        return all(n in (0, self.fetched[uid]) for uid, n in self.series.items())


class Journal:
    """Cases and events in one SQLite file, begun anew when it is damaged.

    Args:
        folder: The cache.
    """

    def __init__(self, folder: Path):
        self._path, self._lock = folder / JOURNAL_NAME, threading.Lock()
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError:
            for end in ("", "-wal", "-shm"):
                Path(f"{self._path}{end}").unlink(missing_ok=True)
            self._connection = self._opened()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def cases(self) -> dict[str, RemoteCase]:
        """Every case by id."""
        return {row[0]: _case(row) for row in self._rows("SELECT * FROM cases")}

    def case(self, image: str) -> RemoteCase | None:
        """One case; None: there is none of that id."""
        return next(map(_case, self._rows("SELECT * FROM cases WHERE image = ?", image)), None)

    def put_listed(self, cases: list[RemoteCase]) -> None:
        """Enter cases, or what the store lists of them now."""
        rows = [(case.image, case.study, case.modality, json.dumps(case.series)) for case in cases]
        query = "INSERT INTO cases VALUES (?, ?, ?, ?, NULL) ON CONFLICT (image) DO UPDATE SET series = excluded.series"
        with self._lock, self._connection:
            self._connection.executemany(query, rows)

    def set_fetched(self, image: str, counts: Mapping[str, int]) -> None:
        """Remember what of a case was fetched: series and numbers of images."""
        text = json.dumps(counts)
        with self._lock, self._connection:
            self._connection.execute("UPDATE cases SET series = ?, fetched = ? WHERE image = ?", (text, text, image))

    def drop_cases(self, images: list[str]) -> None:
        """Strike out cases."""
        with self._lock, self._connection:
            self._connection.executemany("DELETE FROM cases WHERE image = ?", [(image,) for image in images])

    def knows(self, uid: str) -> bool:
        """True when the label or mark in that series was seen."""
        return bool(self._rows("SELECT 1 FROM events WHERE uid = ?", uid))

    def add(self, uid: str, image: str, note: LabelNote, kinds: tuple[str, ...], *, is_mark: bool) -> None:
        """Enter a label or a mark."""
        rows = [(uid, image, note.tag, kind, note.reader, note.time_s, is_mark) for kind in kinds]
        with self._lock, self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def has_later(self, image: str, note: LabelNote, kind: str) -> bool:
        """True when a label or mark of the same case, tag and kind is later."""
        query = "SELECT 1 FROM events WHERE image = ? AND tag = ? AND kind = ? AND time_s > ? LIMIT 1"
        return bool(self._rows(query, image, note.tag, kind, note.time_s))

    def has_later_of_reader(self, image: str, note: LabelNote, kind: str) -> bool:
        """True when the same reader's label is later, or its removal, whose mark names the reader."""
        query = "SELECT 1 FROM events WHERE image = ? AND tag = ? AND kind = ? AND time_s > ? AND reader = ? LIMIT 1"
        return bool(self._rows(query, image, note.tag, kind, note.time_s, note.reader))

    def add_answers(self, uid: str, image: str, note: LabelNote, tasks: Iterable[str]) -> None:
        """Enter a file of answers to tasks; none: it does not say of what."""
        self.add(uid, image, note, (ANSWER, *(_OF_TASK + task for task in tasks)), is_mark=False)

    def has_later_answer(self, image: str, note: LabelNote, task: str, reader: str | None = None) -> bool:
        """True when another answer to the task, or a mark on answers, is later; with ``reader``, one of theirs."""
        query = "SELECT 1 FROM events WHERE image = ? AND tag = ? AND time_s > ? AND (kind = ? OR kind = ? AND is_mark)"
        values = [image, note.tag, note.time_s, _OF_TASK + task, ANSWER]
        if reader is not None:
            query, values = f"{query} AND reader = ?", [*values, reader]
        return bool(self._rows(f"{query} LIMIT 1", *values))

    def labelled_kinds(self, image: str, tag: str) -> tuple[str, ...]:
        """The kinds of label that a case has at the store under a tag, former ones included."""
        query = "SELECT DISTINCT kind FROM events WHERE image = ? AND tag = ? AND NOT is_mark ORDER BY kind"
        return tuple(row[0] for row in self._rows(query, image, tag))

    def has_events(self, image: str) -> bool:
        """True when a label or mark of a case is known."""
        return bool(self._rows("SELECT 1 FROM events WHERE image = ? LIMIT 1", image))

    def _rows(self, query: str, *values: object) -> list[tuple]:
        with self._lock, closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_TABLES)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection


def _case(row: tuple) -> RemoteCase:
    image, study, modality, series, fetched = row
    return RemoteCase(image, study, modality, json.loads(series), None if fetched is None else json.loads(fetched))
