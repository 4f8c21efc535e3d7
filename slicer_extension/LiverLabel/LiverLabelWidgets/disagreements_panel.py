"""The cases whose readers differ, to be opened and settled."""

from __future__ import annotations

from collections.abc import Callable

from LiverLabelLib.case_list import disagreement_rows
from LiverLabelLib.protocol import Disagreement
from LiverLabelLib.session import NOT_CONNECTED, SERVER

from .panel import Panel, offer
from .status_line import StatusLine
from .tables import fill


class DisagreementsPanel(Panel):
    """A table that is filled when asked for.

    Args:
        ui, session: As of every panel.
        openCase: Given the id of a case that the reader wants to see.
    """

    def __init__(self, ui, session, openCase: Callable[[str], None]):
        super().__init__(ui, session)
        self.status = StatusLine(session, ui, "disagreements")
        self.status.reset()
        self._openCase = openCase
        self._ids: list[str] = []
        ui.disagreementsButton.connect("clicked(bool)", self.onShow)
        ui.disagreementsTable.connect("cellDoubleClicked(int,int)", self.onDoubleClick)
        self.observe(SERVER, self.onServer)
        self._fill([])
        self.update()

    def update(self) -> None:
        """Offer it where a server is connected."""
        offer([self.ui.disagreementsButton], "" if self.session.server is not None else NOT_CONNECTED)

    def onServer(self) -> None:
        """Those of another server are not shown."""
        self._fill([])
        self.status.reset()
        self.update()

    def onShow(self) -> None:
        """Ask the server."""
        self.status.run(
            "disagreements",
            lambda client, job: client.disagreements(call=job.call()),
            self.onFound,
            "Comparing the readers",
            is_of_scene=False,
        )

    def onFound(self, found: tuple[Disagreement, ...]) -> None:
        """Show them."""
        self._fill(disagreement_rows(found))
        n = len({one.id for one in found})
        self.status.done(
            f"Readers differ in {n} {'case' if n == 1 else 'cases'}." if n else "No readers differ in any case."
        )

    def onDoubleClick(self, row: int, _column: int) -> None:
        """Open the case of a row."""
        self._openCase(self._ids[row])

    def _fill(self, rows) -> None:
        self._ids = [row[0] for row in rows]
        fill(self.ui.disagreementsTable, rows)
        self.ui.disagreementsTable.setVisible(bool(rows))
