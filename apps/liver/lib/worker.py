"""Computes in one process of its own, one request at a time, so that the server keeps answering.

The server's threads only wait. The two sides talk through a pipe: when either ends, the other sees it close.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

from liver_models.errors import UnsuitableInputError

from .failures import ComputationError, ServerBusyError, UnknownNameError

logger = logging.getLogger(__name__)
KEPT_REQUESTS = 256
IDLE_S = 2.0
"""Time without a request after which the child prepares what it may be asked later, seconds."""


@dataclass
class Progress:
    """How far a request is."""

    state: str
    """``waiting``, ``running``, ``done`` or ``failed``."""
    done: int = 0
    """Steps finished."""
    total: int = 0
    """Steps in all; 0 while not known."""


class Worker:
    """Runs picklable functions ``job(*args, progress=...)`` one after the other in a child process.

    Args:
        prepare: Called once in the child, to import what the jobs need.
        max_waiting: Requests that may wait; one more is refused.
        prepare_idle: Called once in the child, as soon as it has nothing to do.
    """

    def __init__(self, prepare: Callable[[], None], max_waiting: int, prepare_idle: Callable[[], None] | None = None):
        self._prepare, self._prepare_idle = prepare, prepare_idle
        self._turn = threading.Lock()
        self._life = threading.Lock()
        self._places = threading.BoundedSemaphore(max_waiting + 1)
        self._max_waiting = max_waiting
        self._requests: OrderedDict[str, Progress] = OrderedDict()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._is_closed = False
        self._last_asked = float("-inf")
        atexit.register(self.close)

    def start(self) -> None:
        """Start the child if none runs; it gets ready while the server goes on.

        Raises:
            ComputationError: the worker was closed.
        """
        with self._life:
            if self._is_closed:
                raise ComputationError("The server is shutting down; nothing was computed. Try again when it is back.")
            if self._process is not None and self._process.is_alive():
                return
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._prepare, self._prepare_idle), name="liverlabel-worker"
            )
            process.start()
            theirs.close()
            self._process = process

    def close(self) -> None:
        """End the child for good; requests that still wait are told so."""
        self._is_closed = True
        self._end_child()

    def _end_child(self) -> None:
        with self._life:
            process, self._process = self._process, None
            if process is not None:
                process.terminate()
                process.join(timeout=5)

    def progress(self, request_id: str) -> dict[str, Any]:
        """How far a request is.

        Raises:
            UnknownNameError: no such request.
        """
        progress = self._requests.get(request_id)
        if progress is None:
            raise UnknownNameError(
                f"The server knows no request {request_id!r}; it remembers the last {KEPT_REQUESTS}."
            )
        return asdict(progress)

    @property
    def quiet_s(self) -> float:
        """Time since a client's last request began or ended, seconds."""
        return time.monotonic() - self._last_asked

    def run(
        self, job: Callable[..., Any], *args: Any, request_id: str | None = None, is_background: bool = False
    ) -> Any:
        """Wait for a turn, then for the result.

        Args:
            job: Called in the child with ``args`` and ``progress``.
            args: Its arguments, picklable.
            request_id: Name under which :meth:`progress` tells how far it is.
            is_background: No client waits for it.

        Raises:
            ServerBusyError: too many wait already.
            UnsuitableInputError: as the job raised it.
            ComputationError: the job failed otherwise, or its process ended.
        """
        if not self._places.acquire(blocking=False):
            raise ServerBusyError(
                f"The server computes one case at a time, and {self._max_waiting} already wait. Try again in a while."
            )
        progress = Progress("waiting")
        if request_id is not None:
            self._requests.pop(request_id, None)
            self._requests[request_id] = progress
            while len(self._requests) > KEPT_REQUESTS:
                self._requests.popitem(last=False)
        try:
            if not is_background:
                self._last_asked = time.monotonic()
            with self._turn:
                progress.state = "running"
                result = self._converse(job, args, progress)
            progress.state = "done"
            return result
        except BaseException:
            progress.state = "failed"
            raise
        finally:
            if not is_background:
                self._last_asked = time.monotonic()
            self._places.release()

    def _converse(self, job: Callable[..., Any], args: tuple, progress: Progress) -> Any:
        self.start()
        try:
            self._pipe.send((job, args))
            while True:
                kind, content = self._pipe.recv()
                if kind == "progress":
                    progress.done, progress.total = content
                elif kind == "result":
                    return content
                elif kind == "unsuitable":
                    raise UnsuitableInputError(content)
                else:
                    logger.error("A computation failed:\n%s", content)
                    raise ComputationError(
                        "The computation failed through a defect of ours; the server's log says more."
                    )
        except (EOFError, OSError) as error:
            self._end_child()
            raise ComputationError(
                "The process that computes ended before its result, perhaps for want of memory. Try again, or send "
                "fewer slices at once."
            ) from error


def _serve(pipe: Connection, prepare: Callable[[], None], prepare_idle: Callable[[], None] | None) -> None:
    """The child: answer jobs until the server closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    while True:
        if prepare_idle is not None and not pipe.poll(IDLE_S):
            prepare_idle()
            prepare_idle = None
        try:
            job, args = pipe.recv()
        except EOFError:
            os._exit(0)
        try:
            answer = ("result", job(*args, progress=lambda done, total: pipe.send(("progress", (done, total)))))
        except UnsuitableInputError as error:
            answer = ("unsuitable", str(error))
        except Exception:
            answer = ("defect", traceback.format_exc())
        pipe.send(answer)
