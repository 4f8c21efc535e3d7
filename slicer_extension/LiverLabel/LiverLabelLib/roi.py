"""What the reader draws, clicks and boxes in an image <-> its voxels; undo; observers that end with their module.

Voxel coordinates are continuous indices (i, j, k) of a volume; whole numbers are voxel centres. Markups live in the
world (RAS+), and the volume may lie under a transform: both ways go through :func:`indexToWorld`.
"""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk

from .case_nodes import nodeFor
from .errors import UnsuitableInputError
from .geometry import ijk_to_ras, rasterise_curve
from .mrml_io import affineOf, shapeOf

FOREGROUND, BACKGROUND = "clicks.foreground", "clicks.background"


def indexToWorld(volume) -> np.ndarray:
    """Voxel index to world millimetres, RAS+, with the transforms that the volume lies under; shape (4, 4).

    Raises:
        UnsuitableInputError: the volume lies under a transform that bends it.
    """
    if (parent := volume.GetParentTransformNode()) is None:
        return affineOf(volume)
    matrix = vtk.vtkMatrix4x4()
    if not parent.IsTransformToWorldLinear() or not parent.GetMatrixTransformToWorld(matrix):
        raise UnsuitableInputError(
            f"'{volume.GetName()}' needs to lie straight; it lies under the bending transform '{parent.GetName()}'. "
            "Take it out from under that transform."
        )
    return slicer.util.arrayFromVTKMatrix(matrix) @ affineOf(volume)


def toIndices(points, volume) -> np.ndarray:
    """World points, shape (n, 3), as continuous voxel indices of a volume, shape (n, 3)."""
    inverse = np.linalg.inv(indexToWorld(volume))
    return np.asarray(points, float).reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3]


def toWorld(indices, volume) -> np.ndarray:
    """Continuous voxel indices of a volume, shape (n, 3), as world points, shape (n, 3)."""
    affine = indexToWorld(volume)
    return np.asarray(indices, float).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]


def curveFor(case: str, role: str = "roi.curve", name: str = "Region"):
    """The case's closed curve of that role, made if there is none."""
    node = nodeFor("vtkMRMLMarkupsClosedCurveNode", case, role, name)
    node.CreateDefaultDisplayNodes()
    node.SetUndoEnabled(True)
    return node


def setPoints(markups, indices, volume) -> None:
    """Replace the control points of a curve or of clicks by voxels of a volume."""
    slicer.util.updateMarkupsControlPointsFromArray(markups, toWorld(indices, volume), world=True)


def curveIndices(curve, volume) -> np.ndarray:
    """The drawn line, as smooth as it is shown, in continuous voxel indices, shape (n, 3).

    Raises:
        UnsuitableInputError: fewer than three points are placed.
    """
    if (n := curve.GetNumberOfDefinedControlPoints()) < 3:
        raise UnsuitableInputError(f"A region needs at least 3 points; '{curve.GetName()}' has {n}. Click more points.")
    return toIndices(slicer.util.arrayFromMarkupsCurvePoints(curve, world=True), volume)


def maskFromCurveNode(curve, volume) -> np.ndarray:
    """The voxels that a curve drawn in one slice encloses, as :func:`.geometry.rasterise_curve`; (x, y, z), bool.

    Raises:
        UnsuitableInputError: too few points, not in one slice, outside the volume, or less than half a voxel within.
    """
    affine, points = affineOf(volume), curveIndices(curve, volume)
    try:
        return rasterise_curve(ijk_to_ras(affine, points), shapeOf(volume), affine)
    except UnsuitableInputError as error:
        raise UnsuitableInputError(f"'{curve.GetName()}' on '{volume.GetName()}': {error}") from None


def clicksFor(case: str, role: str = FOREGROUND, name: str = ""):
    """The case's clicks of that role, made if there are none."""
    node = nodeFor("vtkMRMLMarkupsFiducialNode", case, role, name or role.removeprefix("clicks."))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSelectedColor(*((0.2, 0.9, 0.3) if role == FOREGROUND else (0.95, 0.25, 0.2)))
    node.SetUndoEnabled(True)
    return node


