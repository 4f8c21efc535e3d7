"""The process that trains: it tells how far it is, listens for a stop, and ends when the server does.

It leads a group of its own, so that processes which a job starts end with it, however it ends.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.weights import save_weights

from ..file_lock import alone
from .job import Job, TrainingRequest

HEARTBEAT_S = 1.0
"""Time between two signs of life, seconds."""
NICENESS = 10
"""Added to the process's own, so that a measurement goes before the training."""
ENDINGS = ("done", "stopped", "unsuitable", "defect")
"""Kinds of the last message."""
OTHER_TRAINING = (
    "One training at a time may run on a studies folder; another process holds this one. Wait until it has ended."
)


class _StopAskedError(Exception):
    """The server asked for the end."""


def wait_and_train(pipe: Connection, is_ahead: bool) -> None:
    """Train what the server sends; the target of the process.

    Args:
        pipe: To the server; the first it sends are the other arguments of :func:`train`.
        is_ahead: Whether the process was started before it is needed, and imports what trainings need meanwhile.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    if is_ahead:
        import monai.networks.nets  # noqa: F401
        from liver_models.segmentation import region_training  # noqa: F401
    try:
        asked = pipe.recv()
    except EOFError:
        return  # The server is gone.
    train(pipe, *asked)


def train(pipe: Connection, job: Job, request: TrainingRequest, finished: Path, version: str, lock: Path) -> None:
    """Run a job and tell the server how it ends.

    Args:
        pipe: To the server. What is sent are pairs: a kind and its content.
        job: What trains.
        request: What it is asked to do.
        finished: Where better weights are written; the server publishes them.
        version: What their card says as version.
        lock: File that one training at a time may hold.
    """
    os.setpgrp()
    line = _Line(pipe)
    try:
        with alone(lock) as is_alone:
            if not is_alone:
                raise UnsuitableInputError(OTHER_TRAINING)
            ending = ("done", _trained(job, request, finished, version, line))
    except _StopAskedError:
        ending = ("stopped", None)
    except UnsuitableInputError as error:
        ending = ("unsuitable", error.unnamed)
    except Exception:
        ending = ("defect", traceback.format_exc())
    line.send(*ending)


def _trained(job: Job, request: TrainingRequest, finished: Path, version: str, line: _Line) -> dict[str, Any]:
    """Run the job; what it found, JSON-ready, its weights in a file if they are better."""
    request.folder.mkdir(parents=True, exist_ok=True)
    found = job(request, line.progress)
    facts = {
        "metric_name": found.metric_name,
        "metric_before": None if found.metric_before is None else float(found.metric_before),
        "metric_after": float(found.metric_after),
        **found.facts,
    }
    if found.is_better:
        save_weights(finished, found.weights.tensors, {**found.weights.card, "version": version})
    return {"is_better": bool(found.is_better), "verdict": found.verdict, **facts}


class _Line:
    """The child's end of the pipe: threads of their own listen and give signs of life."""

    def __init__(self, pipe: Connection):
        self._pipe = pipe
        self._sending = threading.Lock()
        self._is_stop_asked = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._live, daemon=True).start()

    def send(self, kind: str, content: Any = None) -> None:
        with self._sending:
            self._pipe.send((kind, content))

    def progress(self, told: Mapping[str, Any]) -> None:
        """Pass on how far the job is, then end it if it is to stop: its checkpoint may hold what was just told."""
        self.send("progress", dict(told))
        if self._is_stop_asked.is_set():
            raise _StopAskedError

    def _listen(self) -> None:
        try:
            while True:
                self._pipe.recv()  # Whatever is sent means stop.
                self._is_stop_asked.set()
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)  # The server is gone. Checkpoints are whole at any moment.

    def _live(self) -> None:
        while True:
            self.send("alive")
            time.sleep(HEARTBEAT_S)
