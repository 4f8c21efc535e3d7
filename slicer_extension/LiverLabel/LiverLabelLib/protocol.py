"""The contract's JSON as typed values: lists, labels and trainings; what does not fit is refused with a sentence.

Answers of tasks with their maps are in :mod:`.results`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UnsuitableInputError, UnusableReplyError

CLASS_LABEL_SCHEMA, CLASS_LABEL_VERSION = "liverlabel.class_label", 1
NUMBER, OPTIONAL_NUMBER = (int, float), (int, float, type(None))
TEXT, OPTIONAL_TEXT = (str,), (str, type(None))
_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def parse_json(content: bytes | bytearray | memoryview, what: str) -> Any:
    """Read JSON as the standard allows it.

    Args:
        content: UTF-8.
        what: What it is, for the sentence.
    Raises:
        UnusableReplyError: it is no JSON, or holds NaN or infinity.
    """

    def refuse(word: str) -> None:
        raise UnusableReplyError(f"{what} holds a number that is none ({word}). Update the server.")

    try:
        return json.loads(bytes(content).decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise UnusableReplyError(
            f"{what} needs to be JSON and is not. See that the address is a LiverLabel server's."
        ) from error


@dataclass(frozen=True)
class Fields:
    """An object of the reply whose values are taken by name and type."""

    values: Mapping[str, Any]
    """As it came."""
    what: str
    """What it is, for sentences."""

    @classmethod
    def of(cls, values: Any, what: str) -> Fields:
        """The fields of ``values``, which needs to be an object."""
        if not isinstance(values, dict):
            raise UnusableReplyError(f"{what} needs to be an object; found {str(values)[:40]!r}. Update the server.")
        return cls(values, what)

    def take(self, name: str, kinds: tuple[type, ...]) -> Any:
        """A value.

        Raises:
            UnusableReplyError: it is missing, null where it may not be, of another type, or not finite.
        """
        if name not in self.values:
            raise self.unlike(name, kinds, "nothing")
        value = self.values[name]
        is_wrong_bool = isinstance(value, bool) and bool not in kinds
        if not isinstance(value, kinds) or is_wrong_bool:
            raise self.unlike(name, kinds, "null" if value is None else repr(value)[:40])
        if isinstance(value, float) and not math.isfinite(value):
            raise self.unlike(name, kinds, str(value))
        return value

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A number from ``low`` to ``high``."""
        value = self.take(name, NUMBER)
        if not low <= value <= high:
            raise UnusableReplyError(f"{self.what} needs '{name}' from {low:g} to {high:g}; found {value:g}.")
        return float(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self.take(name, (list,))
        if not all(isinstance(value, str) for value in values):
            raise self.unlike(name, (list,), "other things in it")
        return tuple(values)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects."""
        return [Fields.of(item, f"{self.what}, '{name}'") for item in self.take(name, (list,))]

    def unlike(self, name: str, kinds: tuple[type, ...], found: str) -> UnusableReplyError:
        """What is said of a value that does not fit."""
        asked = " or ".join(w for k, w in _WORDS.items() if k in kinds and not (k is int and float in kinds))
        return UnusableReplyError(
            f"{self.what} needs '{name}' as {asked or 'a value'}; found {found}. Update server and extension."
        )


@dataclass(frozen=True)
class MapInfo:
    """A map that a task answers with."""

    name: str
    """Also the tag under which it is stored."""
    unit: str
    """As the server says."""


@dataclass(frozen=True)
class Task:
    """What the server can be asked."""

    name: str
    """Such as ``pdff``."""
    description: str
    """A line for people."""
    input: str
    """What it is computed from, a line for people."""
    maps: tuple[MapInfo, ...]
    """In the order they are sent."""

    def unit_of(self, map_name: str) -> str | None:
        """The unit of a map, None for one that the task has not."""
        return next((one.unit for one in self.maps if one.name == map_name), None)


@dataclass(frozen=True)
class Case:
    """A stored case or image."""

    id: str
    """Its id."""
    kind: str
    """``case``, or ``image`` for a single file."""
    is_simulated: bool | None
    """None: not known."""
    maps: tuple[str, ...]
    """Tags of stored results."""
    labels: tuple[str, ...]
    """Tags of readers' labels."""


@dataclass(frozen=True)
class NextCase:
    """The case to label next."""

    id: str | None
    """None: all are labelled."""
    reason: str
    """Why this one, a sentence."""
    n_labelled: int
    """Cases that are."""
    n_unlabelled: int
    """Cases that are not."""


@dataclass(frozen=True)
class Progress:
    """How far a request is."""

    state: str
    """``waiting``, ``running``, ``done`` or ``failed``."""
    done: int
    """Steps."""
    total: int
    """Steps; 0: not known yet."""


@dataclass(frozen=True)
class CurvePoint:
    """What was told of one epoch."""

    stage: str | None
    """Of the training."""
    epoch: int | None
    """From 1."""
    n_epochs: int | None
    """In all."""
    loss: float | None
    """Without unit."""
    metric: float | None
    """On held-out patients."""
    metric_name: str | None
    """What the metric is, with its unit."""
    eta_s: float | None
    """Seconds left."""


@dataclass(frozen=True)
class Training:
    """The last training of a task and the weights in use."""

    task: str
    """Of the task."""
    state: str
    """``idle``, ``running``, ``done``, ``stopped``, ``failed`` or ``interrupted``."""
    message: str
    """A sentence."""
    can_resume: bool
    """Whether starting it again goes on from a checkpoint."""
    progress: CurvePoint | None
    """Now."""
    curve: tuple[CurvePoint, ...]
    """Each epoch of each stage."""
    version: int
    """Of the weights in use; 0: those of the package."""
    versions: tuple[int, ...]
    """To which they can be rolled back."""


@dataclass(frozen=True)
class Scoring:
    """How far the scoring of unlabelled cases is."""

    state: str
    """``running`` or ``idle``."""
    done: int
    """Cases."""
    total: int
    """Cases."""
    message: str
    """A sentence."""


@dataclass(frozen=True)
class StoredLabel:
    """What is stored with a case."""

    tag: str
    """Its tag."""
    kind: str
    """``region`` or ``answer``."""
    reader: str | None
    """Who drew or answered it."""
    time: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Disagreement:
    """A case whose readers differ."""

    id: str
    """Of the case."""
    kind: str
    """``region`` or ``answer``."""
    is_labelled: bool
    """False after it was reopened."""
    answers: Mapping[str, bool]
    """Reader -> answer; empty for regions."""
    dice: tuple[tuple[str, str, float], ...]
    """(reader, reader, Dice) of each two regions; empty for answers."""
    unreadable: tuple[str, ...]
    """Readers whose file cannot be used."""
    task: str = ""
    """Which question the answers are on; empty: a region, or the server does not say."""


def read_tasks(value: Any) -> tuple[Task, ...]:
    """``GET /liver/tasks``."""
    tasks = []
    for one in Fields.of(value, "The list of tasks").objects("tasks"):
        maps = tuple(MapInfo(m.take("name", TEXT), m.take("unit", TEXT)) for m in one.objects("maps"))
        tasks.append(Task(one.take("name", TEXT), one.take("description", TEXT), one.take("input", TEXT), maps))
    return tuple(tasks)


def read_cases(value: Any) -> tuple[Case, ...]:
    """``GET /liver/cases``."""
    return tuple(
        Case(
            one.take("id", TEXT),
            one.take("kind", TEXT),
            one.take("is_simulated", (bool, type(None))),
            one.texts("maps"),
            one.texts("labels"),
        )
        for one in Fields.of(value, "The list of cases").objects("cases")
    )


def read_next(value: Any) -> NextCase:
    """``GET /liver/next/{task}``."""
    told = Fields.of(value, "The next case")
    counts = (told.take(name, (int,)) for name in ("n_labelled", "n_unlabelled"))
    return NextCase(told.take("id", OPTIONAL_TEXT), str(told.values.get("reason") or ""), *counts)


def read_progress(value: Any) -> Progress:
    """``GET /liver/progress/{id}``."""
    told = Fields.of(value, "The progress")
    return Progress(told.take("state", TEXT), told.take("done", (int,)), told.take("total", (int,)))


def read_training(value: Any) -> Training:
    """``GET /liver/train/{task}`` and its like."""
    told = Fields.of(value, "The state of the training")
    published = Fields.of(told.take("published", (dict,)), "The weights in use")
    progress = told.take("progress", (dict, type(None)))
    return Training(
        told.take("task", TEXT),
        told.take("state", TEXT),
        told.take("message", TEXT),
        told.take("can_resume", (bool,)),
        None if progress is None else _point(Fields.of(progress, "The progress of the training")),
        tuple(_point(one) for one in told.objects("curve")),
        published.take("version", (int,)),
        tuple(published.take("versions", (list,))),
    )


def _point(told: Fields) -> CurvePoint:
    whole = (int, type(None))
    return CurvePoint(
        told.take("stage", OPTIONAL_TEXT),
        told.take("epoch", whole),
        told.take("n_epochs", whole),
        told.take("loss", OPTIONAL_NUMBER),
        told.take("metric", OPTIONAL_NUMBER),
        told.take("metric_name", OPTIONAL_TEXT),
        told.take("eta_s", OPTIONAL_NUMBER),
    )


def read_scoring(value: Any) -> Scoring:
    """``GET /liver/score/{task}``."""
    told = Fields.of(value, "The state of the scoring")
    return Scoring(
        told.take("state", TEXT),
        told.take("done", (int,)),
        told.take("total", (int,)),
        str(told.values.get("message") or ""),
    )


def read_labels(value: Any) -> tuple[StoredLabel, ...]:
    """``GET /liver/labels/{id}``."""
    return tuple(
        StoredLabel(
            one.take("tag", TEXT), one.take("kind", TEXT), one.take("reader", OPTIONAL_TEXT), one.take("time", TEXT)
        )
        for one in Fields.of(value, "The list of labels").objects("labels")
    )


def read_disagreements(value: Any) -> tuple[Disagreement, ...]:
    """``GET /liver/disagreements``."""
    found = []
    for one in Fields.of(value, "The list of disagreements").objects("disagreements"):
        readers = one.take("readers", (dict, list))
        dice = (
            [(*pair.texts("readers"), pair.number("dice", 0, 1)) for pair in one.objects("dice")]
            if "dice" in one.values
            else []
        )
        found.append(
            Disagreement(
                one.take("id", TEXT),
                one.take("kind", TEXT),
                one.take("is_labelled", (bool,)),
                readers if isinstance(readers, dict) else {},
                tuple(dice),
                tuple(one.values.get("unreadable") or ()),
                str(one.values.get("task") or ""),
            )
        )
    return tuple(found)


def class_label_bytes(case_id: str, task: str, value: bool, reader: str = "", source: str = "") -> bytes:
    """A reader's answer as ``<id>.label.json``, the same bytes for the same answer.

    Raises:
        UnsuitableInputError: the answer is not true or false.
    """
    if not isinstance(value, bool):
        raise UnsuitableInputError(f"An answer needs to be yes or no; found {value!r}. Choose one.")
    head = {"schema": CLASS_LABEL_SCHEMA, "schema_version": CLASS_LABEL_VERSION}
    content = {**head, "case_id": case_id, "task": task, "value": value, "reader": reader, "source": source}
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
