"""The one session of the program, its timer, and what ends it."""

from __future__ import annotations

import time
from pathlib import Path

import qt
import slicer
from LiverLabelLib.outbox import Outbox
from LiverLabelLib.roi import Observers
from LiverLabelLib.session import Session
from LiverLabelLib.settings import Settings

POLL_MS, LENT_S = 20, 0.008
"""How often results are looked for, and how long each time Python is lent to the threads of jobs."""
_shared: dict = {}


def session() -> Session:
    """The session that all modules share, made when the first module is opened."""
    if "session" not in _shared:
        folder = Path(slicer.app.slicerUserSettingsFilePath).parent / "LiverLabel" / "outbox"
        made = Session(Settings(slicer.app.userSettings()), Outbox(folder))
        timer = qt.QTimer()
        timer.setInterval(POLL_MS)
        timer.connect("timeout()", lambda: poll(made.runner))
        timer.start()
        observers = Observers()
        observers.add(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda *_: made.closeScene())
        _shared.update(session=made, timer=timer, observers=observers)
        slicer.app.connect("aboutToQuit()", close)
    return _shared["session"]


def poll(runner) -> None:
    """Deliver what has come. 3D Slicer keeps Python to its window's thread, so threads are let work here."""
    runner.poll()
    if runner.running:
        time.sleep(LENT_S)


def close() -> None:
    """End the session; the next call of :func:`session` begins another."""
    if "session" in _shared:
        _shared["timer"].stop()
        _shared["observers"].removeAll()
        _shared["session"].close()
        _shared.clear()
