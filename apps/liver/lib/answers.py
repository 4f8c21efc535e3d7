"""Answers of several tasks in one file: those that are sent are stored beside those to other tasks that are there."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from liver_models.errors import UnsuitableInputError
from liver_models.io.class_label import ClassLabel, class_labels_bytes, parse_class_labels


def beside_others(sent: bytes, present: bytes | None) -> bytes:
    """The file to store when answers are sent.

    Args:
        sent: File of answers; they take the place of former ones to the same tasks.
        present: File that is there; None: none.
    Returns:
        ``sent`` itself where there is nothing to keep: no answer to another task of the same case, or a file of another
        form on either side.
    """
    new, old = answers_in(sent), answers_in(present or b"")
    kept = {task: label for task, label in old.items() if task not in new}
    if not new or not kept or {label.case_id for label in (*new.values(), *kept.values())} != {_case(new)}:
        return sent
    return class_labels_bytes({**kept, **new})


def answers_in(content: bytes) -> dict[str, ClassLabel]:
    """The answers in a file, by task; empty where it is none of ours."""
    try:
        return parse_class_labels(content, "the answer")
    except UnsuitableInputError:
        return {}


@lru_cache(maxsize=65536)
def tasks_answered(path: Path, mtime_ns: int, size: int) -> frozenset[str] | None:
    """The tasks that a file of answers is on; None: it cannot be told.

    Args:
        path: Of the file.
        mtime_ns: Its time stamp; another file under the name has another.
        size: Its bytes.
    """
    try:
        return frozenset(answers_in(path.read_bytes())) or None
    except OSError:
        return None


def _case(labels: dict[str, ClassLabel]) -> str:
    return next(iter(labels.values())).case_id
