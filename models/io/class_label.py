"""The reader's answers to questions of a whole case: ``<id>.label.json``, stored under a tag such as ``final``.

A file with one answer has version 1: its keys beside those of the schema are those of :class:`ClassLabel`. One with
several has version 2: ``case_id``, and ``answers`` by task with ``value``, ``reader`` and ``source`` each.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import UnsuitableInputError
from .case import check_id
from .files import read_bytes, write_atomically
from .manifest_checks import check_choice, check_type, checked

SCHEMA = "liverlabel.class_label"
VERSION_OF_ONE, VERSION_OF_SEVERAL = 1, 2
LABEL_SUFFIX = ".label.json"
TASKS = ("fibrotic_nash", "nafld")
"""Questions: fibrotic NASH or not; fatty liver (NAFLD) or not."""
ANSWER_FIELDS = {"fibrotic_nash": "is_fibrotic_nash", "nafld": "is_fatty"}
"""Task -> field of a subject that holds its answer."""
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
    """Write an answer, whole or not at all; answers to other questions that are there are kept.

    Raises:
        UnsuitableInputError: a file there that cannot be read or is of another case, a full disk.
    """
    path = Path(path)
    labels = read_class_labels(path) if path.is_file() else {}
    other = next((one.case_id for one in labels.values() if one.case_id != label.case_id), None)
    if other is not None:
        raise UnsuitableInputError(
            f"Answers in one file need to be of one case; '{path.name}' holds '{other}', not '{label.case_id}'. Remove "
            "it."
        )
    write_atomically(path, class_labels_bytes({**labels, label.task: label}))


def class_labels_bytes(labels: Mapping[str, ClassLabel]) -> bytes:
    """A file of answers to one case; the same answers give the same bytes.

    Args:
        labels: By task, at least one.
    """
    ordered = [labels[task] for task in TASKS if task in labels]
    if len(ordered) == 1:
        content = {"schema": SCHEMA, "schema_version": VERSION_OF_ONE, **asdict(ordered[0])}
    else:
        answers = {one.task: {"value": one.value, "reader": one.reader, "source": one.source} for one in ordered}
        content = {"schema": SCHEMA, "schema_version": VERSION_OF_SEVERAL, "case_id": ordered[0].case_id}
        content["answers"] = answers
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def read_class_labels(path: Path | str) -> dict[str, ClassLabel]:
    """Read the answers to one case, by task.

    Raises:
        UnsuitableInputError: not such a file, another version or task, an answer that is not true or false.
    """
    path = Path(path)
    return parse_class_labels(read_bytes(path), path.name)


def parse_class_labels(data: bytes, name: str) -> dict[str, ClassLabel]:
    """The answers in the bytes of such a file, by task.

    Args:
        data: The file.
        name: What sentences call it.
    Raises:
        UnsuitableInputError: as :func:`read_class_labels`.
    """
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnsuitableInputError(
            f"A class label needs to be JSON; '{name}' cannot be read. Write it again."
        ) from error
    schema, version = (content.get("schema"), content.get("schema_version")) if isinstance(content, dict) else (0, 0)
    if schema != SCHEMA or version not in (VERSION_OF_ONE, VERSION_OF_SEVERAL) or isinstance(version, bool):
        raise UnsuitableInputError(
            f'A class label needs "schema": "{SCHEMA}" and "schema_version": {VERSION_OF_ONE} or {VERSION_OF_SEVERAL}; '
            f"'{name}' has others. Update LiverLabel or write it again."
        )
    values = {key: value for key, value in content.items() if key not in ("schema", "schema_version")}
    if version == VERSION_OF_ONE:
        label = _label(values, name)
        return {label.task: label}
    values = checked(_Several, values, name)
    check_type(values, "answers", (dict,), name)
    if not values["answers"]:
        raise UnsuitableInputError(f"A class label needs an answer at least; '{name}' has none. Write it again.")
    labels = {}
    for task, answer in values["answers"].items():
        if not isinstance(answer, dict) or {"case_id", "task"} & set(answer):
            raise UnsuitableInputError(
                f"In '{name}', an answer needs value, reader and source; found {answer!r}. Write it again."
            )
        labels[task] = _label({**answer, "case_id": values["case_id"], "task": task}, name)
    return {task: labels[task] for task in TASKS if task in labels}


@dataclass(frozen=True)
class _Several:
    """Keys of version 2."""

    case_id: str
    answers: dict


def _label(values: dict, name: str) -> ClassLabel:
    values = checked(ClassLabel, values, name)
    check_choice(values, "task", TASKS, name)
    check_choice(values, "value", (True, False), name)
    for key in ("case_id", "reader", "source"):
        check_type(values, key, (str,), name)
    check_id(values["case_id"])
    return ClassLabel(**values)
