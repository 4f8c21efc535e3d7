"""The server's cases: opening one, the next to label, and labelling one again."""

from __future__ import annotations

import slicer
import slicer.util
from LiverLabelLib.case_list import (
    MAX_ROWS,
    STRATEGIES,
    TASK_TITLES,
    case_row,
    count_of_cases,
    filtered,
    is_labelled,
    next_counts,
)
from LiverLabelLib.case_opening import FetchedCase, fetchCase, showFetched, unsavedCases
from LiverLabelLib.client import LiverLabelClient
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.outline_scene import outlineOf
from LiverLabelLib.protocol import Case, NextCase
from LiverLabelLib.session import CASE, CASES, NOT_CONNECTED, SERVER

from .panel import Panel, offer, say
from .status_line import StatusLine
from .tables import chooseRows, chosenRows, fill

MODULES = {"mri": "LiverFat", "ultrasound": "LiverUltrasound"}
"""Kind of a case -> the module that measures it."""
KINDS = {"mri": "MRI", "ultrasound": "ultrasound"}
CHOOSE = "Choose a case in the table first."
ALL_LABELLED = "Every case that the task can use is labelled."


class CasesPanel(Panel):
    """The table, and what opens a case of it."""

    def __init__(self, ui, session):
        super().__init__(ui, session)
        self.status = StatusLine(session, ui, "cases")
        self.status.reset()
        self._outline = outlineOf(session)
        self._shown: list[str] = []
        self._remark = ""
        for combo, choices in ((ui.nextTaskCombo, TASK_TITLES), (ui.strategyCombo, STRATEGIES)):
            for name, title in choices.items():
                combo.addItem(title, name)
        ui.filterEdit.connect("textChanged(QString)", self.showCases)
        ui.refreshButton.connect("clicked(bool)", self.onRefresh)
        ui.casesTable.connect("cellDoubleClicked(int,int)", self.onDoubleClick)
        ui.casesTable.connect("itemSelectionChanged()", self.update)
        ui.openButton.connect("clicked(bool)", self.onOpen)
        ui.reopenButton.connect("clicked(bool)", self.onReopen)
        ui.nextTaskCombo.connect("currentIndexChanged(int)", self.onTask)
        ui.nextButton.connect("clicked(bool)", self.onNext)
        self.addShortcut("Ctrl+Shift+N", ui.nextButton.click)
        self.observe(SERVER, self.onTask)
        self.observe(CASES, self.showCases)
        self.observe(CASE, self.onCase)
        say(self.ui.nextLabel, "")
        self.showCases()
        self.onCase()

    def close(self) -> None:
        """The module is taken down."""
        super().close()
        self._outline.release()

    @property
    def chosen(self) -> str:
        """Id of the chosen case; empty where none is."""
        rows = chosenRows(self.ui.casesTable)
        return self._shown[rows[0]] if rows else ""

    @property
    def task(self) -> str:
        """Which the next case is asked for."""
        return self.ui.nextTaskCombo.itemData(self.ui.nextTaskCombo.currentIndex)

    def update(self) -> None:
        """Offer what can be done; else say why not."""
        whyNot = "" if self.session.server is not None else NOT_CONNECTED
        offer([self.ui.refreshButton], whyNot)
        offer([self.ui.openButton], whyNot or ("" if self.chosen else CHOOSE))
        offer([self.ui.reopenButton], whyNot or self._whyNotReopened())
        offer([self.ui.nextButton], self.session.whyNotOffered(self.task))

    def showCases(self) -> None:
        """Fill the table; the chosen case stays chosen."""
        chosen, cases = self.chosen, self.session.cases
        found = filtered(cases, self.ui.filterEdit.text)
        self._shown = [one.id for one in found[:MAX_ROWS]]
        fill(self.ui.casesTable, [case_row(one) for one in found[:MAX_ROWS]])
        self._choose(chosen)
        isListed = self.session.server is not None
        self.ui.casesCountLabel.setText(count_of_cases(len(found), cases) if isListed else NOT_CONNECTED)
        self.update()

    def onRefresh(self) -> None:
        """List the cases again."""
        # A job of its own kind: one that follows a saved label would end it, and its line would stay.
        self.status.run(
            "list",
            lambda client, job: (client, client.cases(job.call())),
            self.onListed,
            "Listing the cases",
            is_of_scene=False,
        )

    def onListed(self, result: tuple[LiverLabelClient, tuple[Case, ...]]) -> None:
        """Show the cases, unless another server is connected by now."""
        client, cases = result
        if client is self.session.client:
            self.session.cases = cases
            self.session.tell(CASES)

    def onDoubleClick(self, row: int, _column: int) -> None:
        """Open the case of a row."""
        self.open(self._shown[row])

    def onOpen(self) -> None:
        """Open the chosen case."""
        self.open(self.chosen)

    def open(self, caseId: str) -> None:
        """Fetch a case and show it; one that is still on its way is dropped."""
        say(self.ui.nextLabel, "")
        self.status.run(
            "open",
            lambda client, job: fetchCase(client, caseId, job.call()),
            self.onFetched,
            f"Opening {caseId}",
        )

    def onFetched(self, fetched: FetchedCase) -> None:
        """Show a case, unless the reader would rather keep what is not saved."""
        images = fetched.images
        if (unsaved := unsavedCases()) and not slicer.util.confirmOkCancelDisplay(
            f"The region of {', '.join(unsaved)} is not saved. Open {images.case_id}? What was edited waits under "
            "'Waiting annotations' until you send or discard it.",
            "Open a case",
        ):
            self.status.done(f"{images.case_id} was not opened; the region that is not saved is still here.")
            return
        # What was edited is kept while it is still in the scene, also where the same case comes again.
        if self.session.opened is not None:
            self.session.openCase(None)
        try:
            self._remark = showFetched(fetched)
        except LiverLabelError as error:
            self.status.fail(error)
            return
        self.session.openCase(images)
        if self.ui.openModuleCheckBox.checked:
            self._openModule(MODULES[images.kind])

    def onNext(self) -> None:
        """Ask which case teaches most, and open it."""
        task = self.task
        strategy = self.ui.strategyCombo.itemData(self.ui.strategyCombo.currentIndex)

        def work(client, job) -> tuple[NextCase, FetchedCase | None]:
            told = client.next_case(task, strategy, call=job.call())
            return told, None if told.id is None else fetchCase(client, told.id, job.call())

        say(self.ui.nextLabel, "")
        self.status.run("open", work, self.onNextFetched, "Asking for the next case")

    def onNextFetched(self, result: tuple[NextCase, FetchedCase | None]) -> None:
        """Say why this case, and show it."""
        told, fetched = result
        counts = next_counts(told.n_labelled, told.n_unlabelled)
        if fetched is None:
            say(self.ui.nextLabel, f"{told.reason or ALL_LABELLED}\n{counts}")
            return
        say(self.ui.nextLabel, f"{told.id}: {told.reason}\n{counts}")
        self._choose(told.id)
        self.onFetched(fetched)

    def onTask(self) -> None:
        """The sentence on the next case was about another task, or of another server."""
        say(self.ui.nextLabel, "")
        self.update()

    def onReopen(self) -> None:
        """Set a case's labels aside, once the reader agrees."""
        caseId = self.chosen
        if slicer.util.confirmOkCancelDisplay(
            f"Set the labels of {caseId} aside? It counts as unlabelled from then on and is offered again. "
            "The files are kept on the server.",
            "Reopen a case",
        ):
            self.status.run(
                "reopen",
                lambda client, job: client.reopen(caseId, call=job.call()),
                lambda former: self.onReopened(caseId, former),
                f"Reopening {caseId}",
                is_of_scene=False,
            )

    def onReopened(self, caseId: str, former: tuple[str, ...]) -> None:
        """Say what was set aside, and list the cases again."""
        names = f" Kept aside: {', '.join(former)}." if former else ""
        self.status.done(f"{caseId} is open for labelling again.{names}")
        self.session.refreshCases(onError=self.status.fail)

    def onCase(self) -> None:
        """Say which case is open."""
        opened = self.session.opened
        self.status.reset()
        isSimulated = opened is not None and bool(opened.is_simulated)
        self.ui.simulatedLabel.setText("Simulated images" if isSimulated else "")
        self.ui.simulatedLabel.setVisible(isSimulated)
        if opened is None:
            self._remark = ""
            self.ui.openedLabel.setText("No case is open.")
            return
        n = len(opened.images)
        species = f", {opened.species}" if opened.species else ""
        images = f"{n} image{'' if n == 1 else 's'}"
        lines = [f"Open: {opened.case_id} ({KINDS[opened.kind]}{species}, {images})", opened.notice, self._remark]
        self.ui.openedLabel.setText("\n".join(line for line in lines if line))

    def _choose(self, caseId: str) -> None:
        chooseRows(self.ui.casesTable, [row for row, one in enumerate(self._shown) if one == caseId])

    def _openModule(self, name: str) -> None:
        if hasattr(slicer.modules, name.lower()) and slicer.util.mainWindow() is not None:
            slicer.util.selectModule(name)

    def _whyNotReopened(self) -> str:
        if not (chosen := self.chosen):
            return CHOOSE
        case = next((one for one in self.session.cases if one.id == chosen), None)
        return "" if case is not None and is_labelled(case) else f"{chosen} is not labelled, so it is open already."
