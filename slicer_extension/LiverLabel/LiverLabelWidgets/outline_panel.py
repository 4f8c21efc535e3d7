"""The liver's outline: proposed by the server, refined by clicks and curves, edited, saved; for two modules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from LiverLabelLib.client import new_request_id
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.outline_scene import outlineOf
from LiverLabelLib.session import CASE, SERVER, Session

from .outline_clicks import TASK as CLICKS_TASK
from .outline_clicks import ClickTool
from .outline_contour import ContourTool
from .panel import Panel, offer, say
from .place_mode import PlaceMode
from .segment_editor import SegmentEditor
from .status_line import StatusLine

FORM = Path(__file__).parents[1] / "Resources" / "UI" / "Outline.ui"
TASK = "liver_roi"
NO_CASE = "A case is needed and none is open. Open one in the module LiverLabel."
NO_IMAGE = "The image of the open case is not in the scene. Open the case again in the module LiverLabel."
NO_OUTLINE = "An outline is needed. Propose one, click in the image, or draw a curve."
NO_CURVE = "A curve is needed. Click 'Edit contour' or 'Draw curve' first."
SHORTCUTS = {
    "proposeButton": "Ctrl+Alt+P",
    "saveOutlineButton": "Ctrl+Alt+S",
    "addClickButton": "Ctrl+Alt+A",
    "removeClickButton": "Ctrl+Alt+R",
    "undoButton": "Ctrl+Alt+Z",
    "redoButton": "Ctrl+Alt+Y",
}
"""Ctrl+Z and its like belong to 3D Slicer."""


def addOutlinePanel(layout, session: Session) -> OutlinePanel:
    """Load the form into a module's layout and build its panel."""
    widget = slicer.util.loadUI(str(FORM))
    layout.addWidget(widget)
    ui = slicer.util.childWidgetVariables(widget)
    panel = OutlinePanel(ui, session)
    panel.widget = widget
    return panel


