"""Work off the window's thread: started there, done in a thread, handed back when a timer of the window asks.

Concurrency: only :meth:`JobRunner.start`, :meth:`~JobRunner.poll` and their like are called, all by the window's
thread; workers put what they have into a queue and touch nothing else. A worker that hangs, say in a name's look-up,
is left to itself: its job is over for the user once it is cancelled or late.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import CancelledError, LiverLabelError, RequestTimeoutError
from .transport import Call, CancelToken

logger = logging.getLogger(__name__)

DEFECT = "The extension met a defect of its own ({kind}). What you drew is kept; Slicer's error log says more."
_POLL_S = 0.5


@dataclass(eq=False)
class Job:
    """One piece of work."""

    kind: str
    """A newer exclusive job of the same kind outdates it."""
    id: int
    """Its number, increasing."""
    cancel_token: CancelToken = field(default_factory=CancelToken)
    """To be passed on to every call."""
    state: str = "running"
    """``running``, ``done``, ``failed``, ``cancelled`` or ``outdated``."""
    _events: queue.SimpleQueue | None = None
    _deadline_s: float | None = None
    _handlers: dict[str, Callable | None] = field(default_factory=dict)
    _is_exclusive: bool = True
    _is_of_scene: bool = True
    _has_ended: threading.Event = field(default_factory=threading.Event)

    def call(self, timeout_s: float | None = None, is_told: bool = True) -> Call:
        """How to make a request of this job: cancelled with it, its bytes told as progress."""
        told = self.report if is_told else None
        return Call(self.cancel_token, timeout_s, on_received=told)

    def report(self, done: int, total: int | None) -> None:
        """Tell how far it is, from its own thread."""
        self._events.put(("progress", self, (done, total)))


class JobRunner:
    """Starts jobs and delivers what comes of them."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._running: dict[int, Job] = {}
        self._numbers = itertools.count(1)

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs whose end was not delivered yet."""
        return tuple(self._running.values())

    def start(
        self,
        kind: str,
        work: Callable[[Job], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[LiverLabelError], None],
        on_progress: Callable[[Any], None] | None = None,
        *,
        timeout_s: float | None = None,
        ask_progress: Callable[[], Any] | None = None,
        is_exclusive: bool = True,
        is_of_scene: bool = True,
    ) -> Job:
        """Start a job and return at once. Exactly one of ``on_done`` and ``on_error`` follows, unless it is outdated.

        Args:
            kind: Such as ``infer``.
            work: Done in a thread; it is given the job.
            on_done: Given the result.
            on_error: Given the failure, whose text is a sentence; :class:`~.errors.CancelledError` when cancelled.
            on_progress: Given what was reported last, (done, total), or what ``ask_progress`` gave.
            timeout_s: Seconds after which it has failed; None: the requests' own.
            ask_progress: Asked twice a second in a thread of its own; its failures say nothing.
            is_exclusive: Older exclusive jobs of the kind are ended and their results dropped. False for saving.
            is_of_scene: Outdated with the scene. False for saving.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        handlers = {"done": on_done, "error": on_error, "progress": on_progress}
        if is_exclusive:
            self._outdate(lambda job: job.kind == kind and job._is_exclusive)
        job = Job(kind, next(self._numbers), CancelToken(), "running", self._events, deadline_s, handlers)
        job._is_exclusive, job._is_of_scene = is_exclusive, is_of_scene
        self._running[job.id] = job
        threading.Thread(target=self._work, args=(job, work), name=f"liverlabel-{kind}", daemon=True).start()
        if ask_progress:
            threading.Thread(
                target=self._ask, args=(job, ask_progress), name=f"liverlabel-{kind}-progress", daemon=True
            ).start()
        return job

    def poll(self) -> int:
        """Deliver what has come, in the caller's thread; how many handlers were called. For a timer of some 50 ms."""
        latest: dict[int, tuple[Job, Any]] = {}
        ends: list[tuple[str, Job, Any]] = []
        while True:
            try:
                kind, job, value = self._events.get_nowait()
            except queue.Empty:
                break
            if kind == "progress":
                latest[job.id] = (job, value)
            else:
                ends.append((kind, job, value))
        n_called = sum(self._deliver("progress", job, value) for job, value in latest.values())
        n_called += sum(self._end(kind, job, value) for kind, job, value in ends)
        now_s = time.monotonic()
        for job in self.running:
            if job._deadline_s is not None and now_s > job._deadline_s:
                late = RequestTimeoutError(
                    "This took longer than it may. See whether the server still works; try again."
                )
                job.cancel_token.cancel()
                n_called += self._end("error", job, late)
        return n_called

    def cancel(self, job: Job) -> None:
        """End a job; its ``on_error`` is called by the next :meth:`poll`, though its thread may still hang."""
        if job.state == "running":
            job.cancel_token.cancel()
            self._events.put(("error", job, CancelledError("Cancelled. Nothing was changed here.")))

    def close_scene(self) -> None:
        """End every job of the scene and drop what comes of it."""
        self._outdate(lambda job: job._is_of_scene)

    def close(self, wait_s: float = 2.0) -> None:
        """End every job and call nobody any more; waits a little for the threads."""
        jobs = self.running
        self._outdate(lambda job: True)
        limit_s = time.monotonic() + wait_s
        for job in jobs:
            job._has_ended.wait(max(limit_s - time.monotonic(), 0))

    def _outdate(self, is_meant: Callable[[Job], bool]) -> None:
        for job in self.running:
            if is_meant(job):
                job.state = "outdated"
                del self._running[job.id]
                job.cancel_token.cancel()

    def _work(self, job: Job, work: Callable[[Job], Any]) -> None:
        try:
            result = work(job)
            self._events.put(("done", job, result))
        except LiverLabelError as error:
            self._events.put(("error", job, error))
        except BaseException as error:
            # The text of a foreign error may hold paths or names; only its kind is told and logged.
            logger.error("A job of the kind %s failed: %s", job.kind, type(error).__name__)
            sentence = LiverLabelError(DEFECT.format(kind=type(error).__name__))
            sentence.__cause__ = error
            self._events.put(("error", job, sentence))
        finally:
            job._has_ended.set()

    def _ask(self, job: Job, ask: Callable[[], Any]) -> None:
        while not job._has_ended.wait(_POLL_S) and not job.cancel_token.is_cancelled:
            try:
                self._events.put(("progress", job, ask()))
            except LiverLabelError:  # Not known yet, or the server is busy: the job itself tells.
                continue

    def _end(self, kind: str, job: Job, value: Any) -> int:
        if self._running.pop(job.id, None) is None:
            return 0  # Outdated, or ended before: a late answer is dropped.
        job.state = "done" if kind == "done" else "cancelled" if isinstance(value, CancelledError) else "failed"
        return self._call(job, kind, value)

    def _deliver(self, kind: str, job: Job, value: Any) -> int:
        return self._call(job, kind, value) if job.id in self._running else 0

    def _call(self, job: Job, kind: str, value: Any) -> int:
        handler = job._handlers[kind]
        if handler is None:
            return 0
        try:
            handler(value)
        except Exception:
            # One handler's defect must not keep others from theirs.
            logger.exception("What shows the end of a job of the kind %s failed.", job.kind)
        return 1
