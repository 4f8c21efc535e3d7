"""Curves in the image: one laid around the outline to be dragged, or one that is drawn."""

from __future__ import annotations

import slicer
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.roi import Observers

from .outline_clicks import TASK


class ContourTool:
    """The buttons under "Edit by a curve".

    Args:
        panel: The :class:`.outline_panel.OutlinePanel`.
    """

    def __init__(self, panel):
        self._panel, self._outline, ui = panel, panel.outline, panel.ui
        self._observers = Observers()
        self._followed = None
        ui.editContourButton.connect("clicked(bool)", self.onEdit)
        ui.drawCurveButton.connect("clicked(bool)", self.onDraw)
        ui.applyContourButton.connect("clicked(bool)", lambda: self.use("replace"))
        ui.fillCurveButton.connect("clicked(bool)", lambda: self.use("add"))
        ui.cutCurveButton.connect("clicked(bool)", lambda: self.use("remove"))
        ui.refineContourButton.connect("clicked(bool)", self.onRefine)
        ui.discardCurveButton.connect("clicked(bool)", self.onDiscard)

    def onEdit(self) -> None:
        """Lay a curve around the outline of the slice that is shown."""
        self._try(self._outline.editCurve)

    def onDraw(self) -> None:
        """Begin an empty curve with the mouse, or end drawing."""
        curve, place = self._outline.reader.curve, self._panel.place
        if curve is not None and place.isOn(curve):
            place.stop()
            return
        with self._panel.quiet():
            place.stop()
            curve = self._outline.newCurve()
        place.start(curve)

    def use(self, how: str) -> None:
        """Put the curve into the segment; ``how`` as :meth:`LiverLabelLib.outline_scene.Outline.useCurve`."""
        self._try(lambda: self._outline.useCurve(how))

    def onRefine(self) -> None:
        """Let the server draw the outline along the curve."""
        self._panel.place.stop()
        try:
            marks = self._outline.marksWithCurve()
        except LiverLabelError as error:
            self._panel.status.fail(error)
            return

        def show(answer) -> None:
            with self._panel.quiet():
                self._outline.refineByCurve(answer, marks)

        self._panel.ask(TASK, marks, show, "Refining along the curve")

    def onDiscard(self) -> None:
        """Take the curve away, not the outline."""
        self._try(self._outline.discardCurve)

    def follow(self) -> None:
        """Hear of points of the curve that are placed or dragged while the module is open."""
        curve = self._outline.reader.curve if self._panel.isEntered else None
        if curve is self._followed:
            return
        self._observers.removeAll()
        self._followed = curve
        if curve is not None:
            kind = slicer.vtkMRMLMarkupsNode
            for event in (kind.PointPositionDefinedEvent, kind.PointEndInteractionEvent, kind.PointRemovedEvent):
                self._observers.add(curve, event, self._onPoint)

    def show(self) -> None:
        """Show whether a curve is being drawn."""
        curve = self._outline.reader.curve
        self._panel.ui.drawCurveButton.setChecked(curve is not None and self._panel.place.isOn(curve))

    def close(self) -> None:
        """The panel is taken down."""
        self._observers.removeAll()
        self._followed = None

    def _try(self, call) -> None:
        try:
            with self._panel.quiet():
                self._panel.place.stop()
                call()
            self._panel.hush()
        except LiverLabelError as error:
            self._panel.status.fail(error)

    def _onPoint(self, *unused) -> None:
        if not self._panel.isQuiet:
            self._outline.moved()
