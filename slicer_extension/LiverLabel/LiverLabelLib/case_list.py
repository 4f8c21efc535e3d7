"""What the tables of cases, of waiting annotations and of readers who differ show, as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from .class_answers import answered_tasks
from .client import FINAL
from .outbox import Annotation
from .protocol import Case, Disagreement

TASK_TITLES = {
    "liver_roi": "Liver outline",
    "fibrotic_nash": "Fibrotic NASH",
    "pdff": "Fat fraction (PDFF)",
    "nafld": "Fatty liver (NAFLD)",
}
"""Tasks that learn and are asked for the next case -> what they are called."""
STRATEGIES = {
    "default": "Unknown and unlike (default)",
    "random": "Any case (random)",
    "coverage": "Typical cases first (coverage)",
    "core_set": "Farthest from labelled cases (core_set)",
    "variance": "Most uncertain number (variance)",
    "entropy": "Most uncertain class (entropy)",
    "least_confidence": "Least likely class (least_confidence)",
    "bald": "Members disagree (bald)",
}
"""Ways to choose the next case, as the server calls them -> what they are called."""
SIMULATED = {True: "simulated", False: "measured", None: "not known"}
NONE = "–"
MAX_ROWS = 200
"""Rows that a table is filled with at once; more would keep the window from answering."""


def is_labelled(case: Case) -> bool:
    """Whether a reader's label is stored that methods learn from."""
    return FINAL in case.labels


def case_row(case: Case) -> tuple[str, ...]:
    """Id, kind, simulated, labelled, stored results."""
    kind = "single image" if case.kind == "image" else case.kind
    labelled = "labelled" if is_labelled(case) else NONE
    return case.id, kind, SIMULATED[case.is_simulated], labelled, ", ".join(case.maps) or NONE


def filtered(cases: Iterable[Case], typed: str) -> list[Case]:
    """The cases in whose row every typed word occurs, in small or capital letters."""
    words = typed.casefold().split()
    return [one for one in cases if all(word in " ".join(case_row(one)).casefold() for word in words)]


def count_of_cases(n_found: int, cases: Sequence[Case]) -> str:
    """How many cases there are, how many of them the filter finds and the table shows."""
    n_labelled = sum(map(is_labelled, cases))
    found = "" if n_found == len(cases) else f"{n_found} found of "
    shown = f" The first {MAX_ROWS} are shown; filter to see others." if n_found > MAX_ROWS else ""
    return f"{found}{len(cases)} {_cases(len(cases))}, {n_labelled} labelled.{shown}"


def next_counts(n_labelled: int, n_unlabelled: int) -> str:
    """How far the labelling is."""
    return f"{n_labelled} labelled, {n_unlabelled} not."


def disagreement_rows(found: Iterable[Disagreement]) -> list[tuple[str, ...]]:
    """Case, what is disagreed on, Dice, readers: a row for each two regions, and for each case's answers."""
    rows = []
    for one in found:
        kind = _kind(one.kind, [one.task] if one.task else []) + ("" if one.is_labelled else " (reopened)")
        unreadable = [f"the file of {reader} cannot be used" for reader in one.unreadable]
        for first, second, dice in one.dice:
            rows.append((one.id, kind, f"{dice:.2f}", f"{first}, {second}"))
        answers = [f"{reader}: {'yes' if answer else 'no'}" for reader, answer in one.answers.items()]
        if answers or unreadable:
            rows.append((one.id, kind, NONE, ", ".join(answers + unreadable)))
    return rows


def annotation_row(one: Annotation, connected: str | None) -> tuple[str, ...]:
    """Case, kind, reader, why it waits, local time, server.

    Args:
        one: What waits.
        connected: Address of the connected server; None: none is.
    """
    isAnswer = one.file_name.endswith(".label.json")
    kind = _kind("answer", answered_tasks(one.content)) if isAnswer else "region"
    if connected is None:
        why = "No server is connected."
    elif one.address != connected:
        why = f"Cannot be sent now: it belongs to {one.address}. Connect to that server."
    else:
        why = one.refusal or "Not sent yet."
    return one.case_id, kind, one.reader or NONE, why, _local_time(one.id), one.address


def _kind(kind: str, tasks: Iterable[str]) -> str:
    """Of a label, with what is answered."""
    titles = ", ".join(TASK_TITLES.get(task, task) for task in tasks)
    return f"{kind}: {titles}" if titles else kind


def _local_time(annotation_id: str) -> str:
    """When an annotation was kept: its id begins with nanoseconds since 1970."""
    digits = annotation_id.partition("-")[0]
    if not digits.isdigit():
        return NONE
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(int(digits) / 1e9))
    except (OverflowError, OSError, ValueError):
        return NONE


def _cases(n: int) -> str:
    return "case" if n == 1 else "cases"
