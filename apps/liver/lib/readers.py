"""Where readers of the same case differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from liver_models.errors import UnsuitableInputError
from liver_models.io.files import read_bytes
from liver_models.learning.overlap import dice

from .answers import answers_in
from .index import Index
from .layout import ANSWER, LABELS, READER_LABELS, Entry, Layout

AGREEING_DICE = 0.8
"""Regions of two readers that overlap less disagree."""
Checked = Callable[[str, Entry], Entry]


def disagreements(index: Index, layout: Layout, checked: Checked, tag: str) -> list[dict[str, Any]]:
    """The cases whose readers differ, by id and kind.

    Args:
        index: Of the folder.
        layout: Of the folder.
        checked: The entry of a table after its file was compared with its digest.
        tag: Under which the labels lie.
    Returns:
        ``id``, ``kind``, ``is_labelled`` (False after the case was reopened), and for answers ``task`` and ``readers``
        (name -> answer), each task by itself, for regions ``readers`` (names) and ``dice`` (of each pair).
        ``unreadable`` names readers whose file cannot be used, and why.
    """
    with index.lock:
        images = {row[0] for row in index.read("SELECT image FROM images")}
        current = index.entries(LABELS, tag=tag)
        latest = {
            (entry.image, entry.kind, entry.reader): (READER_LABELS, entry)
            for entry in index.entries(READER_LABELS, tag=tag)
        }
    for entry in current:  # One that came into the folder by hand has no copy.
        if entry.reader:
            latest.setdefault((entry.image, entry.kind, entry.reader), (LABELS, entry))
    groups: dict[tuple[str, str], list[tuple[str, Entry]]] = {}
    for image, kind, reader in sorted(latest):
        if image in images:
            groups.setdefault((image, kind), []).append(latest[image, kind, reader])
    is_labelled = {(entry.image, entry.kind) for entry in current}
    listed = []
    for (image, kind), stored in groups.items():
        if len(stored) < 2:
            continue
        compare = _answers if kind == ANSWER else _regions
        for found in compare(index, layout, checked, stored):
            listed.append({"id": image, "kind": kind, "is_labelled": (image, kind) in is_labelled, **found})
    return listed


def lowest_dice(one: Path, other: Path) -> float:
    """The Dice of two regions; of several labels in a file that of the worst; 0 where they lie in other geometries.

    Raises:
        UnsuitableInputError: a file is no volume.
    """
    from liver_models.io.volumes import read_volume

    (first, first_affine), (second, second_affine) = read_volume(one), read_volume(other)
    if first.shape != second.shape or not np.allclose(first_affine, second_affine, atol=1e-3):
        return 0.0
    found = []
    for value in sorted({*np.unique(first).tolist(), *np.unique(second).tolist()} - {0}):
        found.append(dice(first == value, second == value))
    return min(found, default=1.0)


def _answers(_: Index, layout: Layout, checked: Checked, stored: list[tuple[str, Entry]]) -> list[dict[str, Any]]:
    answers: dict[str | None, dict[str, Any]] = {}
    unreadable = {}
    for table, entry in stored:
        try:
            content = read_bytes(layout.file(table, checked(table, entry)))
            if found := answers_in(content):
                told = {task: one.value for task, one in found.items() if one.reader in ("", entry.reader)}
            else:
                told = {None: json.loads(content)["value"]}
            for task, value in told.items():
                answers.setdefault(task, {})[entry.reader] = value
        except UnsuitableInputError as error:
            unreadable[entry.reader] = str(error)
        except (OSError, ValueError, KeyError, TypeError):
            unreadable[entry.reader] = "An answer needs to be JSON with a 'value'; this one is not. Store it again."
    if unreadable and not answers:
        answers[None] = {}
    listed = []
    for task, values in answers.items():
        differs = len({json.dumps(value, sort_keys=True) for value in values.values()}) > 1
        if differs or unreadable:
            listed.append({"task": task, "readers": values} | ({"unreadable": unreadable} if unreadable else {}))
    return listed


def _regions(index: Index, layout: Layout, checked: Checked, stored: list[tuple[str, Entry]]) -> list[dict[str, Any]]:
    usable, unreadable, pairs = [], {}, []
    for table, entry in stored:
        try:
            usable.append((table, checked(table, entry)))
        except UnsuitableInputError as error:
            unreadable[entry.reader] = str(error)
        except OSError:
            unreadable[entry.reader] = "The file is gone. Store it again."
    for (table, one), (other_table, other) in combinations(usable, 2):
        assert one.sha256 is not None and other.sha256 is not None
        overlap = 1.0 if one.sha256 == other.sha256 else index.dice(one.sha256, other.sha256)
        if overlap is None:
            try:
                overlap = lowest_dice(layout.file(table, one), layout.file(other_table, other))
            except UnsuitableInputError as error:
                unreadable[other.reader] = str(error)
                continue
            index.put_dice(one.sha256, other.sha256, overlap)
        pairs.append({"readers": [one.reader, other.reader], "dice": round(overlap, 4)})
    if not unreadable and all(pair["dice"] >= AGREEING_DICE for pair in pairs):
        return []
    found = {"readers": [entry.reader for _, entry in stored], "dice": pairs}
    return [found | ({"unreadable": unreadable} if unreadable else {})]