class OutlinePanel(Panel):
    """Made by :func:`addOutlinePanel`."""

    def __init__(self, ui, session: Session):
        super().__init__(ui, session)
        self.widget = None
        self.outline = outlineOf(session)
        self.isEntered = self.isQuiet = False
        self._asked = 0
        self.status = StatusLine(session, ui, "outline")
        self.editor = SegmentEditor(ui.segmentEditorWidget)
        self.place = PlaceMode(ui, session, self._onPlaceMode)
        self.clicks, self.contour = ClickTool(self), ContourTool(self)
        for name, call in {
            "proposeButton": self.propose,
            "saveOutlineButton": self.save,
            "undoButton": lambda: self._go(self.outline.undo),
            "redoButton": lambda: self._go(self.outline.redo),
        }.items():
            getattr(ui, name).connect("clicked(bool)", call)
        for name, keys in SHORTCUTS.items():
            # A button that is greyed out takes no click by its key either.
            self.addShortcut(keys, getattr(ui, name).click)
        self.outline.changed.append(self.refresh)
        self.observe(SERVER, self.refresh)
        self.observe(CASE, self._onCase)
        scene = slicer.mrmlScene
        self.observers.add(scene, scene.EndCloseEvent, lambda *_: self.refresh())
        self.observers.add(scene, scene.EndImportEvent, lambda *_: self.refresh())
        self.refresh()

    def enter(self) -> None:
        """The user opened the module."""
        super().enter()
        self.isEntered = True
        self.status.reset()
        self.outline.notice()
        self.editor.enter()
        self.refresh()

    def exit(self) -> None:
        """The user went to another module."""
        super().exit()
        self.place.stop()
        self.isEntered = False
        self.editor.exit()
        self.clicks.follow()
        self.contour.follow()

    def close(self) -> None:
        """The module is taken down."""
        super().close()
        self.place.close()
        self.clicks.close()
        self.contour.close()
        self.editor.close()
        if self.refresh in self.outline.changed:
            self.outline.changed.remove(self.refresh)
            self.outline.release()

    def propose(self) -> None:
        """Ask the server for an outline; what the reader edited is replaced only if the reader agrees."""
        if not self._mayReplace("Propose a new outline in the place of your edits, which are not saved?"):
            return
        version = self.outline.version

        def show(answer) -> None:
            if self.outline.version == version or self._mayReplace(
                "The proposal is there. You edited the outline meanwhile: replace your edits by it?"
            ):
                self.outline.show(answer)

        self.ask(TASK, {}, show, "Proposing")

    def save(self) -> None:
        """Store the outline on the server, or on this computer where that fails."""
        try:
            self.outline.saving.save()
            self.hush()
        except LiverLabelError as error:
            self.status.fail(error)

    def ask(self, task: str, params: dict, onAnswer: Callable[[Any], None], doing: str) -> None:
        """Ask about the open case; an answer that comes for another case, or after undo, is dropped."""
        opened, client, requestId = self.session.opened, self.session.client, new_request_id()
        self._asked += 1
        asked = self._asked

        def work(client, job):
            return client.infer(task, opened.case_id, params, request_id=requestId, call=job.call())

        def done(answer) -> None:
            if self.session.opened is not opened or asked != self._asked:
                return
            try:
                onAnswer(answer)
            except LiverLabelError as error:
                self.status.fail(error)

        self.status.run("outline", work, done, doing, ask_progress=lambda: client.progress(requestId))

    @contextmanager
    def quiet(self):
        """Points that the panel itself sets are no clicks of the reader's."""
        self.isQuiet = True
        try:
            yield
        finally:
            self.isQuiet = False

    def hush(self) -> None:
        """No sentence of an earlier failure stays once something worked."""
        if not self.status.isBusy:
            self.status.say("")

    def refresh(self) -> None:
        """Show what there is, and grey out what cannot be done with the reason."""
        outline, ui = self.outline, self.ui
        outline.notice()
        noCase = NO_CASE if self.session.opened is None else "" if outline.image is not None else NO_IMAGE
        noOutline = noCase or ("" if outline.hasOutline else NO_OUTLINE)
        noCurve = noCase or ("" if outline.hasCurve else NO_CURVE)
        noClicks = "" if outline.reader.lastClick() else "No click is placed."
        whyNot = self.session.whyNotOffered
        reasons = {
            "proposeButton": noCase or whyNot(TASK),
            "saveOutlineButton": noOutline,
            "undoButton": noCase or ("" if outline.history.canUndo else "There is no step to undo."),
            "redoButton": noCase or ("" if outline.history.canRedo else "There is no step to do again."),
            "addClickButton": noCase or whyNot(CLICKS_TASK),
            "removeClickButton": noCase or whyNot(CLICKS_TASK),
            "deleteClickButton": noCase or noClicks or whyNot(CLICKS_TASK),
            "clearClicksButton": noCase or ("" if outline.reader.hasMarks else "No click is placed."),
            "editContourButton": noOutline,
            "drawCurveButton": noCase,
            "applyContourButton": noCurve,
            "refineContourButton": noCurve or whyNot(CLICKS_TASK),
            "fillCurveButton": noCurve,
            "cutCurveButton": noCurve,
            "discardCurveButton": noCurve,
        }
        for name, reason in reasons.items():
            offer([getattr(ui, name)], reason)
        self._showResult()
        self.clicks.show()
        self.clicks.follow()
        self.contour.show()
        self.contour.follow()
        self.editor.show(outline.node, outline.image)

    def _showResult(self) -> None:
        ui, answer, opened = self.ui, self.outline.answer, self.session.opened
        isSimulated = bool(opened is not None and opened.is_simulated) or (answer is not None and answer.is_simulated)
        say(ui.simulatedLabel, "Simulated: these images were computed, not measured." if isSimulated else "")
        say(ui.resultLabel, "" if answer is None else _result(answer, self.outline.size))
        say(ui.noticeLabel, "" if answer is None else " ".join((answer.notice, *answer.remarks)).strip())
        states = (self.outline.state or ("" if opened is None else "No outline yet."), self.outline.saving.note)
        say(ui.stateLabel, "\n".join(filter(None, states)))

    def _mayReplace(self, question: str) -> bool:
        isEdited = self.outline.isEdited or self.outline.areDiscsEdited
        return not isEdited or slicer.util.confirmOkCancelDisplay(question, "LiverLabel")

    def _go(self, step: Callable[[], bool]) -> None:
        self._asked += 1
        self.status.cancel()
        self.clicks.forget()
        with self.quiet():
            self.place.stop()
            step()

    def _onPlaceMode(self) -> None:
        # While the mouse places points, the editor's effects and keys (Escape among them) would take them.
        if self.place.isOn():
            self.editor.exit()
        elif self.isEntered:
            self.editor.enter()
        self.refresh()

    def _onCase(self) -> None:
        self.place.stop()
        self.clicks.forget()
        self.status.reset()
        self.refresh()


def _result(answer, size: str) -> str:
    if answer.quality is not None:
        quality = f"expected Dice {answer.quality:.2f}"
    else:
        quality = "expected Dice not known" + ("" if answer.is_simulated else " for measured images")
    kind = "Refined" if answer.is_refined else "Proposed"
    return f"{kind}: {size}; {quality}.\nModel: {answer.model}"
