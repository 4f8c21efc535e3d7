"""The reader's own answer to the question, stored with the case; the last one counts."""

from __future__ import annotations

from LiverLabelLib.class_answers import answered_tasks
from LiverLabelLib.client import FINAL
from LiverLabelLib.errors import CancelledError, LiverLabelError
from LiverLabelLib.protocol import class_label_bytes
from LiverLabelLib.session import CASE, OUTBOX, SERVER
from LiverLabelLib.us_subject import QUESTION, SUBJECT, Subject

from .panel import Panel, explain, offer, say
from .status_line import StatusLine

_WORDS = {True: "yes", False: "no"}
_AGAIN = "To change it, answer again: the last one counts."


class AnswerPanel(Panel):
    """Yes or no, whose answer it is, and what is stored."""

    def __init__(self, ui, session, subject: Subject):
        super().__init__(ui, session)
        self.subject = subject
        self.status = StatusLine(session, ui, "answer")
        self.status.done()
        self._case, self._isTouched, self._isKept = "", False, False
        ui.answerYesRadioButton.connect("toggled(bool)", self.onChosen)
        ui.answerNoRadioButton.connect("toggled(bool)", self.onChosen)
        ui.saveAnswerButton.connect("clicked(bool)", self.save)
        ui.readerLineEdit.connect("editingFinished()", self.onReader)
        self.observe(CASE, self.onCase)
        self.observe(QUESTION, self.onQuestion)
        self.observe(SUBJECT, self.refresh)
        self.observe(SERVER, self.refresh)
        self.observe(OUTBOX, self.onOutbox)
        self.enter()
        self.onQuestion()

    def enter(self) -> None:
        super().enter()
        self.ui.readerLineEdit.setText(self.session.settings.reader)

    def onReader(self) -> bool:
        """Remember whose answers these are; False, with the reason shown, where the name is none."""
        try:
            self.session.settings.reader = self.ui.readerLineEdit.text
        except ValueError as error:
            self.status.say(str(error), isError=True)
            return False
        self.status.say("")
        return True

    @property
    def value(self) -> bool | None:
        """What the reader chose; None: nothing yet."""
        if self.ui.answerYesRadioButton.checked:
            return True
        return False if self.ui.answerNoRadioButton.checked else None

    def onChosen(self, *_) -> None:
        """The reader's choice stands, whatever the server tells of an earlier one."""
        self._isTouched = True
        self.refresh()

    def refresh(self, *_) -> None:
        widgets = [self.ui.answerYesRadioButton, self.ui.answerNoRadioButton]
        reason = ""
        if self.subject.isLocal:
            reason = (
                "Answers are stored with cases of the server; import these files there first ('liverlabel import')."
            )
        elif self.subject.images is None:
            reason = self.subject.whyNone
        offer(widgets, reason)
        if not reason and self.value is None:
            reason = "Choose yes or no first."
        if not reason and self.status.isBusy:
            reason = "The former answer is being saved."
        offer([self.ui.saveAnswerButton], reason)
        self.ui.answerReasonLabel.setText(reason)
        self.ui.answerReasonLabel.setVisible(bool(reason))

    @property
    def _meant(self) -> tuple[str, str]:
        """What an answer belongs to: the case and the question."""
        return self._case, self.subject.question.task

    def onQuestion(self) -> None:
        """Another question has another answer."""
        question, ui = self.subject.question, self.ui
        ui.answerQuestionLabel.setText(f"{question.title}:")
        explain(ui.answerYesRadioButton, question.yes)
        explain(ui.answerNoRadioButton, question.no)
        self.onCase()

    def onCase(self) -> None:
        """Show what is stored or waits with the case that was opened, to the question."""
        self._case = self.session.caseId if self.subject.images is not None else ""
        self._isTouched = self._isKept = False
        self._choose(None)
        say(self.ui.storedAnswerLabel, "")
        self.status.reset()
        if self._case and self.session.client is not None:
            self._fetch()
        self.refresh()

    def onOutbox(self) -> None:
        """What waited may be stored now."""
        if self._isKept and self._case and self.session.client is not None:
            self._fetch()

    def _fetch(self) -> None:
        meant, outbox = self._meant, self.session.outbox
        caseId, task = meant

        def work(client, job):
            waiting = [one for one in outbox.waiting(str(client.address)) if _isAnswerOf(one, caseId, task)]
            return client.class_answer(caseId, FINAL, call=job.call(is_told=False), task=task), bool(waiting)

        def done(found) -> None:
            if meant != self._meant or self._isTouched:
                return
            value, isWaiting = found
            self._isKept = isWaiting
            stored = f"Stored answer: {_WORDS[value]}. {_AGAIN}" if value is not None else "No answer is stored."
            waits = " An answer of this computer waits to be sent (module LiverLabel)." if isWaiting else ""
            say(self.ui.storedAnswerLabel, stored + waits)
            self._choose(value)
            if not self.status.isBusy:
                self.status.say("")
            self.refresh()

        def failed(error: LiverLabelError) -> None:
            if meant == self._meant and not self._isTouched:
                say(self.ui.storedAnswerLabel, f"Whether an answer is stored is not known: {error}")

        self.session.start("stored answer", work, done, failed)

    def save(self) -> None:
        """Keep the answer on this computer and store it on the server."""
        (caseId, task), value = self._meant, self.value
        if not caseId or value is None or not self.onReader():
            return
        reader, word = self.session.settings.reader, _WORDS[value]
        self._isTouched = True

        def done() -> None:
            self.status.done()
            if (caseId, task) == self._meant:
                self._isKept = False
                by = f" by {reader}" if reader else " without a reader's name"
                say(self.ui.storedAnswerLabel, f"Saved: {word}{by}. {_AGAIN}")
            self.refresh()

        def failed(error: LiverLabelError) -> None:
            if isinstance(error, CancelledError):
                self.status.done("Cancelled. The answer waits on this computer until it is sent (module LiverLabel).")
            else:
                self.status.fail(error)
            if (caseId, task) == self._meant:
                self._isKept, self._isTouched = True, False
                say(self.ui.storedAnswerLabel, f"Not on the server yet: {word}. {_AGAIN}")
            self.refresh()

        content = class_label_bytes(caseId, task, value, reader, "reader")
        self.status.begin("Saving the answer")
        self.status.follow(self.session.save(caseId, content, f"{caseId}.label.json", done, failed))
        self.refresh()

    def _choose(self, value: bool | None) -> None:
        ui = self.ui
        for button, meaning in ((ui.answerYesRadioButton, True), (ui.answerNoRadioButton, False)):
            button.blockSignals(True)
            # Two exclusive buttons cannot both be off.
            button.setAutoExclusive(False)
            button.setChecked(value is meaning)
            button.setAutoExclusive(True)
            button.blockSignals(False)


def _isAnswerOf(waiting, caseId: str, task: str) -> bool:
    isAnswer = waiting.tag == FINAL and waiting.file_name.endswith(".label.json")
    return isAnswer and waiting.case_id == caseId and task in answered_tasks(waiting.content)
