"""Clicks that are sent as they are placed: the newest request outdates the older ones."""

from __future__ import annotations

import qt
import slicer
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.outline_marks import CLICK_ROLES, FIDUCIALS
from LiverLabelLib.roi import Observers

DEBOUNCE_MS = 150
TASK = "liver_roi_clicks"


class ClickTool:
    """The buttons under "Refine by clicks".

    Args:
        panel: The :class:`.outline_panel.OutlinePanel`.
    """

    def __init__(self, panel):
        self._panel, self._outline, ui = panel, panel.outline, panel.ui
        self._buttons = {"foreground": ui.addClickButton, "background": ui.removeClickButton}
        self._observers = Observers()
        self._followed: list = []
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.connect("timeout()", self.send)
        ui.addClickButton.connect("clicked(bool)", lambda: self.toggle("foreground"))
        ui.removeClickButton.connect("clicked(bool)", lambda: self.toggle("background"))
        ui.deleteClickButton.connect("clicked(bool)", self.onDeleteLast)
        ui.clearClicksButton.connect("clicked(bool)", self.onClear)

    def toggle(self, name: str) -> None:
        """Begin to place clicks of a name, or end it."""
        node, place = self._outline.clicks(name), self._panel.place
        if place.isOn(node):
            place.stop()
        else:
            place.start(node)
        self.follow()

    def follow(self) -> None:
        """Hear of clicks that are placed, moved or removed while the module is open."""
        nodes = [self._outline.reader.node(FIDUCIALS, role) for role in CLICK_ROLES.values()]
        if not self._panel.isEntered:
            nodes = [None, None]
        if nodes == self._followed:
            return
        self._observers.removeAll()
        self._followed = nodes
        kind = slicer.vtkMRMLMarkupsNode
        for name, node in zip(CLICK_ROLES, nodes, strict=True):
            for event in (kind.PointPositionDefinedEvent, kind.PointEndInteractionEvent, kind.PointRemovedEvent):
                if node is not None:
                    self._observers.add(node, event, lambda *_, name=name: self._onClick(name))

    def show(self) -> None:
        """Show which button places clicks, and how many there are."""
        for name, button in self._buttons.items():
            node = self._outline.reader.node(FIDUCIALS, CLICK_ROLES[name])
            button.setChecked(node is not None and self._panel.place.isOn(node))
        liver, other = (self._outline.reader.nClicks(name) for name in CLICK_ROLES)
        self._panel.ui.clicksLabel.setText(
            f"Clicks: {liver} liver, {other} not liver." if liver + other else "No clicks."
        )

    def send(self) -> None:
        """Ask for the outline that fits all clicks."""
        try:
            marks = self._outline.marks()
        except LiverLabelError as error:
            self._panel.status.fail(error)
            return
        version = self._outline.version
        self._panel.ask(TASK, marks, lambda answer: self._outline.refine(answer, marks, version), "Refining")

    def forget(self) -> None:
        """Send nothing that is still waited for."""
        self._timer.stop()

    def close(self) -> None:
        """The panel is taken down."""
        self.forget()
        self._observers.removeAll()
        self._followed = []

    def onDeleteLast(self) -> None:
        """Take the last click away and ask again."""
        with self._panel.quiet():
            isDeleted = self._outline.deleteLastClick()
        if isDeleted:
            self._timer.start()

    def onClear(self) -> None:
        """Take all clicks away; what they did to the outline stays."""
        with self._panel.quiet():
            self._panel.place.stop()
            self._outline.clearMarks()

    def _onClick(self, name: str) -> None:
        if not self._panel.isQuiet and self._outline.placed(name):
            self._timer.start()
