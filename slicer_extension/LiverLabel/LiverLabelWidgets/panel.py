"""What every panel has: what it observes and its keyboard shortcuts, which end with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt
import slicer
import slicer.util
from LiverLabelLib.roi import Observers
from LiverLabelLib.session import Session


class Panel:
    """A part of a module's window.

    Args:
        ui: The widgets of the module's form, by name.
        session: The shared one.
    """

    def __init__(self, ui, session: Session):
        self.ui, self.session = ui, session
        self.observers = Observers()
        """Of nodes and of the scene; removed with the panel."""
        self._ends: list[Callable[[], None]] = []
        self._keys: list[tuple[str, Callable[[], None]]] = []
        self._shortcuts: list = []

    def observe(self, topic: str, call: Callable[[], None]) -> None:
        """Let ``call()`` follow each change of a topic of the session, until the panel is closed."""
        self._ends.append(self.session.observe(topic, call))

    def addShortcut(self, keys: str, call: Callable[[], None]) -> None:
        """A keyboard shortcut, such as "Ctrl+Return", that works while the module is open."""
        self._keys.append((keys, call))

    def enter(self) -> None:
        """The user opened the module."""
        if self._shortcuts or slicer.util.mainWindow() is None:
            return
        for keys, call in self._keys:
            shortcut = qt.QShortcut(slicer.util.mainWindow())
            shortcut.setKey(qt.QKeySequence(keys))
            shortcut.connect("activated()", call)
            self._shortcuts.append(shortcut)

    def exit(self) -> None:
        """The user went to another module: no key of ours works there."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []

    def close(self) -> None:
        """The module is taken down."""
        self.exit()
        self.observers.removeAll()
        for end in self._ends:
            end()
        self._ends = []


def offer(widgets: Sequence, reason: str) -> None:
    """Grey widgets out with the reason as their tooltip; an empty reason offers them with the form's own."""
    for widget in widgets:
        if widget.property("ownToolTip") is None:
            widget.setProperty("ownToolTip", widget.toolTip)
        widget.setEnabled(not reason)
        widget.setToolTip(reason or widget.property("ownToolTip"))


def explain(widget, toolTip: str) -> None:
    """Give a widget another tooltip of its own, shown unless it is greyed out."""
    widget.setProperty("ownToolTip", toolTip)
    if widget.enabled:
        widget.setToolTip(toolTip)


def say(label, sentence: str) -> None:
    """Show a sentence; an empty one takes no room."""
    label.setText(sentence)
    label.setVisible(bool(sentence))
