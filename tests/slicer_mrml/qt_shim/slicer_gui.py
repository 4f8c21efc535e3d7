"""3D Slicer's own widgets that the extension uses, its modules' base classes, and what loads a module.

The scene behind them is the real one; what is missing is Slicer's main window.
"""

from __future__ import annotations

import importlib.util
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

import pythonqt
from PySide6 import QtCore, QtWidgets

EXTENSION = Path(__file__).parents[3] / "slicer_extension"
MODULES = tuple(
    name for name in ("LiverLabel", "LiverUltrasound", "LiverFat") if (EXTENSION / name / f"{name}.py").exists()
)


class qMRMLSegmentEditorWidget(QtWidgets.QFrame):
    """Holds what the real one is told; effects are not drawn here."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = self._editorNode = self._segmentation = self._volume = None
        self._effect = ""
        self._hasShortcuts = self._hasViews = False
        label = QtWidgets.QLabel("Segment Editor (in 3D Slicer)", self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(label)
        self.setFrameShape(QtWidgets.QFrame.StyledPanel)

    def setMRMLScene(self, scene):
        self._scene = scene

    def mrmlScene(self):
        return self._scene

    def setMRMLSegmentEditorNode(self, node):
        self._editorNode = node

    def mrmlSegmentEditorNode(self):
        return self._editorNode

    def setSegmentationNode(self, node):
        self._segmentation = node
        if self._editorNode is not None:
            self._editorNode.SetAndObserveSegmentationNode(node)

    def segmentationNode(self):
        return self._segmentation

    def setSourceVolumeNode(self, node):
        self._volume = node
        if self._editorNode is not None:
            self._editorNode.SetAndObserveSourceVolumeNode(node)

    def sourceVolumeNode(self):
        return self._volume

    def setCurrentSegmentID(self, segmentId):
        if self._editorNode is not None:
            self._editorNode.SetSelectedSegmentID(segmentId)

    def currentSegmentID(self):
        return "" if self._editorNode is None else self._editorNode.GetSelectedSegmentID() or ""

    def setActiveEffectByName(self, name):
        self._effect = name
        if self._editorNode is not None:
            self._editorNode.SetActiveEffectName(name)

    def setSegmentationNodeSelectorVisible(self, isVisible):
        pass

    def setSourceVolumeNodeSelectorVisible(self, isVisible):
        pass

    def installKeyboardShortcuts(self):
        self._hasShortcuts = True

    def uninstallKeyboardShortcuts(self):
        self._hasShortcuts = False

    def setupViewObservations(self):
        self._hasViews = True

    def removeViewObservations(self):
        self._hasViews = False

    def updateWidgetFromMRML(self):
        pass


class qMRMLWidget(QtWidgets.QWidget):
    """The panel into which a module puts its widgets."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        QtWidgets.QVBoxLayout(self)

    def setMRMLScene(self, scene):
        self._scene = scene

    def mrmlScene(self):
        return self._scene


WIDGETS = {"qMRMLSegmentEditorWidget": qMRMLSegmentEditorWidget, "qMRMLWidget": qMRMLWidget}


class ScriptedLoadableModule:
    """As slicer.ScriptedLoadableModule.ScriptedLoadableModule."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        for name, value in (("title", ""), ("categories", []), ("dependencies", []), ("contributors", [])):
            setattr(parent, name, value)
        parent.helpText = parent.acknowledgementText = ""


class ScriptedLoadableModuleWidget:
    """As slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent if parent is not None else qMRMLWidget()
        self.layout = self.parent.layout()
        self.developerMode = False

    def resourcePath(self, filename):
        return str(EXTENSION / self.moduleName / "Resources" / filename)

    def setup(self):
        pass

    def enter(self):
        pass

    def exit(self):
        pass

    def cleanup(self):
        pass


class ScriptedLoadableModuleLogic:
    """As slicer.ScriptedLoadableModule.ScriptedLoadableModuleLogic."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")


class ScriptedLoadableModuleTest(unittest.TestCase):
    """As slicer.ScriptedLoadableModule.ScriptedLoadableModuleTest."""

    def __init__(self, methodName="runTest"):
        super().__init__(methodName)

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        pass

    def runTest(self):
        pass


class Settings:
    """``slicer.app.userSettings()``; QSettings gives a stored boolean back as text."""

    def __init__(self):
        self._values = {}

    def value(self, key, default=None):
        return self._values.get(key, default)

    def setValue(self, key, value):
        self._values[key] = ("true" if value else "false") if isinstance(value, bool) else value

    def remove(self, key):
        self._values.pop(key, None)


class Application(QtCore.QObject):
    """``slicer.app``: what the extension uses of it."""

    aboutToQuit = QtCore.Signal()
    connect, disconnect = pythonqt.connect, pythonqt.disconnect
    applicationName = "Slicer"

    def __init__(self, logic, temporaryPath):
        super().__init__()
        self._logic, self._settings = logic, Settings()
        self.temporaryPath = temporaryPath
        self.slicerUserSettingsFilePath = str(Path(temporaryPath) / "Slicer.ini")

    def applicationLogic(self):
        return self._logic

    def userSettings(self):
        return self._settings

    def layoutManager(self):
        return None

    def processEvents(self):
        QtCore.QCoreApplication.processEvents()

    def testingEnabled(self):
        return True


def install(slicer) -> None:
    """Put the widgets and base classes where an extension looks for them."""
    for name, kind in WIDGETS.items():
        setattr(slicer, name, kind)
    base = SimpleNamespace(
        ScriptedLoadableModule=ScriptedLoadableModule,
        ScriptedLoadableModuleWidget=ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic=ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest=ScriptedLoadableModuleTest,
    )
    slicer.ScriptedLoadableModule = base
    sys.modules["slicer.ScriptedLoadableModule"] = base


def loadModule(slicer, name: str):
    """Load a module's file as Slicer does and build its widget; the widget's instance."""
    path = EXTENSION / name / f"{name}.py"
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    description = SimpleNamespace()
    getattr(module, name)(description)
    panel = qMRMLWidget()
    panel.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, f"{name}Widget")(panel)
    representation = SimpleNamespace(self=lambda: widget)
    entry = SimpleNamespace(path=str(path), title=description.title, widgetRepresentation=lambda: representation)
    setattr(slicer.modules, name.lower(), entry)
    widget.setup()
    return widget
