"""Ask for the probability of fibrotic NASH, of a stored case or of files that are sent and not stored."""

from __future__ import annotations

import tempfile
from pathlib import Path

from LiverLabelLib.client import new_request_id
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.session import NOT_CONNECTED, SERVER
from LiverLabelLib.transport import Call
from LiverLabelLib.us_sidecar import SWE, sidecar, write_subject
from LiverLabelLib.us_subject import PICTURE, SUBJECT, Subject

from .clinical_panel import CLINICAL, ClinicalPanel
from .panel import Panel, offer
from .result_card import ResultCard
from .status_line import StatusLine
from .swe_panel import SwePanel

TASK = "fibrotic_nash"


class NashPanel(Panel):
    """The button, what is sent with it, and the card that shows the answer."""

    def __init__(self, ui, session, subject: Subject, clinical: ClinicalPanel, swe: SwePanel):
        super().__init__(ui, session)
        self.subject, self.clinical, self.swe = subject, clinical, swe
        self.status = StatusLine(session, ui, "nash")
        self.status.done()
        self.card = ResultCard(ui, session, subject)
        self._key, self._answered = subject.key, ()
        ui.thresholdSpinBox.connect("valueChanged(int)", self.refresh)
        ui.askButton.connect("clicked(bool)", self.ask)
        self.observe(SERVER, self.refresh)
        self.observe(SUBJECT, self.onSubject)
        self.observe(PICTURE, self.refresh)
        self.observe(CLINICAL, self.refresh)
        self.addShortcut("Ctrl+Shift+A", self.ask)
        self.refresh()

    def close(self) -> None:
        self.card.close()
        super().close()

    def onSubject(self) -> None:
        """An answer to another subject is neither shown nor waited for any longer."""
        if self.subject.key != self._key:
            self._key = self.subject.key
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
        """Why nothing can be asked, empty where it can; (settings, sidecar of files) as they would be sent."""
        params = {"threshold": self.ui.thresholdSpinBox.value / 100}
        if values := self.clinical.values:
            params["clinical"] = values
        subject = self.subject
        reason = NOT_CONNECTED if self.session.server is None else self.session.whyNotOffered(TASK)
        reason = reason or subject.whyNone
        if not reason and (wrong := self.clinical.wrong):
            reason = f"Correct or empty these values first: {', '.join(wrong)}."
        if not reason and self.swe.isScaleWrong:
            reason = "Correct the scale of the elastogram first, or uncheck it."
        if reason or not subject.isLocal:
            return reason, (params, None)
        for file in subject.files:
            if file.role == SWE and file.scale is None and file.said is None:
                return f"State the scale of the elastogram '{file.name}' first: a picture file holds none.", ()
        about = {"patient_id": subject.patientId, "is_simulated": subject.isSimulated, "species": subject.species}
        try:
            return "", (params, sidecar(self._pictures(), **about))
        except LiverLabelError as error:
            return str(error), ()

    def _pictures(self) -> list:
        return [file.sent() for file in self.subject.files if file.role]

    def ask(self) -> None:
        """Ask the server; the window goes on meanwhile."""
        reason, request = self._request()
        if reason or self.status.isBusy:
            return
        params, content = request
        key, caseId, pictures = self.subject.key, self.session.caseId, self._pictures()
        requestId = new_request_id()
        # Whatever the reply says: what is simulated is called so.
        isSimulated = self.subject.images.is_simulated is True if content is None else content["is_simulated"]

        def work(client, job):
            if content is None:
                return client.infer(TASK, caseId, params, request_id=requestId, call=job.call())
            with tempfile.TemporaryDirectory(prefix="liverlabel-") as folder:
                files = write_subject(Path(folder), pictures, content)
                return client.infer_files(TASK, files, params, request_id=requestId, call=job.call())

        def done(answer) -> None:
            if self.subject.key == key:
                self._answered = request
                self.card.show(answer, isSimulated)
            self.refresh()

        client = self.session.client
        self.card.clear()
        self.status.run(
            "nash",
            work,
            done,
            "Asking",
            ask_progress=lambda: client.progress(requestId, Call()),
        )
