"""Annotations that the server does not have yet."""

from __future__ import annotations

import slicer.util
from LiverLabelLib.case_list import annotation_row
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.outbox import Annotation
from LiverLabelLib.session import NOT_CONNECTED, OUTBOX, SERVER

from .panel import Panel, offer
from .status_line import StatusLine
from .tables import chooseRows, chosenRows, fill

TITLE = "Waiting annotations"
NOTHING = "Nothing waits: the server has every annotation."
WHY = 3
"""Column that says why an annotation waits."""
CHOOSE = "Choose annotations in the table first."


class OutboxPanel(Panel):
    """The table of what waits, sending and discarding."""

    def __init__(self, ui, session):
        super().__init__(ui, session)
        self.status = StatusLine(session, ui, "outbox")
        self.status.reset()
        self._waiting: list[Annotation] = []
        self._ids: list[str] = []
        ui.sendButton.connect("clicked(bool)", self.onSend)
        ui.discardButton.connect("clicked(bool)", self.onDiscard)
        ui.outboxTable.connect("itemSelectionChanged()", self.update)
        self.observe(OUTBOX, self.read)
        self.observe(SERVER, self.show)
        self.show()
        self.read()

    @property
    def connected(self) -> str | None:
        """Address of the connected server."""
        return None if self.session.server is None else str(self.session.client.address)

    def enter(self) -> None:
        """Look again: another Slicer may have put something there."""
        super().enter()
        self.read()

    def read(self) -> None:
        """Read the folder, off the window's thread."""
        self.session.runner.start(
            "outbox", lambda job: self.session.outbox.waiting(), self.onRead, self.status.fail, is_of_scene=False
        )

    def onRead(self, waiting: list[Annotation]) -> None:
        """Show what waits."""
        self._waiting = waiting
        self.show()

    def show(self) -> None:
        """Fill the table and the title's count."""
        waiting, connected = self._waiting, self.connected
        n = len(waiting)
        self.ui.outboxCollapsible.setText(f"{TITLE} ({n})")
        chosen = {self._ids[row] for row in chosenRows(self.ui.outboxTable)}
        self._ids = [one.id for one in waiting]
        fill(self.ui.outboxTable, [annotation_row(one, connected) for one in waiting])
        chooseRows(self.ui.outboxTable, [row for row, one in enumerate(self._ids) if one in chosen])
        self.update()

    def update(self) -> None:
        """Say what waits and why, and offer what can be done; else say why not."""
        chosen = [self._waiting[row] for row in chosenRows(self.ui.outboxTable)]
        texts = [f"{len(self._waiting)} on this computer alone." if self._waiting else NOTHING]
        texts += [f"{one.case_id}: {annotation_row(one, self.connected)[WHY]}" for one in chosen]
        self.ui.outboxLabel.setText("\n".join(texts))
        ours = [one for one in self._waiting if one.address == self.connected]
        whyNotSent = "" if ours else "None of them belongs to the connected server." if self._waiting else NOTHING
        offer([self.ui.sendButton], NOT_CONNECTED if self.connected is None else whyNotSent)
        offer([self.ui.discardButton], "" if chosen else CHOOSE)

    def onSend(self) -> None:
        """Send what waits for the connected server."""
        self.status.run(
            "send",
            lambda client, job: self.session.outbox.send_all(client, job.call(is_told=False)),
            self.onSent,
            "Sending",
            lambda _: self.session.tell(OUTBOX),
            is_of_scene=False,
        )

    def onSent(self, result: tuple[int, list[LiverLabelError]]) -> None:
        """Say how many the server has now, and why the others wait."""
        nSent, failures = result
        reasons = list(dict.fromkeys(str(error) for error in failures))
        self.status.say(" ".join([f"{nSent} sent.", *reasons]), isError=bool(failures))
        self.session.tell(OUTBOX)
        if nSent:
            self.session.refreshCases()

    def onDiscard(self) -> None:
        """Give the chosen ones up, once the reader agrees."""
        given = [self._waiting[row] for row in chosenRows(self.ui.outboxTable)]
        names = ", ".join(dict.fromkeys(one.case_id for one in given))
        if not slicer.util.confirmOkCancelDisplay(
            f"Discard {len(given)} annotation{'' if len(given) == 1 else 's'} of {names}? They are on this computer "
            "alone and cannot be brought back.",
            "Discard annotations",
        ):
            return

        def work(job) -> None:
            for one in given:
                self.session.outbox.remove(one)

        self.session.runner.start(
            "discard",
            work,
            lambda _: self.session.tell(OUTBOX),
            self.status.fail,
            is_exclusive=False,
            is_of_scene=False,
        )
