"""The liver's outline of the open case: what is proposed, refined, edited, undone and saved. It knows no windows.

One for all panels of a session, so that an outline that was edited in one module is known as edited in the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import vtk

from . import outline_marks as marks_of
from .case_opening import isStored, markProposed
from .case_view import outlinedImage
from .errors import UnsuitableInputError
from .geometry import voxel_volume_ml
from .mrml_io import checkSameGeometry, turnedLike
from .outline_history import History, Snapshot
from .outline_marks import CLICK_ROLES, CURVE, FIDUCIALS, MARKUPS, CaseMarks
from .outline_save import Saving
from .outline_segments import CaseSegments
from .results import RegionAnswer
from .roi import Observers, clicksFor, curveFor, maskFromCurveNode
from .session import CASE, Session

_outlines: dict[Session, Outline] = {}


def outlineOf(session: Session) -> Outline:
    """The session's one outline, made when it is asked for first; its users :meth:`Outline.release` it."""
    if session not in _outlines:
        _outlines[session] = Outline(session)
    _outlines[session].nUsers += 1
    return _outlines[session]


class Outline:
    """Use :func:`outlineOf`."""

    def __init__(self, session: Session):
        self._session = session
        self.nUsers = 0
        self.history = History()
        self.changed: list[Callable[[], None]] = []
        """Called after any change."""
        self.answer: RegionAnswer | None = None
        """Of the proposal or refinement that is shown."""
        self.isEdited = False
        """The reader changed it since it was proposed or saved."""
        self.state = ""
        """Whether it is saved, for the reader."""
        self.areDiscsEdited = False
        """The reader moved what PDFF is read in since it was proposed."""
        self.version = 0
        """Counts changes of the segments."""
        self._opened = session.opened
        self.saving = Saving(self, session)
        self.reader = CaseMarks(session)
        """What the reader marked."""
        self._points: dict = {}
        self._nAnswered = 0
        self._segments = CaseSegments(session, self._edited, self._onDiscs)
        self._sceneObservers = Observers()
        scene = slicer.mrmlScene
        self._sceneObservers.add(scene, scene.NodeAboutToBeRemovedEvent, self._onNodeRemoved)
        self._stopFollowing = session.observe(CASE, self._onCase)
        self.notice()

    # -- what there is

    @property
    def image(self):
        """The node of the image that is outlined; None where no case is open."""
        return self._segments.image

    @property
    def hasOutline(self) -> bool:
        """Whether there is a segment."""
        return self._segments.hasOutline

    @property
    def node(self):
        """The segmentation, or None."""
        return self._segments.node()

    @property
    def hasCurve(self) -> bool:
        """Whether a curve with points is there."""
        return any(len(points) for key, points in self.reader.points().items() if key == MARKUPS[2])

    def clicks(self, name: str):
        """The node of clicks ``foreground`` or ``background``, made if there is none."""
        title = {"foreground": "Liver", "background": "Not liver"}[name]
        return clicksFor(self._session.caseId, CLICK_ROLES[name], title)

    def mask(self) -> np.ndarray:
        """The liver in the image's voxels, shape (x, y, z), bool."""
        return self._segments.mask()

    @property
    def size(self) -> str:
        """Of the liver as it was answered last: "16.2 ml, 1,200 pixels", or pixels alone of a picture."""
        pixels = f"{self._nAnswered:,} pixels"
        if self._affine() is None:
            return pixels
        return f"{self._nAnswered * voxel_volume_ml(self._affine()):,.1f} ml, {pixels}"

    # -- what the server answered

    def show(self, answer: RegionAnswer) -> None:
        """Show a proposal in the outline's place; the former one can be had back by undo.

        Raises:
            UnsuitableInputError: it does not fit the image.
        """
        before = self._snapshot()
        self._segments.show(answer, self._affine() is None)
        markProposed(self.node)
        self.areDiscsEdited = False
        self.history.remember(before)
        self.reader.applied = {}
        self.isEdited = False
        self._nAnswered = answer.n_pixels
        self._answered(answer, "Proposed, not saved yet.")

    def refine(self, answer: RegionAnswer, marks: dict, asked: int | None = None) -> None:
        """Show a refinement where marks changed since the last; slices without changed marks keep what they have.

        Args:
            answer: The server's.
            marks: What was sent.
            asked: ``version`` when it was sent: what was painted since can be had back by undo.
        Raises:
            UnsuitableInputError: it does not fit the image.
        """
        told = marks_of.marksBySlice(marks)
        if asked is not None and asked != self.version:
            self.history.remember(self._snapshot())
        if not self.hasOutline:
            self._nAnswered = answer.n_pixels
            self._segments.show(answer, self._affine() is None)
        else:
            volume = answer.maps["liver_roi"]
            where = np.zeros(volume.shape, bool)
            applied = self.reader.applied
            where[:, :, [k for k in {*told, *applied} if told.get(k) != applied.get(k)]] = True
            region, where = self._inScene(volume.array > 0, volume), self._inScene(where, volume)
            mask = np.where(where, region, self.mask())
            self._nAnswered = int(mask.sum())
            self._segments.write(mask)
        self.reader.applied = told
        self.isEdited = True
        self._answered(answer, "Refined, not saved yet.")

    def marks(self) -> dict[str, list]:
        """Every mark of the case as a request holds it, contours that were sent before included.

        Raises:
            UnsuitableInputError: a click outside the image.
        """
        return self.reader.asRequest(self.image, self._turn())

    def marksWithCurve(self) -> dict[str, list]:
        """Every mark and the curve in the place of an earlier contour of its slice.

        Raises:
            UnsuitableInputError: the curve has fewer than three points or lies on no slice of the server's.
        """
        contour = marks_of.curveAsMarks(self._drawn(), self.image, self._turn(), self._shape())
        kept = [point for point in self.reader.contours if point[2] != contour[0][2]]
        return {**self.marks(), "contour": [*kept, *contour]}

    def refineByCurve(self, answer: RegionAnswer, marks: dict) -> None:
        """As :meth:`refine`, and the curve is done with."""
        before = self._snapshot()
        self.refine(answer, marks)
        self.history.remember(before)
        self.reader.contours = list(marks["contour"])
        self.dropCurve()

    # -- what the reader does

    def placed(self, name: str) -> bool:
        """A click was placed, moved or removed by the mouse: one step; False: nothing changed."""
        isChanged = self.moved()
        n = self.reader.nClicks(name) - self.reader.order.count(name)
        self.reader.order += [name] * max(n, 0)
        return isChanged

    def moved(self) -> bool:
        """Markups were changed by the mouse: one step; False: nothing moved."""
        points = self.reader.points()
        if all(np.array_equal(points[key], self._points[key]) for key in points):
            return False
        self.history.remember(self._snapshot(self._points))
        self._points = points
        self.tell()
        return True

    def deleteLastClick(self) -> bool:
        """Take the click that was placed last away; False: there is none."""
        if not (name := self.reader.lastClick()):
            return False
        self.history.remember(self._snapshot())
        del self.reader.order[-1:]
        key = (FIDUCIALS, CLICK_ROLES[name])
        self.reader.place({key: self.reader.points()[key][:-1]})
        self.notice()
        return True

    def clearMarks(self) -> None:
        """Take all clicks and sent contours away; the outline stays as it is."""
        self.history.remember(self._snapshot())
        self.reader.place({key: [] for key in MARKUPS[:2]})
        self.reader.clear()
        self.notice()
        self.tell()

    def editCurve(self) -> None:
        """Lay a curve around the outline on the slice that is shown.

        Raises:
            UnsuitableInputError: no slice of the image is shown, or nothing is outlined on it.
        """
        axis = marks_of.sliceAxis(self._turn())
        index = marks_of.shownSlice(self.image, axis)
        before = self._snapshot()
        curve = curveFor(self._session.caseId, CURVE, "Outline")
        marks_of.curveFromMask(curve, self.mask(), self.image, axis, index)
        self.history.remember(before)
        self.notice()
        self.tell()

    def newCurve(self):
        """An empty curve to be drawn with the mouse; its node."""
        self.history.remember(self._snapshot())
        curve = curveFor(self._session.caseId, CURVE, "Outline")
        self.reader.place({MARKUPS[2]: []})
        self.notice()
        return curve

    def useCurve(self, how: str) -> None:
        """Give the segment the curve's shape on its slice, then drop the curve.

        Args:
            how: ``replace`` the part of the outline that it surrounds, ``add`` what it encloses, or ``remove`` it.
        Raises:
            UnsuitableInputError: fewer than three points, not on one slice, or nothing enclosed.
        """
        inside = maskFromCurveNode(self._drawn(), self.image)
        mask, before = self.mask(), self._snapshot()
        if how == "replace":
            mask = marks_of.withCurve(mask, inside, marks_of.sliceAxis(self._turn()))
        else:
            mask = mask | inside if how == "add" else mask & ~inside
        self._segments.write(mask)
        self.history.remember(before)
        self.dropCurve()
        self._edited()

    def dropCurve(self) -> None:
        """Take the curve away."""
        self.reader.place({MARKUPS[2]: []})
        self.notice()
        self.tell()

    def discardCurve(self) -> None:
        """Take the curve away by the reader's wish: one step."""
        self.history.remember(self._snapshot())
        self.dropCurve()

    def undo(self) -> bool:
        """Go back one step of this panel; False: there is none."""
        return self._go(self.history.undo(self._snapshot()))

    def redo(self) -> bool:
        """Go forward again; False: there is nothing to redo."""
        return self._go(self.history.redo(self._snapshot()))

    def notice(self) -> None:
        """Take the markups as they are now for the state before the next step, and follow the segments there are."""
        self._points = self.reader.points()
        self._segments.follow()

    def tell(self) -> None:
        """Let whoever shows it show it again."""
        for call in list(self.changed):
            call()

    def release(self) -> None:
        """A panel is taken down; with the last, edits that are not saved are kept and observing ends."""
        self.nUsers -= 1
        if self.nUsers == 0:
            self.saving.keep(self._opened)
            self._sceneObservers.removeAll()
            self._segments.close()
            self._stopFollowing()
            _outlines.pop(self._session, None)

    # -- within

    def _onCase(self) -> None:
        if self._opened is not None:
            self.saving.keep(self._opened)
        self._opened = self._session.opened
        self.history.clear()
        self.answer, self.isEdited, self.areDiscsEdited = None, False, False
        self.reader.clear()
        self.state = ""
        if self.hasOutline:
            self.state = "As the server has it." if isStored(self.node) else "An outline of the scene, not saved yet."
        self.notice()
        self.tell()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, caller, event, node) -> None:
        # Another case takes this one's nodes out of the scene before the session hears of it.
        if self.isEdited and node is not None and (node is self.node or node is self.image):
            self.saving.keep(self._opened)
            self.isEdited = False

    def _onDiscs(self) -> None:
        self.areDiscsEdited = True

    def _edited(self, sentence: str = "Edited, not saved yet.") -> None:
        self.version += 1
        self.isEdited, self.state, self.saving.note = True, sentence, ""
        self.tell()

    def _answered(self, answer: RegionAnswer, sentence: str) -> None:
        self.version += 1
        self.answer, self.state, self.saving.note = answer, sentence, ""
        self.notice()
        self.tell()

    def _inScene(self, values, volume) -> np.ndarray:
        if self._affine() is None:
            checkSameGeometry(values.shape, None, self.image, "The outline")
            return values
        return turnedLike(values, volume.affine, self.image, "The outline")

    def _affine(self):
        """The server's; None for a picture."""
        return None if self._opened.kind == "ultrasound" else outlinedImage(self._opened).volume.affine

    def _shape(self) -> tuple[int, ...]:
        return outlinedImage(self._opened).volume.array.shape[:3]

    def _turn(self) -> np.ndarray:
        return marks_of.serverTurn(self.image, self._affine())

    def _drawn(self):
        if self.reader.curve is None:
            raise UnsuitableInputError("A curve is needed; none is drawn. Click 'Edit contour' or 'Draw curve' first.")
        return self.reader.curve

    def _snapshot(self, points: dict | None = None) -> Snapshot:
        points = self.reader.points() if points is None else points
        return Snapshot(self._segments.copies(), points, self.reader.told())

    def _go(self, kept: Snapshot | None) -> bool:
        if kept is None:
            return False
        self._segments.putBack(kept.segments)
        self.reader.place(kept.points)
        self.reader.tellAgain(kept.told)
        self.notice()
        self._edited("Edited, not saved yet." if self.hasOutline else "")
        self.isEdited = self.hasOutline
        return True
