"""``import qt`` as in 3D Slicer, over PySide6."""

import pythonqt
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

pythonqt.install()
for _module in (QtCore, QtGui, QtWidgets):
    # PySide6 makes its classes when they are asked for.
    globals().update({name: getattr(_module, name) for name in dir(_module) if name[:1] == "Q"})

answers: list = []
"""What the file dialogs give next; a test puts it here. Nothing left: cancelled."""


class QUiLoader(QtUiTools.QUiLoader):
    """Refuses a class that neither Qt nor the stand-ins have, instead of showing a plain widget for it."""

    def __init__(self):
        super().__init__()
        import ctk
        import slicer_gui

        self._custom = {**ctk.WIDGETS, **slicer_gui.WIDGETS}

    def createWidget(self, className, parent=None, name=""):
        if className in self._custom:
            widget = self._custom[className](parent)
            widget.setObjectName(name)
            return widget
        widget = super().createWidget(className, parent, name)
        if widget is None or widget.className() != className:
            raise ValueError(f"No class '{className}' is known, which '{name}' needs")
        return widget


class QFileDialog(QtWidgets.QFileDialog):
    """PythonQt gives paths alone, PySide6 also the chosen filter."""

    @staticmethod
    def getOpenFileNames(parent=None, caption="", folder="", nameFilter=""):
        return answers.pop(0) if answers else []

    @staticmethod
    def getOpenFileName(parent=None, caption="", folder="", nameFilter=""):
        return answers.pop(0) if answers else ""

    @staticmethod
    def getSaveFileName(parent=None, caption="", folder="", nameFilter=""):
        return answers.pop(0) if answers else ""

    @staticmethod
    def getExistingDirectory(parent=None, caption="", folder=""):
        return answers.pop(0) if answers else ""
