"""The index of the studies folder: one SQLite file that only speeds up, for the files are the truth.

One lock, one connection, short transactions. An index that is lost, damaged or cannot be written is made again from the
folder, in memory where there is no other way; no request fails by it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from .layout import IMAGES, LABELS, READER_LABELS, Entry

logger = logging.getLogger(__name__)
T = TypeVar("T")
INDEX_NAME = ".liverlabel-index.sqlite"
VERSION = 1
WAIT_S = 10.0
"""How long a second server on the same folder is waited for."""
KEYS = {IMAGES: ("image",), LABELS: ("image", "tag", "kind"), READER_LABELS: ("image", "tag", "kind", "reader")}
"""Table -> what names one of its rows."""
COLUMNS = tuple(item.name for item in fields(Entry))
_OURS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)
_WHOLE = ("size", "ts", "mtime_ns", "info_mtime_ns")


class Index:
    """Rows of stored files.

    Args:
        path: Where the file lies.
        fill: Called under the lock with this index when it is empty; it enters what the folder holds.
    """

    def __init__(self, path: Path, fill: Callable[[Index], None]):
        self.lock = threading.RLock()
        self._path, self._fill = str(path), fill
        self._is_renewing = False
        self._connection: sqlite3.Connection | None = None
        with self.lock:
            try:
                self._open(self._path)
                self._check()
            except sqlite3.DatabaseError as error:
                self._renew(error)

    def close(self) -> None:
        """Let go of the file."""
        with self.lock, suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()

    @contextmanager
    def _transaction(self):
        assert self._connection is not None
        if self._connection.in_transaction:
            yield self._connection
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction; again, on a new index, if the present one fails."""

        def in_transaction() -> T:
            with self._transaction() as connection:
                return work(connection)

        return self._carried_out(in_transaction)

    def read(self, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query finds."""
        values = tuple(values)
        return self._carried_out(lambda: self._connection.execute(query, values).fetchall())  # type: ignore[union-attr]

    def entries(self, table: str, **named: str) -> list[Entry]:
        """The entries whose columns have the named values, by id."""
        where = " AND ".join(f"{name} = ?" for name in named) or "1"
        query = f"SELECT {', '.join(COLUMNS)} FROM {table} WHERE {where} ORDER BY {', '.join(KEYS[table])}"
        return [_entry(row) for row in self.read(query, named.values())]

    def known_as(self, table: str, **named: str) -> dict[tuple[str, str], tuple[str, int, int, int]]:
        """Id and kind -> suffix, size and time stamps of the entries whose columns have the named values."""
        where = " AND ".join(f"{name} = ?" for name in named) or "1"
        query = f"SELECT image, kind, ext, size, mtime_ns, info_mtime_ns FROM {table} WHERE {where}"
        return {(row[0], row[1]): row[2:] for row in self.read(query, named.values())}

    def put(self, table: str, entries: Iterable[Entry]) -> None:
        """Enter or replace entries."""
        rows = [_row(entry) for entry in entries]
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        query = f"INSERT OR REPLACE INTO {table} ({', '.join(COLUMNS)}, crc) VALUES ({marks})"
        self.write(lambda connection: connection.executemany(query, rows))

    def drop(self, table: str, entries: Iterable[Entry]) -> None:
        """Strike entries out."""
        keys = KEYS[table]
        query = f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in keys)}"
        rows = [tuple(getattr(entry, name) for name in keys) for entry in entries]
        self.write(lambda connection: connection.executemany(query, rows))

    def note_gone(self, paths: Iterable[str]) -> None:
        """Remember files that somebody else removed, by their names inside the folder."""
        rows = [(path, int(time.time())) for path in paths]
        self.write(lambda connection: connection.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", rows))

    def forget_gone(self, paths: Iterable[str]) -> None:
        """Forget files that are back, or that were removed on purpose."""
        rows = [(path,) for path in paths]
        self.write(lambda connection: connection.executemany("DELETE FROM gone WHERE path = ?", rows))

    def dice(self, one: str, other: str) -> float | None:
        """The Dice of two regions by their digests; None when it was not computed yet."""
        found = self.read("SELECT dice FROM agreements WHERE one = ? AND other = ?", sorted((one, other)))
        return found[0][0] if found else None

    def put_dice(self, one: str, other: str, dice: float) -> None:
        """Remember the Dice of two regions."""
        row = (*sorted((one, other)), dice)
        self.write(lambda connection: connection.execute("INSERT OR REPLACE INTO agreements VALUES (?, ?, ?)", row))

    def _carried_out(self, work: Callable[[], T]) -> T:
        with self.lock:
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if self._is_renewing or isinstance(error, _OURS) or self._connection.in_transaction:  # type: ignore
                    raise
                self._renew(error)
                return work()

    def _open(self, path: str) -> None:
        self.close()
        connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        # After a power cut the last transactions may be missing; the folder is compared at every start.
        connection.execute("PRAGMA synchronous = NORMAL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, VERSION):
            raise sqlite3.DatabaseError(f"an index of version {found}, not {VERSION}")
        with self._transaction():
            for table, keys in KEYS.items():
                columns = [f"{name} {'INTEGER' if name in _WHOLE else 'TEXT'}" for name in COLUMNS]
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)}, crc INTEGER, "
                    f"PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID"
                )
            stamps = "image, kind, ext, size, mtime_ns, info_mtime_ns"
            connection.execute(f"CREATE INDEX IF NOT EXISTS images_by_stamp ON images ({stamps})")
            connection.execute(f"CREATE INDEX IF NOT EXISTS labels_by_tag ON labels (tag, {stamps})")
            connection.execute(f"CREATE INDEX IF NOT EXISTS readers_by_tag ON reader_labels (tag, reader, {stamps})")
            connection.execute("CREATE TABLE IF NOT EXISTS gone (path TEXT PRIMARY KEY, since INTEGER)")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS agreements (one TEXT, other TEXT, dice REAL, PRIMARY KEY (one, other))"
            )
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _check(self) -> None:
        """Look for damage: SQLite sees that of its own pages, a check sum that of a row's values."""
        connection = self._connection
        assert connection is not None
        if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its pages are damaged")
        for table in KEYS:
            for *row, crc in connection.execute(f"SELECT {', '.join(COLUMNS)}, crc FROM {table}"):
                if crc != _check_sum(row):
                    raise sqlite3.DatabaseError("a row is damaged")

    def _renew(self, error: sqlite3.DatabaseError) -> None:
        logger.warning("The index of the studies folder is made again from the folder, for: %s.", error)
        is_in_use = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        self._is_renewing = True
        try:
            if not is_in_use:
                try:
                    self.close()
                    for end in ("", "-wal", "-shm"):
                        Path(self._path + end).unlink(missing_ok=True)
                    self._open(self._path)
                    self._fill(self)
                    return
                except (sqlite3.DatabaseError, OSError) as further:
                    logger.warning("The index cannot be written (%s); it is held in memory until a restart.", further)
            self._open(":memory:")
            self._fill(self)
        finally:
            self._is_renewing = False


def _check_sum(values: Iterable[Any]) -> int:
    return zlib.crc32(repr(list(values)).encode("utf-8", "surrogatepass"))


def _row(entry: Entry) -> list[Any]:
    values = [getattr(entry, name) for name in COLUMNS]
    values[COLUMNS.index("info")] = json.dumps(entry.info, default=str)
    return [*values, _check_sum(values)]


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(COLUMNS, row, strict=True))
    return Entry(**{**values, "info": json.loads(values["info"])})
