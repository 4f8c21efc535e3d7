"""The reader's answer to a question of a whole case: ``<id>.label.json``, stored under a tag such as ``final``."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import UnsuitableInputError
from .case import check_id
from .files import read_bytes, write_atomically
from .manifest_checks import check_choice, check_type, checked

SCHEMA = "liverlabel.class_label"
SCHEMA_VERSION = 1
LABEL_SUFFIX = ".label.json"
TASKS = ("fibrotic_nash",)
FINAL = "final"
"""The tag of answers that methods learn from."""
_WORDS = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}


@dataclass(frozen=True)
class ClassLabel:
    """One answer."""

    case_id: str
    """Of the case."""
    task: str
    """One of :data:`TASKS`."""
    value: bool
    """The answer."""
    reader: str = ""
    """Who gave it; empty: not known."""
    source: str = ""
    """What it rests on, such as histology or the name of a table."""


def parse_yes_no(text: object, what: str) -> bool:
    """An answer of a table.

    Args:
        text: yes, no, 1, 0, true or false, in any case.
        what: Column and subject, for the sentence.
    Raises:
        UnsuitableInputError: any other word; a similar one is suggested.
    """
    word = str(text).strip().lower()
    if isinstance(text, float) and text in (0.0, 1.0):
        word = str(int(text))
    if word in _WORDS:
        return _WORDS[word]
    close = difflib.get_close_matches(word, _WORDS, n=1, cutoff=0.5)
    hint = f" Did you mean '{close[0]}'?" if close else " Correct it, or leave it empty where it is not known."
    raise UnsuitableInputError(f"{what} needs to be yes, no, 1, 0, true or false; found '{text}'.{hint}")


def class_label_path(studies_dir: Path | str, case_id: str, tag: str = FINAL) -> Path:
    """Where the answer to a case lies in a studies folder."""
    return Path(studies_dir) / "labels" / check_id(tag) / f"{check_id(case_id)}{LABEL_SUFFIX}"


def write_class_label(label: ClassLabel, path: Path | str) -> None:
    """Write an answer, whole or not at all, the same bytes for the same answer.

    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(label)}
    write_atomically(Path(path), (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def read_class_label(path: Path | str) -> ClassLabel:
    """Read an answer.

    Raises:
        UnsuitableInputError: not such a file, another version or task, an answer that is not true or false.
    """
    path = Path(path)
    try:
        content = json.loads(read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise UnsuitableInputError(
            f"A class label needs to be JSON; '{path.name}' cannot be read. Write it again."
        ) from error
    found = (content.get("schema"), content.get("schema_version")) if isinstance(content, dict) else None
    if found != (SCHEMA, SCHEMA_VERSION):
        raise UnsuitableInputError(
            f'A class label needs "schema": "{SCHEMA}" and "schema_version": {SCHEMA_VERSION}; \'{path.name}\' has '
            "others. Update LiverLabel or write it again."
        )
    values = {key: value for key, value in content.items() if key not in ("schema", "schema_version")}
    values = checked(ClassLabel, values, path.name)
    check_choice(values, "task", TASKS, path.name)
    check_choice(values, "value", (True, False), path.name)
    for key in ("case_id", "reader", "source"):
        check_type(values, key, (str,), path.name)
    check_id(values["case_id"])
    return ClassLabel(**values)
