"""What the reader marks on the image of a case: clicks and curves, as voxels in the order of the server's volume.

3D Slicer turns a left-handed volume when it reads it from a saved scene, so the scene's voxel indices may count the
other way than the server's. Marks are turned here; a picture has one order only.
"""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from .case_nodes import findNode, nodeFor
from .errors import UnsuitableInputError
from .geometry import outline_mask, rasterise_curve, thin_outline
from .mrml_io import affineOf, shapeOf
from .outline_history import placedPoints, placePoints
from .roi import BACKGROUND, FOREGROUND, clickedVoxels, curveIndices, indexToWorld, setPoints, toIndices

CURVE = "roi.curve"
FIDUCIALS, CURVES = "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsClosedCurveNode"
CLICK_ROLES = {"foreground": FOREGROUND, "background": BACKGROUND}
"""Name in a request -> role of the clicks."""
MARKUPS = ((FIDUCIALS, FOREGROUND), (FIDUCIALS, BACKGROUND), (CURVES, CURVE))
"""Class and role of what the reader marks with."""
_MOST_CORNERS = 400
"""Of a curve that is sent: as smooth as it is drawn."""


class CaseMarks:
    """The marks of the open case, and which of them the outline shows already."""

    def __init__(self, session):
        self._session = session
        self.clear()

    def clear(self) -> None:
        """Know of no mark any more."""
        self.order: list[str] = []
        """``foreground`` or ``background`` of each click, as they were placed."""
        self.contours: list[list[float]] = []
        """Contours that were sent; they hold until the clicks are cleared."""
        self.applied: dict[int, tuple] = {}
        """Slice -> marks that the outline was refined by."""

    def node(self, kind: str, role: str):
        """A markups node of the open case, or None."""
        return findNode(kind, self._session.caseId, role) if self._session.caseId else None

    @property
    def curve(self):
        """The curve being edited or drawn, or None."""
        return self.node(CURVES, CURVE)

    def nClicks(self, name: str) -> int:
        """How many ``foreground`` or ``background`` clicks are placed."""
        return len(placedPoints(self.node(FIDUCIALS, CLICK_ROLES[name])))

    def points(self) -> dict[tuple[str, str], np.ndarray]:
        """The placed points of all markups."""
        return {key: placedPoints(self.node(*key)) for key in MARKUPS}

    def place(self, points: dict[tuple[str, str], np.ndarray]) -> None:
        """Replace the points of markups."""
        for (kind, role), placed in points.items():
            node = self.node(kind, role)
            if node is None and len(placed):
                node = nodeFor(kind, self._session.caseId, role, role)
            if node is not None:
                placePoints(node, placed)

    def told(self) -> tuple:
        """What :meth:`tellAgain` brings back."""
        return list(self.order), list(self.contours), dict(self.applied)

    def tellAgain(self, told: tuple) -> None:
        """Bring order, contours and what was applied back."""
        self.order, self.contours, self.applied = list(told[0]), list(told[1]), dict(told[2])

    def lastClick(self) -> str:
        """``foreground`` or ``background`` of the click that was placed last, as far as known; empty: there is none."""
        while self.order and self.nClicks(self.order[-1]) < self.order.count(self.order[-1]):
            self.order.pop()
        return self.order[-1] if self.order else next((name for name in CLICK_ROLES if self.nClicks(name)), "")

    @property
    def hasMarks(self) -> bool:
        """Whether there is a click or a contour that was sent."""
        return bool(self.contours) or any(self.nClicks(name) for name in CLICK_ROLES)

    def asRequest(self, image, turn) -> dict[str, list]:
        """Every mark as a request holds it, contours that were sent before included.

        Raises:
            UnsuitableInputError: a click outside the image.
        """
        nodes = {name: self.node(FIDUCIALS, role) for name, role in CLICK_ROLES.items()}
        return {**clicksAsMarks(nodes, image, turn), "contour": list(self.contours)}


def serverTurn(image, affine) -> np.ndarray:
    """Voxel index in the scene's image to that of the server's volume, shape (4, 4).

    Args:
        image: Volume node.
        affine: The server's; None for a picture.
    """
    return np.eye(4) if affine is None else np.linalg.solve(affine, affineOf(image))


def sliceAxis(turn) -> int:
    """Along which axis of the scene's image the server counts its slices."""
    return int(np.argmax(np.abs(turn[2, :3])))


def clicksAsMarks(nodes, image, turn) -> dict[str, list[list[int]]]:
    """The placed clicks as a request holds them.

    Args:
        nodes: Name in a request -> clicks' node or None.
        image: Volume node.
        turn: As :func:`serverTurn`.
    Raises:
        UnsuitableInputError: a click outside the image.
    """
    marks = {}
    for name, node in nodes.items():
        voxels = np.array([] if node is None else clickedVoxels(node, image), float).reshape(-1, 3)
        marks[name] = np.rint(_turned(voxels, turn)).astype(int).tolist()
    return marks


