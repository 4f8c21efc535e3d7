"""What is going on: a sentence, a bar that refreshes itself, and a button that cancels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from LiverLabelLib.client import LiverLabelClient
from LiverLabelLib.errors import CancelledError, LiverLabelError
from LiverLabelLib.jobs import Job
from LiverLabelLib.protocol import Progress
from LiverLabelLib.session import Session

ERROR_STYLE = "color: #b00020;"
MEGABYTE = 10**6


class StatusLine:
    """The widgets ``<prefix>StatusLabel``, ``<prefix>ProgressBar`` and ``<prefix>CancelButton`` of a module's form.

    Args:
        session: The shared one.
        ui: The form's widgets.
        prefix: Of the names of the three.
    """

    def __init__(self, session: Session, ui, prefix: str):
        self._session = session
        self.label = getattr(ui, f"{prefix}StatusLabel")
        self._bar = getattr(ui, f"{prefix}ProgressBar")
        self._button = getattr(ui, f"{prefix}CancelButton")
        self._job: Job | None = None
        self._doing = ""
        self.label.setWordWrap(True)
        self._button.connect("clicked(bool)", self.cancel)
        self._setBusy(False)

    @property
    def isBusy(self) -> bool:
        """Whether its job is under way; one that was outdated by a newer or with the scene is not."""
        return self._job is not None and self._job.state == "running"

    def run(
        self,
        kind: str,
        work: Callable[[LiverLabelClient, Job], Any],
        onDone: Callable[[Any], None],
        doing: str,
        onError: Callable[[LiverLabelError], None] | None = None,
        **how: Any,
    ) -> Job | None:
        """Start a job with the server and show how far it is; its failure is shown as its sentence.

        Args:
            kind, work: As :meth:`~LiverLabelLib.session.Session.start`.
            onDone: Given the result.
            doing: Shown meanwhile, such as "Measuring".
            onError: Called after the sentence is shown.
            how: As :meth:`LiverLabelLib.jobs.JobRunner.start`.
        """

        def done(result) -> None:
            self._setBusy(False)
            self.say("")
            onDone(result)

        self.begin(doing)
        job = self._session.start(kind, work, done, lambda error: self.fail(error, onError), self.show, **how)
        self.follow(job)
        return job

    def begin(self, doing: str) -> None:
        """Say that something is under way."""
        self._doing = doing
        self.say(f"{doing} …")

    def follow(self, job: Job | None) -> None:
        """Let the button cancel a job that was started elsewhere."""
        self._job = job
        self._setBusy(job is not None)

    def fail(self, error: LiverLabelError, onError: Callable[[LiverLabelError], None] | None = None) -> None:
        """Show a failure's sentence."""
        self._setBusy(False)
        self.say(str(error), isError=not isinstance(error, CancelledError))
        if onError is not None:
            onError(error)

    def done(self, sentence: str = "") -> None:
        """Show that it ended well."""
        self._setBusy(False)
        self.say(sentence)

    def show(self, told: Any) -> None:
        """Show progress: the server's :class:`~LiverLabelLib.protocol.Progress`, or (bytes, bytes in all)."""
        if isinstance(told, Progress):
            if told.state == "waiting":
                self.say(f"{self._doing}: waiting for other requests …")
                return
            done, total, text = told.done, told.total, f"{self._doing}: {told.done} of {told.total or '?'} steps"
        else:
            done, total = told
            inAll = f" of {total / MEGABYTE:.1f}" if total else ""
            text = f"{self._doing}: received {done / MEGABYTE:.1f}{inAll} MB"
        self.say(text)
        self._bar.setRange(0, total or 0)
        self._bar.setValue(min(done, total) if total else 0)

    def say(self, sentence: str, isError: bool = False) -> None:
        """Show a sentence; errors in red."""
        self.label.setStyleSheet(ERROR_STYLE if isError else "")
        self.label.setText(sentence)
        self.label.setVisible(bool(sentence))

    def cancel(self) -> None:
        """End the job; whatever it changed on the server stays there, nothing is changed here."""
        if self.isBusy:
            self._session.runner.cancel(self._job)

    def reset(self) -> None:
        """After the scene was closed: nothing is under way here any more."""
        if not self.isBusy:
            self._job = None
            self._setBusy(False)
            self.say("")

    def _setBusy(self, isBusy: bool) -> None:
        self._bar.setVisible(isBusy)
        self._bar.setRange(0, 0 if isBusy else 1)
        self._button.setVisible(isBusy)
        self._button.setEnabled(isBusy)
