"""Ask one of the questions about a stored case, or about files that are sent and not stored."""

from __future__ import annotations

import tempfile
from pathlib import Path

from LiverLabelLib.client import new_request_id
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.questions import QUESTIONS
from LiverLabelLib.session import NOT_CONNECTED, SERVER
from LiverLabelLib.transport import Call
from LiverLabelLib.us_sidecar import BMODE, SWE, sidecar, write_subject
from LiverLabelLib.us_subject import PICTURE, QUESTION, SUBJECT, Subject

from .clinical_panel import CLINICAL, ClinicalPanel
from .panel import Panel, explain, offer, say
from .result_card import ResultCard
from .status_line import StatusLine
from .swe_panel import SwePanel

_OF_FRAMES = "Read from B-mode pictures alone; elastograms and clinical values are not sent."


class AskPanel(Panel):
    """Which question, the button, what is sent with it, and the card that shows the answer."""

    def __init__(self, ui, session, subject: Subject, clinical: ClinicalPanel, swe: SwePanel):
        super().__init__(ui, session)
        self.subject, self.clinical, self.swe = subject, clinical, swe
        self.status = StatusLine(session, ui, "ask")
        self.status.done()
        self.card = ResultCard(ui, session, subject)
        self._key, self._answered = self._meant, ()
        for question in QUESTIONS:
            ui.questionComboBox.addItem(question.title, question.task)
        ui.questionComboBox.connect("currentIndexChanged(int)", self.onChosen)
        ui.thresholdSpinBox.connect("valueChanged(int)", self.refresh)
        ui.askButton.connect("clicked(bool)", self.ask)
        self.observe(SERVER, self.onServer)
        self.observe(QUESTION, self.onQuestion)
        self.observe(SUBJECT, self.onSubject)
        self.observe(PICTURE, self.refresh)
        self.observe(CLINICAL, self.refresh)
        self.addShortcut("Ctrl+Shift+A", self.ask)
        self.onServer()
        self.onQuestion()

    def close(self) -> None:
        self.card.close()
        super().close()

    @property
    def _meant(self) -> tuple:
        """What an answer belongs to: who and what is asked."""
        return self.subject.question.task, self.subject.key

    def onServer(self) -> None:
        """Offer the choice where the server answers several questions, and mean one that it answers."""
        offered = [one for one in QUESTIONS if not self.session.whyNotOffered(one.task)]
        for widget in (self.ui.questionComboBoxTitle, self.ui.questionComboBox):
            widget.setVisible(len(offered) > 1)
        if offered and self.subject.question not in offered:
            self.subject.ask(offered[0])
        self.refresh()

    def onChosen(self, index: int) -> None:
        """The reader chose a question."""
        self.subject.ask(QUESTIONS[index])

    def onQuestion(self) -> None:
        """Speak of the question that is meant."""
        question, ui = self.subject.question, self.ui
        ui.questionComboBox.blockSignals(True)
        ui.questionComboBox.setCurrentIndex(QUESTIONS.index(question))
        ui.questionComboBox.blockSignals(False)
        ui.askCollapsible.setText(question.title)
        explain(
            ui.askButton,
            f"Ask the server for the probability of {question.subject} ({question.explained}). Keys: Ctrl+Shift+A.",
        )
        say(ui.questionNoteLabel, _OF_FRAMES if question.isOfFrames else "")
        self.onSubject()

    def onSubject(self) -> None:
        """An answer to another question or subject is neither shown nor waited for any longer."""
        if self._meant != self._key:
            self._key = self._meant
            self.card.clear()
            self.status.cancel()
            self.status.reset()
        self.refresh()

    def refresh(self, *_) -> None:
        """Offer the button or say why not; mark an answer whose inputs were changed since."""
        reason, request = self._request()
        offer([self.ui.askButton], reason)
        self.ui.askReasonLabel.setText(reason)
        self.ui.askReasonLabel.setVisible(bool(reason))
        self.ui.staleResultLabel.setVisible(self.card.answer is not None and request != self._answered)

    def _request(self) -> tuple[str, tuple]:
        """Why nothing can be asked, empty where it can; (task, settings, sidecar of files) as they would be sent."""
        subject, question = self.subject, self.subject.question
        params = {"threshold": self.ui.thresholdSpinBox.value / 100}
        reason = NOT_CONNECTED if self.session.server is None else self.session.whyNotOffered(question.task)
        reason = reason or subject.whyNone
        if question.isOfFrames:
            if not reason and subject.bmode is None:
                reason = f"{question.title} is read from B-mode pictures; there is none. Open one, or choose its role."
        else:
            if values := self.clinical.values:
                params["clinical"] = values
            if not reason and (wrong := self.clinical.wrong):
                reason = f"Correct or empty these values first: {', '.join(wrong)}."
            if not reason and self.swe.isScaleWrong:
                reason = "Correct the scale of the elastogram first, or uncheck it."
        if reason or not subject.isLocal:
            return reason, (question.task, params, None)
        for file in () if question.isOfFrames else subject.files:
            if file.role == SWE and file.scale is None and file.said is None:
                return f"State the scale of the elastogram '{file.name}' first: a picture file holds none.", ()
        about = {"patient_id": subject.patientId, "is_simulated": subject.isSimulated, "species": subject.species}
        try:
            return "", (question.task, params, sidecar(self._pictures(), **about))
        except LiverLabelError as error:
            return str(error), ()

    def _pictures(self) -> list:
        read = (BMODE,) if self.subject.question.isOfFrames else (BMODE, SWE)
        return [file.sent() for file in self.subject.files if file.role in read]

    def ask(self) -> None:
        """Ask the server; the window goes on meanwhile."""
        reason, request = self._request()
        if reason or self.status.isBusy:
            return
        task, params, content = request
        meant, caseId, pictures = self._meant, self.session.caseId, self._pictures()
        requestId = new_request_id()
        # Whatever the reply says: what is simulated is called so.
        isSimulated = self.subject.images.is_simulated is True if content is None else content["is_simulated"]

        def work(client, job):
            if content is None:
                return client.infer(task, caseId, params, request_id=requestId, call=job.call())
            with tempfile.TemporaryDirectory(prefix="liverlabel-") as folder:
                files = write_subject(Path(folder), pictures, content)
                return client.infer_files(task, files, params, request_id=requestId, call=job.call())

        def done(answer) -> None:
            if self._meant == meant:
                self._answered = request
                self.card.show(answer, isSimulated)
            self.refresh()

        client = self.session.client
        self.card.clear()
        self.status.run(
            "ask",
            work,
            done,
            "Asking",
            ask_progress=lambda: client.progress(requestId, Call()),
        )
