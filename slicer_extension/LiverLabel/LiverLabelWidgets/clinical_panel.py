"""The form of clinical values: what the case has, what the reader changes, what is out of the believed range."""

from __future__ import annotations

import qt
from LiverLabelLib.clinical_facts import clinical_facts, typed_value
from LiverLabelLib.errors import UnsuitableInputError
from LiverLabelLib.us_subject import SUBJECT, Subject

from .panel import Panel, offer
from .status_line import ERROR_STYLE

CLINICAL = "ultrasound clinical values"
"""Topic: the form's content changed."""


class ClinicalPanel(Panel):
    """One line for each value: title, field, unit and range; under it a sentence if the number cannot be sent."""

    def __init__(self, ui, session, subject: Subject):
        super().__init__(ui, session)
        self.subject = subject
        self._facts: tuple = ()
        self._of: object = None
        self._fields: dict[str, tuple] = {}
        ui.resetClinicalButton.connect("clicked(bool)", self.onReset)
        self.observe(SUBJECT, self.refresh)
        self.refresh()

    @property
    def values(self) -> dict[str, float]:
        """What is sent: of a case what differs from it, of files what is known; nothing out of range."""
        return {name: value for name, (value, _) in self._read().items() if value is not None}

    @property
    def wrong(self) -> list[str]:
        """Titles of fields whose content cannot be sent."""
        read = self._read()
        return [fact.title for fact in self._facts if read[fact.name][1]]

    def refresh(self) -> None:
        """Build the form for the subject; a form whose subject is the same keeps what was typed."""
        subject = self.subject
        if subject.isLocal:
            facts, of = clinical_facts(subject.species), "files"
        else:
            images = subject.images
            facts, of = (() if images is None else tuple(images.clinical)), images
        isSame = of is self._of or of == self._of == "files"
        if isSame and [(f.low, f.high) for f in facts] == [(f.low, f.high) for f in self._facts]:
            return
        typed = {name: edit.text for name, (edit, _) in self._fields.items()} if isSame else {}
        self._facts, self._of = facts, of
        self._build(typed)

    def onReset(self) -> None:
        for fact in self._facts:
            self._fields[fact.name][0].setText(_text(fact.value))

    def _build(self, typed: dict[str, str]) -> None:
        grid = self.ui.clinicalFrame.layout()
        while grid.count():
            widget = grid.takeAt(0).widget()
            widget.setParent(None)
            widget.deleteLater()
        self._fields = {}
        for row, fact in enumerate(self._facts):
            unit = f" {fact.unit}" if fact.unit else ""
            title, edit = qt.QLabel(f"{fact.title}:"), qt.QLineEdit()
            note, sentence = qt.QLabel(f"{fact.low:g} to {fact.high:g}{unit}"), qt.QLabel()
            edit.setObjectName(f"{fact.name}LineEdit")
            edit.setPlaceholderText("not known")
            edit.setToolTip(f"{fact.title}{f' in {fact.unit}' if fact.unit else ''}; empty: not known.")
            edit.setText(typed.get(fact.name, _text(fact.value)))
            edit.connect("textChanged(QString)", self.onTyped)
            title.setBuddy(edit)
            sentence.setWordWrap(True)
            sentence.setStyleSheet(ERROR_STYLE)
            for column, widget in enumerate((title, edit, note)):
                grid.addWidget(widget, 2 * row, column)
            grid.addWidget(sentence, 2 * row + 1, 0, 1, 3)
            self._fields[fact.name] = (edit, sentence)
        offer([self.ui.resetClinicalButton], "" if self._facts else "There are no values to reset.")
        self.onTyped()

    def onTyped(self, *_) -> None:
        """Mark what cannot be sent and say what is."""
        emptied, read = [], self._read()
        for fact in self._facts:
            edit, label = self._fields[fact.name]
            sentence = read[fact.name][1]
            label.setText(sentence)
            label.setVisible(bool(sentence))
            edit.setStyleSheet("border: 1px solid #b00020;" if sentence else "")
            if fact.value is not None and not edit.text.strip():
                emptied.append(f"{fact.title} {_text(fact.value)}{f' {fact.unit}' if fact.unit else ''}")
        ui, values = self.ui, self.values
        if not self._facts:
            text = "No clinical values: open an ultrasound case, or files of this computer."
        elif self.subject.isLocal:
            text = f"{len(values)} of {len(self._facts)} values are sent; what is empty is not known."
        else:
            text = f"{len(values)} changed values are sent in place of the case's." if values else "As in the case."
        if emptied:
            text += f" The case's own value is used where you emptied it: {', '.join(emptied)}."
        ui.clinicalStatusLabel.setText(text)
        isLocal = self.subject.isLocal
        hint = "An empty field means: not known." if isLocal else "Changes go with the next request; none is stored."
        ui.clinicalHintLabel.setText(hint)
        ui.clinicalHintLabel.setVisible(bool(self._facts))
        self.session.tell(CLINICAL)

    def _read(self) -> dict[str, tuple[float | None, str]]:
        read = {}
        for fact in self._facts:
            text = self._fields[fact.name][0].text
            try:
                # As the case has it: nothing to send, whatever its range.
                isAsStored = text.strip() == _text(fact.value)
                read[fact.name] = (None if isAsStored else typed_value(text, fact), "")
            except UnsuitableInputError as error:
                read[fact.name] = (None, str(error))
        return read


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