def curveAsMarks(curve, image, turn, shape) -> list[list[float]]:
    """A curve's line as corners of a contour on one slice of the server's volume; cut off at the image's edge.

    Args:
        curve: Closed curve node.
        image: Volume node.
        turn: As :func:`serverTurn`.
        shape: Of the server's volume.
    Raises:
        UnsuitableInputError: fewer than three points, or not on one of the server's slices.
    """
    line = _turned(curveIndices(curve, image), turn)
    line = line[:: max(1, len(line) // _MOST_CORNERS)]
    index = int(np.rint(np.median(line[:, 2])))
    apart = float(np.abs(line[:, 2] - index).max())
    if apart > 0.5 + 1e-6 or not 0 <= index < shape[2]:
        raise UnsuitableInputError(
            f"The server refines one slice of '{image.GetName()}'; this curve leaves slice {index} by {apart:.2g} "
            "slices. Draw it in the view that shows the image's own slices, or use it as drawn."
        )
    last = np.array(shape[:2]) - 1
    corners = np.clip(line[:, :2], 0, last)
    return [[round(float(i), 2), round(float(j), 2), index] for i, j in corners]


def marksBySlice(marks) -> dict[int, tuple]:
    """Slice of the server's volume -> what is marked on it, to see where something changed."""
    found: dict[int, list] = {}
    for name in sorted(marks):
        for point in marks[name]:
            found.setdefault(int(round(point[2])), []).append((name, *point))
    return {index: tuple(points) for index, points in found.items()}


def shownSlice(image, axis: int) -> int:
    """The slice of an image that the reader looks at.

    The slice view counts whose normal is closest to the axis.

    Raises:
        UnsuitableInputError: no view shows a slice of it.
    """
    n = shapeOf(image)[axis]
    if n == 1:
        return 0
    normal = indexToWorld(image)[:3, axis] / np.linalg.norm(indexToWorld(image)[:3, axis])
    views = []
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        place = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        views.append((abs(float(place[:3, 2] @ normal)), place[:3, 3]))
    closeness, place = max(views, key=lambda one: one[0], default=(0.0, np.zeros(3)))
    index = int(np.rint(toIndices([place], image)[0, axis]))
    if closeness < 0.7 or not 0 <= index < n:
        found = "none is shown" if closeness < 0.7 else f"the view is at slice {index} of {n}"
        raise UnsuitableInputError(
            f"A slice of '{image.GetName()}' needs to be in a slice view; {found}. Scroll the view to the image."
        )
    return index


def curveFromMask(curve, mask, image, axis: int, index: int) -> None:
    """Lay a curve of draggable points around the largest part of one slice of a mask.

    Args:
        curve: Closed curve node; its points are replaced.
        mask: Shape (x, y, z), bool.
        image: Volume node.
        axis, index: Of the slice.
    Raises:
        UnsuitableInputError: nothing is outlined on that slice.
    """
    outlines = outline_mask(np.moveaxis(mask, axis, 0)[index])
    if not outlines:
        raise UnsuitableInputError(
            "The slice that is shown needs an outline to edit; it has none. Draw a curve on it, or scroll to another."
        )
    points = thin_outline(max(outlines, key=_areaOf))
    indices = np.full((len(points), 3), float(index))
    indices[:, [other for other in range(3) if other != axis]] = points
    setPoints(curve, indices, image)


def withCurve(mask, inside, axis: int) -> np.ndarray:
    """A mask whose part under a curve is given the curve's shape, on the curve's slice only.

    The part of the slice that the curve meets most is replaced; other parts and that part's holes stay.

    Args:
        mask: Shape (x, y, z), bool.
        inside: What the curve encloses, of the same shape.
        axis: Across the slice.
    """
    index = int(np.argwhere(inside)[0][axis])
    changed = mask.copy()
    old, new = np.moveaxis(changed, axis, 0)[index], np.moveaxis(inside, axis, 0)[index]
    parts = [_filled(outline, old.shape) for outline in outline_mask(old) if _areaOf(outline) > 0.5]
    met = max(parts, key=lambda part: int((part & new).sum()), default=None)
    if met is not None and (met & new).any():
        holes = met & ~old
        old[met] = False
        old[new & ~holes] = True
    else:
        old[new] = True
    return changed


def _filled(outline, shape) -> np.ndarray:
    points = np.c_[outline, np.zeros(len(outline))]
    return rasterise_curve(points, (*shape, 1), np.eye(4), axis=2)[:, :, 0]


def _areaOf(outline) -> float:
    """Of a closed outline, square pixels; the inside lies on the left, so that holes are below 0."""
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _turned(voxels, turn) -> np.ndarray:
    return voxels @ turn[:3, :3].T + turn[:3, 3]
