"""What the three modules share: one server, one open case, the user's settings and the work under way.

Everything here is called by the window's thread and returns at once; requests are made by jobs. Panels hear of changes
by :meth:`Session.observe`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from . import protocol
from .address import parse_address
from .client import LiverLabelClient, Server
from .errors import ConnectError, LiverLabelError, UnsuitableInputError
from .jobs import Job, JobRunner
from .outbox import Outbox
from .settings import Settings

logger = logging.getLogger(__name__)

SERVER, CASES, CASE, OUTBOX = "server", "cases", "case", "outbox"
"""What can change: the connection, the list of cases, the open case, the annotations that wait."""
NOT_CONNECTED = "A LiverLabel server is needed and none is connected. Open the module LiverLabel and click Connect."


class Session:
    """One for all modules.

    Args:
        settings: The user's.
        outbox: Where annotations wait until the server has them.
        runner: Of jobs; its ``poll`` is called by a timer of the window.
    """

    def __init__(self, settings: Settings, outbox: Outbox, runner: JobRunner | None = None):
        self.settings, self.outbox = settings, outbox
        self.runner = runner or JobRunner()
        self.client: LiverLabelClient | None = None
        """Of the connected server; None before the first connection."""
        self.server: Server | None = None
        """What the connected server said of itself."""
        self.cases: tuple[protocol.Case, ...] = ()
        """As listed last."""
        self.opened: Any = None
        """The open case with its images (:class:`~.case_images.CaseImages`); None: no case is open."""
        self._observers: dict[str, list[Callable[[], None]]] = {}

    @property
    def caseId(self) -> str:
        """Of the open case; empty where none is."""
        return "" if self.opened is None else self.opened.case_id

    @property
    def addressOfAnnotations(self) -> str:
        """Of the server that they belong to: the connected one, else the one that was typed."""
        if self.client is not None:
            return str(self.client.address)
        try:
            return str(parse_address(self.settings.address))
        except ConnectError:
            return self.settings.address

    def observe(self, topic: str, call: Callable[[], None]) -> Callable[[], None]:
        """Let ``call()`` follow each change of a topic; gives back what ends that."""
        self._observers.setdefault(topic, []).append(call)

        def end() -> None:
            # A session that was closed has no observers any more.
            if call in self._observers.get(topic, ()):
                self._observers[topic].remove(call)

        return end

    def tell(self, topic: str) -> None:
        """Call whoever observes a topic; a panel's defect does not keep the others from theirs."""
        for call in list(self._observers.get(topic, ())):
            try:
                call()
            except Exception:
                logger.exception("A panel could not show that the %s changed.", topic)

    def start(
        self,
        kind: str,
        work: Callable[[LiverLabelClient, Job], Any],
        onDone: Callable[[Any], None],
        onError: Callable[[LiverLabelError], None],
        onProgress: Callable[[Any], None] | None = None,
        **how: Any,
    ) -> Job | None:
        """Let a job ask the connected server; None where there is none, which ``onError`` is told.

        Args:
            kind: A newer job of the kind outdates an older one.
            work: ``work(client, job)``, in a thread.
            onDone, onError, onProgress: In the window's thread.
            how: As :meth:`.jobs.JobRunner.start`.
        """
        client = self.client
        if client is None:
            onError(UnsuitableInputError(NOT_CONNECTED))
            return None
        return self.runner.start(kind, lambda job: work(client, job), onDone, onError, onProgress, **how)

    def connect(self, onDone: Callable[[Server], None], onError: Callable[[LiverLabelError], None]) -> Job:
        """Try the address, token and CA file of the settings; the former server stays until the new one answered."""
        address, token, caFile = self.settings.address, self.settings.token, self.settings.caFile or None

        def work(job: Job) -> tuple[LiverLabelClient, Server, tuple[protocol.Case, ...]]:
            client = LiverLabelClient(address, token, caFile)
            server = client.connect(job.call())
            return client, server, client.cases(job.call())

        def isConnected(result) -> None:
            isOther = self.server is not None and self.server.address != result[1].address
            if isOther:
                self.openCase(None)  # What is not saved belongs to the former server.
            self.client, self.server, self.cases = result
            self.tell(SERVER)
            self.tell(CASES)
            onDone(self.server)

        return self.runner.start("connect", work, isConnected, onError, is_of_scene=False)

    def refreshCases(
        self, onDone: Callable[[], None] = lambda: None, onError: Callable[[LiverLabelError], None] = lambda _: None
    ) -> Job | None:
        """List the cases again."""

        def isListed(cases) -> None:
            self.cases = cases
            self.tell(CASES)
            onDone()

        return self.start("cases", lambda client, job: client.cases(job.call()), isListed, onError, is_of_scene=False)

    def openCase(self, images: Any) -> None:
        """Say which case is open; None: no more."""
        self.opened = images
        self.tell(CASE)

    def whyNotOffered(self, task: str) -> str:
        """Empty where the server offers a task; else the reason, to be shown at what is greyed out."""
        if self.server is None:
            return NOT_CONNECTED
        if any(one.name == task for one in self.server.tasks):
            return ""
        offered = ", ".join(one.name for one in self.server.tasks) or "none"
        return f"This server does not offer the task {task}; it offers {offered}. Update the server to use it."

    def save(
        self,
        caseId: str,
        content: bytes | Callable[[], bytes],
        fileName: str,
        onDone: Callable[[], None],
        onError: Callable[[LiverLabelError], None],
        tag: str = "final",
    ) -> Job:
        """Keep an annotation on this computer, then store it on the server; what fails stays here.

        ``onError``'s sentence says why; the annotation waits in the outbox unless it could not be written there.

        Args:
            caseId: Of the case.
            content: The file, or what makes it, in the job's thread.
            fileName: Its end says what it is.
            onDone, onError: In the window's thread.
            tag: Under which it is stored.
        """
        client, reader, address = self.client, self.settings.reader, self.addressOfAnnotations

        def work(job: Job) -> None:
            made = content() if callable(content) else content
            kept = self.outbox.keep(address, caseId, made, fileName, reader, tag)
            if client is None:
                raise UnsuitableInputError(f"Kept on this computer, not sent yet. {NOT_CONNECTED}")
            self.outbox.send(client, kept, job.call())

        def isSaved(_) -> None:
            self.tell(OUTBOX)
            self.refreshCases()
            onDone()

        def isKept(error: LiverLabelError) -> None:
            self.tell(OUTBOX)
            onError(error)

        return self.runner.start("save", work, isSaved, isKept, is_exclusive=False, is_of_scene=False)

    def closeScene(self) -> None:
        """The scene was closed: what was under way for it is dropped, what is being saved goes on."""
        self.runner.close_scene()
        self.openCase(None)

    def close(self) -> None:
        """The program ends: who holds what is not saved keeps it now, and the runner waits for that."""
        self.openCase(None)
        self._observers.clear()
        self.runner.close()
