"""Starts, follows and ends the process that trains; there is one at a time.

A thread of the server follows each process through a pipe. When either side ends, the other sees the pipe close.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from ..failures import ComputationError, TrainingRunningError
from . import child

logger = logging.getLogger(__name__)
GRACE_S = 5.0
"""How long a process may take to stop by itself before it is killed, seconds."""
POLL_S = 1.0
"""How often it is looked after while it tells nothing, seconds."""


class TrainingRunner:
    """One training process at a time, for every trainer of the server.

    Args:
        free: Called with the task after its training has ended and was dealt with.
    """

    def __init__(self, free: Callable[[str], None] = lambda task: None):
        self._free = free
        self.lock = threading.RLock()
        """Held while a training begins and while its end is dealt with."""
        self._run: _Run | None = None
        self._spare: _Process | None = None
        self._is_closed = False
        atexit.register(self.close)

    def prepare(self) -> None:
        """Start the process of the next training, unless there is one; it imports what it needs and waits."""
        with self.lock:
            if not self._is_closed and self._run is None and (self._spare is None or not self._spare.is_alive()):
                self._spare = _Process(is_ahead=True)

    def check_free(self) -> None:
        """Refuse a second training; called with the lock held.

        Raises:
            TrainingRunningError: one runs already.
            ComputationError: the server is shutting down.
        """
        if self._is_closed:
            raise ComputationError("The server is shutting down; nothing was started. Try again when it is back.")
        if self._run is not None:
            raise TrainingRunningError(
                f"One training at a time may run; one of {self._run.name!r} runs already. Wait until it has ended, or "
                f"stop it: DELETE /liver/train/{self._run.name}."
            )

    def launch(
        self, name: str, args: tuple, told: Callable[[str, Any], None], ended: Callable[[str, Any, str | None], None]
    ) -> None:
        """Start a process; called with the lock held.

        Args:
            name: Task whose training it is.
            args: What :func:`.child.train` takes after the pipe.
            told: Called with each message.
            ended: Called once, with the lock held, with the kind and content of the last message (``lost`` when the
                process ended without one) and why it was stopped, if it was.
        """
        spare, self._spare = self._spare, None
        process = spare if spare is not None and spare.is_alive() else _Process(is_ahead=False)
        self._run = _Run(name, process, args, told, lambda *ending: self._end(ended, ending))
        self._run.thread.start()

    def _end(self, ended: Callable[[str, Any, str | None], None], ending: tuple) -> None:
        with self.lock:
            try:
                ended(*ending)
            finally:
                name, self._run = self._run.name, None
        self._free(name)

    def stop(self, name: str, reason: str = "stopped", grace_s: float = GRACE_S) -> None:
        """End the training of a task, if one runs, and wait until that is dealt with."""
        run = self._run
        if run is not None and run.name == name:
            run.stop(reason, grace_s)

    def running(self) -> str | None:
        """The task whose training runs."""
        run = self._run
        return run.name if run is not None else None

    def wait(self, name: str) -> None:
        """Wait for the end of the training of a task."""
        run = self._run
        if run is not None and run.name == name:
            run.thread.join()

    def close(self) -> None:
        """End what runs, for good."""
        with self.lock:
            self._is_closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()
            spare.join()
        if (name := self.running()) is not None:
            self.stop(name, "interrupted")


class _Process:
    """A process that trains what it is sent, and our end of the pipe to it."""

    def __init__(self, is_ahead: bool):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=child.wait_and_train, args=(theirs, is_ahead), name="liverlabel-training"
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End it, if it still runs, and the processes that it started."""
        self._process.kill()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # None is left, or it has not yet made its group.

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._process.join(timeout_s)


class _Run:
    """One process and the thread that follows it."""

    def __init__(self, name: str, process: _Process, args: tuple, told: Callable, ended: Callable):
        self.name = name
        self._told = told
        self._ended = ended
        self._reason: str | None = None
        self._process, self._pipe = process, process.pipe
        try:
            self._pipe.send(args)
        except BaseException:
            process.kill()
            raise
        self.thread = threading.Thread(target=self._follow, name=f"follow-training-{name}", daemon=True)

    def stop(self, reason: str, grace_s: float) -> None:
        self._reason = self._reason or reason
        try:
            self._pipe.send("stop")
        except OSError:
            pass  # It has just ended by itself.
        self.thread.join(grace_s)
        if self.thread.is_alive():
            self._process.kill()
            self.thread.join()

    def _follow(self) -> None:
        ending = ("lost", None)
        try:
            while ending[0] not in child.ENDINGS:
                # Processes that a job forked hold their copy of the pipe, so its end alone may not be seen.
                while not self._pipe.poll(POLL_S):
                    if not self._process.is_alive() and not self._pipe.poll():
                        raise EOFError
                kind, content = self._pipe.recv()
                if kind in child.ENDINGS:
                    ending = kind, content
                else:
                    self._told(kind, content)
        except (EOFError, OSError):
            pass
        except Exception:
            logger.exception("Following a training failed; it is ended.")
            self._process.kill()
        self._process.join(GRACE_S)
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._ended(*ending, self._reason)
