"""What an outline and its marks were before each step, so that steps are undone and done again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import slicer.util

DEPTH = 20
"""Steps that are remembered; the oldest goes first."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Segments, marks, and what was told to the server, at one moment."""

    segments: dict[str, Any]
    """Role -> a copy of the vtkSegmentation with its names, colours and tags; None: there were no segments."""
    points: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """(class, role) of a markup -> its placed points, world millimetres, shape (n, 3)."""
    told: tuple = ()
    """Kept with it."""


class History:
    """Undo and redo, bounded."""

    def __init__(self, depth: int = DEPTH):
        self._depth = depth
        self._past: list[Snapshot] = []
        self._future: list[Snapshot] = []

    def remember(self, before: Snapshot) -> None:
        """Note how it was before a change; what was undone cannot be done again from here."""
        self._past = [*self._past, before][-self._depth :]
        self._future = []

    def undo(self, now: Snapshot) -> Snapshot | None:
        """How it was before the last step; None: no step is left."""
        return _go(self._past, self._future, now)

    def redo(self, now: Snapshot) -> Snapshot | None:
        """How it was after the step that was undone last; None: there is none."""
        return _go(self._future, self._past, now)

    @property
    def canUndo(self) -> bool:
        """Whether a step can be undone."""
        return bool(self._past)

    @property
    def canRedo(self) -> bool:
        """Whether a step can be done again."""
        return bool(self._future)

    def clear(self) -> None:
        """Another case: nothing of the former is restored into it."""
        self._past, self._future = [], []


def _go(source: list[Snapshot], target: list[Snapshot], now: Snapshot) -> Snapshot | None:
    if not source:
        return None
    target.append(now)
    return source.pop()


def copyOf(node):
    """A copy of a segmentation node's segments; None where there is none or it is empty."""
    if node is None or node.GetSegmentation().GetNumberOfSegments() == 0:
        return None
    kept = slicer.vtkSegmentation()
    kept.DeepCopy(node.GetSegmentation())
    return kept


def restore(node, kept) -> None:
    """Put a copy of segments back into their node."""
    with slicer.util.NodeModify(node):
        if kept is None:
            node.GetSegmentation().RemoveAllSegments()
        else:
            node.GetSegmentation().DeepCopy(kept)


def placedPoints(node) -> np.ndarray:
    """The placed points of a markup, world millimetres, shape (n, 3); one that hangs on the mouse is none."""
    if node is None:
        return np.empty((0, 3))
    placed = [
        node.GetNthControlPointPositionWorld(index)
        for index in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined
    ]
    return np.array(placed, float).reshape(-1, 3)


def placePoints(node, points) -> None:
    """Replace a markup's points, world millimetres, shape (n, 3)."""
    with slicer.util.NodeModify(node):
        node.RemoveAllControlPoints()
        for point in points:
            node.AddControlPointWorld(*point)
