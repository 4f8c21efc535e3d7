"""The real scene of 3D Slicer, without its windows: MRML, markups, segmentations and drawing off screen.

``make test`` runs these tests in an environment with slicer-core. Where that is not installed nothing is collected.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

EXTENSION = Path(__file__).parents[2] / "slicer_extension" / "LiverLabel"
collect_ignore_glob = [] if importlib.util.find_spec("slicer_core") else ["test_*"]
sys.path.insert(0, str(EXTENSION))
sys.path.insert(0, str(Path(__file__).parent / "qt_shim"))
sys.path.insert(0, str(Path(__file__).parents[1] / "slicer"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}
"""What 3D Slicer's own start does before an extension is loaded."""


def pytest_report_header() -> list[str]:
    if collect_ignore_glob:
        return []
    from importlib import metadata

    return [f"slicer-core {metadata.version('slicer-core')}"]


@pytest.fixture
def application(tmp_path_factory):
    """``slicer.app``, ``slicer.modules`` and ``slicer.mrmlScene`` as an extension finds them."""
    # Without a screen VTK draws through EGL.
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    import slicer
    import slicer.util

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    logic = slicer.vtkSlicerApplicationLogic()
    home = tmp_path_factory.mktemp("slicer")
    (home / "share").mkdir()
    logic.SetHomeDirectory(str(home))
    logic.SetShareDirectory(str(home / "share"))
    logic.SetTemporaryPath(str(home))
    colours = slicer.vtkSlicerColorLogic()
    colours.SetMRMLApplicationLogic(logic)
    colours.SetMRMLScene(scene)
    logic.SetColorLogic(colours)
    logic.SetMRMLScene(scene)
    slicer.modules = SimpleNamespace(colors=SimpleNamespace(logic=lambda: colours))
    for name, className in LOGICS.items():
        moduleLogic = getattr(slicer, className)()
        moduleLogic.SetMRMLApplicationLogic(logic)
        moduleLogic.SetMRMLScene(scene)
        logic.SetModuleLogic(name, moduleLogic)
        setattr(slicer.modules, name.lower(), SimpleNamespace(logic=lambda moduleLogic=moduleLogic: moduleLogic))
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(str(home))
    remote.SetMRMLScene(scene)
    remote.AddDataIOToScene()
    slicer.app = SimpleNamespace(applicationLogic=lambda: logic, layoutManager=lambda: None, temporaryPath=str(home))
    yield slicer
    scene.Clear(True)


@pytest.fixture(scope="session")
def qtApplication():
    """Qt without a screen, in PythonQt's ways."""
    import qt

    return qt.QApplication.instance() or qt.QApplication(["Slicer"])


@pytest.fixture
def windows(qtApplication, application, monkeypatch):
    """3D Slicer's windows as far as the extension uses them; no request is made by their thread."""
    import qt
    import slicer_gui
    from LiverLabelLib import transport
    from LiverLabelWidgets import app

    slicer = application
    slicer.app = slicer_gui.Application(slicer.app.applicationLogic(), slicer.app.temporaryPath)
    slicer_gui.install(slicer)
    mainWindow = qt.QMainWindow()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda *_: mainWindow)
    defects = []
    find = transport.socket.getaddrinfo

    def watched(*arguments, **named):
        if threading.current_thread() is threading.main_thread():
            defects.append("a request was made by the window's thread")
        return find(*arguments, **named)

    monkeypatch.setattr(transport.socket, "getaddrinfo", watched)
    # Qt goes on after an error in a handler; a test may not.
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, _: defects.append(repr(error)))
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: defects.append(logging.Formatter().format(record))
    logging.getLogger("LiverLabelLib").addHandler(handler)
    qt.answers.clear()
    yield slicer
    app.close()
    mainWindow.deleteLater()
    logging.getLogger("LiverLabelLib").removeHandler(handler)
    assert not defects, "\n".join(defects)


@pytest.fixture
def openModule(windows):
    """``openModule("LiverFat")``: the module's widget, built and entered; taken down after the test."""
    import slicer_gui

    opened = []

    def load(name):
        widget = slicer_gui.loadModule(windows, name)
        widget.enter()
        opened.append(widget)
        return widget

    yield load
    for widget in opened:
        widget.exit()
        widget.cleanup()


@pytest.fixture
def questions(windows, monkeypatch):
    """What the user was asked; ``questions.answer`` is what is said."""

    class Questions(list):
        answer = True

    asked = Questions()
    monkeypatch.setattr(
        windows.util, "confirmOkCancelDisplay", lambda text, *_, **__: asked.append(text) or asked.answer
    )
    return asked


def shortcutsOf(keys):
    """The shortcuts of those keys that the main window has."""
    import qt
    import slicer.util

    found = slicer.util.mainWindow().findChildren(qt.QShortcut)
    return [one for one in found if one.key == qt.QKeySequence(keys)]