def clickedVoxels(clicks, volume) -> list[list[int]]:
    """The voxels that were clicked, as the server takes them: [[i, j, k], …].

    Raises:
        UnsuitableInputError: a click outside the volume.
    """
    placed = [index for index in range(clicks.GetNumberOfControlPoints()) if _isPlaced(clicks, index)]
    points = [clicks.GetNthControlPointPositionWorld(index) for index in placed]
    voxels = np.rint(toIndices(points, volume)).astype(int)
    for index, voxel in zip(placed, voxels, strict=True):
        if np.any(voxel < 0) or np.any(voxel >= shapeOf(volume)):
            raise UnsuitableInputError(
                f"A click needs to lie in '{volume.GetName()}'; '{clicks.GetNthControlPointLabel(index)}' does not. "
                "Delete it, or choose the image it was made in."
            )
    return voxels.tolist()


def _isPlaced(markups, index: int) -> bool:
    return markups.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined


def boxFor(case: str, role: str = "swe.box", name: str = "SWE box"):
    """The case's box of that role, such as where the stiffness map lies in its picture."""
    node = nodeFor("vtkMRMLMarkupsROINode", case, role, name)
    node.CreateDefaultDisplayNodes()
    return node


def setBox(box, first, last, volume) -> None:
    """Let a box hold the voxels from ``first`` to ``last``, both included, square on to the volume."""
    first, last = np.minimum(first, last), np.maximum(first, last)
    affine = indexToWorld(volume)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    place = np.eye(4)
    place[:3, :3] = affine[:3, :3] / steps
    place[:3, 3] = toWorld((first + last) / 2, volume)[0]
    with slicer.util.NodeModify(box):
        box.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(place))
        box.SetSize(*((last - first + 1) * steps))


def boxedVoxels(box, volume) -> tuple[list[int], list[int]]:
    """The first and last voxel whose centre a box holds, cut off at the volume's edge.

    Raises:
        UnsuitableInputError: no voxel lies within.
    """
    size, place = np.array(box.GetSize()), slicer.util.arrayFromVTKMatrix(box.GetObjectToWorldMatrix())
    corners = np.array([[x, y, z, 2] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    indices = toIndices((corners * [*size, 1] @ place.T)[:, :3], volume)
    # A face that lies on a voxel's edge does not take the next voxel, whatever was rounded.
    first = np.maximum(np.ceil(indices.min(axis=0) - 1e-6), 0).astype(int)
    last = np.minimum(np.floor(indices.max(axis=0) + 1e-6), np.array(shapeOf(volume)) - 1).astype(int)
    if np.any(last < first):
        raise UnsuitableInputError(
            f"The box '{box.GetName()}' needs to lie in '{volume.GetName()}'; no voxel is in it. Move it there."
        )
    return first.tolist(), last.tolist()


class UndoStack:
    """Undo and redo of the control points of markups, step by step; a node that is gone is passed over."""

    def __init__(self, nodes, depth: int = 50):
        self._ids = [node.GetID() for node in nodes]
        self._depth = depth
        self._past, self._future = [], []

    def remember(self) -> None:
        """Call before each change."""
        self._past = [*self._past, self._snapshot()][-self._depth :]
        self._future = []

    def undo(self) -> bool:
        """Go back one change; False if there is none."""
        return self._go(self._past, self._future)

    def redo(self) -> bool:
        """Go forward again; False if there is nothing to redo."""
        return self._go(self._future, self._past)

    def _go(self, source, target) -> bool:
        if not source:
            return False
        target.append(self._snapshot())
        for nodeId, points in source.pop().items():
            if (node := slicer.mrmlScene.GetNodeByID(nodeId)) is not None:
                slicer.util.updateMarkupsControlPointsFromArray(node, points)
        return True

    def _snapshot(self) -> dict[str, np.ndarray]:
        nodes = {nodeId: slicer.mrmlScene.GetNodeByID(nodeId) for nodeId in self._ids}
        return {
            nodeId: np.array(slicer.util.arrayFromMarkupsControlPoints(node)).reshape(-1, 3)
            for nodeId, node in nodes.items()
            if node is not None
        }


class Observers:
    """Observers that are all removed by one call, also after their nodes are gone."""

    def __init__(self):
        self._tags: list[tuple[object, int]] = []

    def add(self, subject, event, call) -> None:
        """Let ``call(caller, event)`` follow an event of a node or of the scene."""
        self._tags.append((subject, subject.AddObserver(event, call)))

    def removeAll(self) -> None:
        """Remove every observer that was added here."""
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags = []

    def __enter__(self) -> Observers:
        return self

    def __exit__(self, *unused) -> None:
        self.removeAll()
