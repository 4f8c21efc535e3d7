"""The scores of one task, kept beside its published weights so that scoring goes on where it was."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class ScoreBook:
    """Case id -> what was found of it, and by which version of the weights.

    A book that was lost or damaged is begun anew: every score can be computed again.

    Args:
        path: Its file; made with the first score.
    """

    def __init__(self, path: Path):
        self._path, self._lock = path, threading.Lock()
        self._scores: dict[str, tuple[int, int, dict[str, Any]]] = {}
        if path.is_file():
            try:
                with closing(self._opened()) as book, book:
                    rows = book.execute("SELECT case_id, version, stamp, content FROM scores").fetchall()
                self._scores = {row[0]: (row[1], row[2], json.loads(row[3])) for row in rows}
            except (sqlite3.DatabaseError, ValueError):
                logger.warning("The scores of %s cannot be read; they are computed again.", path.parent.name)
                path.unlink(missing_ok=True)

    def get(self, case_id: str) -> dict[str, Any] | None:
        """The last score of a case, of whatever version."""
        found = self._scores.get(case_id)
        return found[2] if found else None

    def is_current(self, case_id: str, version: int, stamp: int) -> bool:
        """Whether a case was scored by these weights as it is now."""
        found = self._scores.get(case_id)
        return found is not None and found[:2] == (version, stamp)

    def put(self, case_id: str, version: int, stamp: int, content: dict[str, Any]) -> None:
        """Keep a score."""
        with self._lock:
            self._scores[case_id] = (version, stamp, content)
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with closing(self._opened()) as book, book:
                    book.execute(
                        "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
                        (case_id, version, stamp, json.dumps(content)),
                    )
            except (sqlite3.Error, OSError) as error:
                logger.warning("A score could not be kept: %s", error)

    def _opened(self) -> sqlite3.Connection:
        book = sqlite3.connect(self._path, timeout=10)
        book.execute("PRAGMA journal_mode=WAL")
        book.execute(
            "CREATE TABLE IF NOT EXISTS scores (case_id TEXT PRIMARY KEY, version INT, stamp INT, content TEXT)"
        )
        return book