def waitUntil(isTrue, limitS=10.0):
    """Let the window work until something is true; the longest time it did not answer, in seconds."""
    import time

    import qt

    beats, limit = [time.monotonic()], time.monotonic() + limitS
    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", lambda: beats.append(time.monotonic()))
    timer.start()
    while not isTrue():
        assert time.monotonic() < limit, "it did not happen in time"
        qt.QCoreApplication.processEvents()
        time.sleep(0.001)
    timer.stop()
    beats.append(time.monotonic())
    return max(later - earlier for earlier, later in zip(beats, beats[1:], strict=False))


class SliceView:
    """A slice view of Slicer that draws off screen and takes mouse events."""

    MANAGERS = (
        "vtkMRMLModelSliceDisplayableManager",
        "vtkMRMLMarkupsDisplayableManager",
        "vtkMRMLSegmentationsDisplayableManager2D",
        "vtkMRMLColorLegendDisplayableManager",
    )

    def __init__(self, slicer, size=(400, 360), name="Red"):
        import vtk

        self.slicer, self.size = slicer, size
        application = slicer.app.applicationLogic()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation("Axial")
        logics = vtk.vtkCollection()
        logics.AddItem(self.logic)
        application.SetSliceLogics(logics)
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.logic.ResizeSliceNode(*size)
        self.node.SetDimensions(*size, 1)
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        self.mapper.SetInputConnection(self.logic.GetImageDataConnection())
        picture = vtk.vtkActor2D()
        picture.SetMapper(self.mapper)
        picture.SetLayerNumber(0)
        self.renderer.AddViewProp(picture)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        for manager in self.MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.group = factory.InstantiateDisplayableManagers(self.renderer)
        self.group.SetMRMLDisplayableNode(self.node)
        style = slicer.vtkMRMLSliceViewInteractorStyle()
        style.SetSliceLogic(self.logic)
        style.SetDisplayableManagers(self.group)
        # VTK's stock style takes the mouse for itself once a button is down.
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        style.SetInteractor(self.interactor)
        self.interactor.Initialize()
        self.style = style

    def draw(self, path=None):
        """What the view shows, (rows, columns, 3), first row on top; also as a PNG file."""
        import numpy as np
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        if connection is not None:
            self.mapper.SetInputConnection(connection)
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(*self.size[::-1], -1)[::-1]
        if path is not None:
            from PIL import Image

            Image.fromarray(np.ascontiguousarray(pixels[..., :3])).save(path)
        return pixels[..., :3].astype(int)

    def toPixel(self, world):
        """Where a world point lies in the view: (column, row), row 0 at the bottom as the mouse counts."""
        import vtk

        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), matrix)
        return tuple(round(value) for value in matrix.MultiplyPoint((*world, 1))[:2])

    def mouse(self, event, pixel):
        self.interactor.SetEventInformation(*pixel, 0, 0, chr(0), 0, None)
        self.interactor.InvokeEvent(event)

    def click(self, pixel):
        for event in ("EnterEvent", "MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            self.mouse(event, pixel)

    def drag(self, start, end):
        for event, pixel in (
            ("EnterEvent", start),
            ("MouseMoveEvent", start),
            ("LeftButtonPressEvent", start),
            ("MouseMoveEvent", end),
            ("LeftButtonReleaseEvent", end),
        ):
            self.mouse(event, pixel)

    def close(self):
        self.group.SetMRMLDisplayableNode(None)
        self.style.SetInteractor(None)
        self.window.Finalize()


@functools.cache
def _canDraw() -> str:
    """Empty, or why nothing can be drawn: asked in a process of its own, because a missing driver ends the process."""
    import subprocess

    code = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.Render(); w.ReportCapabilities()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    if run.returncode == 0:
        return ""
    return "drawing off screen needs EGL and OpenGL (Debian: libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libopengl0)"


@pytest.fixture
def drawing(application):
    """Skips where nothing can be drawn."""
    if reason := _canDraw():
        pytest.skip(reason)


@pytest.fixture
def view(drawing, scene, application):
    """A slice view of 400 x 360 pixels."""
    view = SliceView(application)
    yield view
    view.close()


@pytest.fixture
def scene(application):
    """An empty scene."""
    return application.mrmlScene


def oblique(spacing=(1.5, 1.5, 6.0), degrees=20.0, origin=(-30.0, 12.5, 41.0), isMirrored=False):
    """An affine that is oblique about two axes, anisotropic and, if asked, left-handed."""
    import numpy as np

    a, b = np.radians(degrees), np.radians(-degrees / 2)
    aboutZ = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    aboutX = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = aboutZ @ aboutX @ np.diag([-spacing[0] if isMirrored else spacing[0], *spacing[1:]])
    affine[:3, 3] = origin
    return affine


GEOMETRIES = {
    "oblique and anisotropic": ((7, 5, 4), oblique()),
    "mirrored": ((6, 5, 3), oblique(isMirrored=True)),
    "one slice": ((9, 6, 1), oblique(spacing=(0.7, 1.1, 8.0), degrees=35)),
    "axes swapped": ((4, 6, 5), oblique(spacing=(2.0, 1.0, 3.0))[:, [2, 0, 1, 3]]),
}


@pytest.fixture(params=GEOMETRIES, ids=str)
def geometry(request):
    """(shape, affine) that an identity would hide the mistakes of."""
    return GEOMETRIES[request.param]
