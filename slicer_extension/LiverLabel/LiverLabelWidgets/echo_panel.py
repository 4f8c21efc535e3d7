"""What is measured: the open case, or chosen files of a scan; and which echoes it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import qt
from LiverLabelLib.mr_echoes import Scan, read_scan
from LiverLabelLib.protocol import Progress
from LiverLabelLib.session import CASE

from .panel import Panel, say
from .status_line import StatusLine
from .tables import fill

FILES = "Scans (*.dcm *.ima *.nii *.nii.gz *.json *.mat *.zip);;All files (*)"
MOST_ROWS = 12
NOTHING = "Open an MRI case in the module LiverLabel, or choose the files of a scan."


@dataclass(frozen=True)
class Source:
    """What the next measurement is of."""

    caseId: str = ""
    """A stored case; empty for chosen files."""
    scan: Scan | None = None
    """Chosen files."""
    whyNot: str = ""
    """Why nothing can be measured; empty where it can."""

    @property
    def name(self) -> str:
        """For sentences."""
        return f"the case '{self.caseId}'" if self.scan is None else "the chosen files"


class EchoPanel(Panel):
    """Files are read in a job; nothing is sent before the reader asks to measure."""

    def __init__(self, ui, session):
        super().__init__(ui, session)
        self.scan: Scan | None = None
        self.changed: list[Callable[[], None]] = []
        """Called when something else would be measured."""
        self.status = StatusLine(session, ui, "echo")
        ui.chooseFilesButton.connect("clicked(bool)", self.onChooseFiles)
        ui.chooseFolderButton.connect("clicked(bool)", self.onChooseFolder)
        ui.clearFilesButton.connect("clicked(bool)", self.onClear)
        self.observe(CASE, self.onCase)
        self.show()

    @property
    def source(self) -> Source:
        """What the next measurement is of."""
        if self.scan is not None:
            return Source(scan=self.scan, whyNot="" if self.scan.files else self.scan.problems[0])
        opened = self.session.opened
        if opened is None:
            return Source(whyNot=NOTHING)
        if opened.kind != "mri":
            return Source(whyNot=f"PDFF needs an MRI; the open case '{opened.case_id}' is {opened.kind}. Open another.")
        return Source(caseId=opened.case_id)

    def onChooseFiles(self) -> None:
        """Let the reader choose files."""
        self.read(qt.QFileDialog.getOpenFileNames(None, "Files of a multi-echo scan", "", FILES))

    def onChooseFolder(self) -> None:
        """Let the reader choose a folder."""
        folder = qt.QFileDialog.getExistingDirectory(None, "Folder of a multi-echo scan", "")
        self.read([folder] if folder else [])

    def read(self, chosen) -> None:
        """Read the headers of files or of a folder, off the window's thread."""
        chosen = list(chosen)
        if not chosen:
            return
        self.status.begin("Reading the headers")
        job = self.session.runner.start(
            "echoes",
            lambda job: read_scan(chosen, job.report, lambda: job.cancel_token.is_cancelled),
            self.onRead,
            self.status.fail,
            self.onProgress,
        )
        self.status.follow(job)

    def onProgress(self, told) -> None:
        """How many files were read."""
        done, total = told
        self.status.show(Progress("running", done, total))
        self.status.say(f"Reading the headers: {done} of {total} files")

    def onRead(self, scan: Scan) -> None:
        """The headers are read."""
        self.status.done()
        self.scan = scan
        self.show()
        self._tell()

    def onClear(self) -> None:
        """Forget the chosen files."""
        self.scan = None
        self.show()
        self._tell()

    def onCase(self) -> None:
        """Another case was opened, which takes the place of chosen files; or none is open any more."""
        if self.session.opened is not None:
            self.scan = None
        self.status.reset()
        self.show()
        self._tell()

    def show(self) -> None:
        """Fill the table and the sentences."""
        problems, remarks, source = (), (), self.source
        if self.scan is not None:
            n = len(self.scan.files)
            text = f"{n} chosen {'file' if n == 1 else 'files'}, not stored on the server."
            rows = [(f"{e.echo_time_ms:g}", e.part, str(e.n_slices), e.series) for e in self.scan.echoes]
            problems, remarks = self.scan.problems, self.scan.remarks
        elif source.caseId:
            text, rows = self._opened()
        else:
            text, rows = source.whyNot, []
        self.ui.sourceLabel.setText(text)
        fill(self.ui.echoTable, rows)
        fitRows(self.ui.echoTable)
        self.ui.echoTable.setVisible(bool(rows))
        for label, sentences in ((self.ui.echoProblemsLabel, problems), (self.ui.echoRemarksLabel, remarks)):
            say(label, "\n".join(sentences))
        self.ui.clearFilesButton.setEnabled(self.scan is not None)

    def _opened(self) -> tuple[str, list[tuple[str, ...]]]:
        opened = self.session.opened
        times, field = opened.echo_times_s or (), opened.field_strength_t
        volume = next((image.volume for image in opened.images if image.role == "magnitude"), None)
        slices = "–" if volume is None else str(volume.array.shape[2])
        said = f"{len(times)} echoes" if times else "echo times not stated"
        text = f"Open case '{opened.case_id}': {said}, {f'{field:g} T' if field else 'field strength not stated'}."
        if opened.is_simulated:
            text += " Simulated."
        return text, [(f"{1000 * time:g}", "–", slices, "stored case") for time in times]

    def _tell(self) -> None:
        for call in self.changed:
            call()


def fitRows(table) -> None:
    """As high as the rows need, up to ``MOST_ROWS``."""
    shown = min(max(table.rowCount, 2), MOST_ROWS) + 2
    table.setFixedHeight(shown * table.verticalHeader().defaultSectionSize)
