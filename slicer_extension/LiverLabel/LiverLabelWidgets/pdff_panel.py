"""Asking the server for fat fraction and R2*, and saying what it answered."""

from __future__ import annotations

from LiverLabelLib.client import new_request_id
from LiverLabelLib.pdff_choices import METHODS, SIMULATED, SPECTRA, result_facts
from LiverLabelLib.results import PdffAnswer
from LiverLabelLib.session import CASE, SERVER
from LiverLabelLib.transport import Call
from LiverLabelLib.upload_files import sendable

from .echo_panel import EchoPanel, Source
from .map_panel import MapPanel
from .panel import Panel, offer
from .status_line import StatusLine

TASK = "pdff"
NOTHING = "Nothing is measured yet."
_PROGRESS_S = 5.0


class PdffPanel(Panel):
    """The method, the fat spectrum, the button, and the line with the result.

    Args:
        ui, session: As of every panel.
        echoes: What is measured.
        maps: Where the answer goes.
    """

    def __init__(self, ui, session, echoes: EchoPanel, maps: MapPanel):
        super().__init__(ui, session)
        self._echoes, self._maps = echoes, maps
        self.status = StatusLine(session, ui, "pdff")
        for combo, choices in ((ui.methodCombo, METHODS), (ui.spectrumCombo, SPECTRA)):
            for name, text in choices.items():
                combo.addItem(text, name)
        ui.measureButton.connect("clicked(bool)", self.onMeasure)
        self.addShortcut("Ctrl+Return", ui.measureButton.click)
        self.observe(SERVER, self.update)
        self.observe(CASE, self.onCase)
        echoes.changed.append(self.update)
        self.showAnswer()
        self.update()

    def update(self) -> None:
        """Offer what can be measured; else say why not."""
        offer([self.ui.measureButton], self.session.whyNotOffered(TASK) or self._echoes.source.whyNot)

    def onCase(self) -> None:
        """Another case is open, or none."""
        self.status.reset()
        self.showAnswer()
        self.update()

    def onMeasure(self) -> None:
        """Ask the server."""
        source, requestId, client = self._echoes.source, new_request_id(), self.session.client
        method, spectrum = (
            combo.itemData(combo.currentIndex) for combo in (self.ui.methodCombo, self.ui.spectrumCombo)
        )
        params = {"method": method, "spectrum": spectrum}

        def work(client, job) -> PdffAnswer:
            if source.scan is None:
                return client.infer(TASK, source.caseId, params, request_id=requestId, call=job.call())
            with sendable(source.scan.files, source.scan.root) as files:
                return client.infer_files(TASK, files, params, request_id=requestId, call=job.call())

        self.status.run(
            TASK,
            work,
            lambda answer: self.onAnswer(answer, source, spectrum),
            "Measuring",
            ask_progress=lambda: client.progress(requestId, Call(timeout_s=_PROGRESS_S)),
        )

    def onAnswer(self, answer: PdffAnswer, source: Source, spectrum: str) -> None:
        """Show an answer, unless something else is to be measured by now."""
        if source != self._echoes.source:
            stored = "" if source.scan is not None else " Its maps are stored with the case."
            self.status.done(
                f"The measurement of {source.name} is done and not shown: it is not open any more.{stored}"
            )
            return
        self._maps.showAnswer(answer, source, spectrum)
        self.showAnswer()

    def showAnswer(self) -> None:
        """The line with the result, of what the maps show."""
        answer = self._maps.answer
        sentences = ("", NOTHING, "", "")
        if answer is not None:
            facts = result_facts(answer, self._maps.spectrum)
            sentences = (
                SIMULATED if answer.is_simulated else "",
                "\n".join(f"{name}: {text}" for name, text in facts.items()),
                "\n".join(answer.remarks),
                answer.notice,
            )
        labels = (self.ui.simulatedLabel, self.ui.resultLabel, self.ui.remarksLabel, self.ui.noticeLabel)
        for label, text in zip(labels, sentences, strict=True):
            label.setText(text)
            label.setVisible(bool(text))
