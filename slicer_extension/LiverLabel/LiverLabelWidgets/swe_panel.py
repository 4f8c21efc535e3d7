"""Where an elastogram has its colours and what they stand for: of a case to look at, of files to be stated."""

from __future__ import annotations

import slicer
from LiverLabelLib.case_nodes import caseOf
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.picture_view import boxInPixels, defaultBox, hideBox, pictureNode, showBox
from LiverLabelLib.roi import Observers
from LiverLabelLib.us_sidecar import COLOURMAPS, UNITS, SentScale
from LiverLabelLib.us_subject import PICTURE, SUBJECT, Subject

from .panel import Panel, offer
from .status_line import ERROR_STYLE

_NONE = "There is no elastogram. Open a case that has one, or a file and choose the role Elastogram."


class SwePanel(Panel):
    """The elastogram of the subject: the one that is shown, else the first."""

    def __init__(self, ui, session, subject: Subject):
        super().__init__(ui, session)
        self.subject = subject
        self._boxObservers = Observers()
        self._boxCase = ""
        for unit in UNITS:
            ui.scaleUnitComboBox.addItem(unit, unit)
        for name in COLOURMAPS:
            ui.colormapComboBox.addItem(name, name)
        for sender, signal, call in (
            (ui.showBoxCheckBox, "toggled(bool)", self.onShowBox),
            (ui.drawBoxButton, "clicked(bool)", self.onDrawBox),
            (ui.clearBoxButton, "clicked(bool)", self.onClearBox),
            (ui.scaleCheckBox, "toggled(bool)", self.onScale),
            (ui.scaleLowSpinBox, "valueChanged(double)", self.onScale),
            (ui.scaleHighSpinBox, "valueChanged(double)", self.onScale),
            (ui.scaleUnitComboBox, "currentIndexChanged(int)", self.onScale),
            (ui.colormapComboBox, "currentIndexChanged(int)", self.onScale),
            (ui.isTransparentCheckBox, "toggled(bool)", self.onScale),
        ):
            sender.connect(signal, call)
        self.observe(SUBJECT, self.refresh)
        self.observe(PICTURE, self.refresh)
        self.observers.add(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda *_: self._forgetBox())
        self._shown, self._isScale = None, True
        self._showScale(None)
        self.refresh()

    def close(self) -> None:
        self._boxObservers.removeAll()
        super().close()

    @property
    def isScaleWrong(self) -> bool:
        """The numbers that were entered are no scale, so nothing may be sent."""
        return self.subject.isLocal and self.ui.scaleCheckBox.checked and self._shown is not None and not self._isScale

    def refresh(self) -> None:
        """Show what is known of the elastogram."""
        ui, picture, isLocal = self.ui, self.subject.elastogram, self.subject.isLocal
        if picture is not self._shown:
            self._shown, self._isScale = picture, True
            self._forgetBox()
            _quietly(ui.showBoxCheckBox, lambda box: box.setChecked(False))
            self._showScale(picture if isLocal else None)
        offer([ui.scaleFrame], _NONE if picture is None else "")
        ui.scaleFrame.setVisible(isLocal)
        ui.drawBoxButton.setVisible(isLocal)
        ui.clearBoxButton.setVisible(isLocal)
        shown = picture is not None and picture is self.subject.picture and self._node is not None
        notShown = _NONE if picture is None else f"Choose the picture '{picture.name}' above to see its box."
        offer([ui.drawBoxButton], "" if shown else notShown)
        offer([ui.showBoxCheckBox], "" if shown and picture.box else notShown if not shown else "It states no box.")
        offer([ui.clearBoxButton], "" if picture is not None and picture.box else "No box is drawn.")
        if not shown:
            _quietly(ui.showBoxCheckBox, lambda box: box.setChecked(False))
            self._forgetBox()
        ui.elastogramInfoLabel.setText(_described(picture, isLocal))

    # The box

    @property
    def _node(self):
        return None if self._shown is None else pictureNode(self._shown, self.subject.images)

    def onShowBox(self, isShown: bool) -> None:
        if isShown and self._node is not None and self._shown.box:
            self._show(self._shown.box)
        else:
            self._forgetBox()

    def onDrawBox(self) -> None:
        """Put a box on the elastogram that the reader drags."""
        try:
            box = self._shown.box or defaultBox(self._node)
        except LiverLabelError as error:
            self.ui.elastogramInfoLabel.setText(str(error))
            return
        self._show(box)
        _quietly(self.ui.showBoxCheckBox, lambda check: check.setChecked(True))
        self._shown.box = box
        self.refresh()

    def onClearBox(self) -> None:
        self._forgetBox()
        self._shown.box = None
        _quietly(self.ui.showBoxCheckBox, lambda check: check.setChecked(False))
        self.refresh()

    def _show(self, box) -> None:
        node = self._node
        self._forgetBox()
        self._boxCase = caseOf(node)
        roi = showBox(self._boxCase, node, box, isEditable=self.subject.isLocal)
        if self.subject.isLocal:
            self._boxObservers.add(roi, roi.PointModifiedEvent, lambda *_: self._onBoxMoved(roi, node))

    def _onBoxMoved(self, roi, node) -> None:
        if self._shown is None:
            return
        try:
            self._shown.box = boxInPixels(roi, node)
        except LiverLabelError as error:
            self._shown.box = None
            self.ui.elastogramInfoLabel.setText(f"{error} No box is sent.")
            return
        self.ui.elastogramInfoLabel.setText(_described(self._shown, True))

    def _forgetBox(self) -> None:
        self._boxObservers.removeAll()
        if self._boxCase:
            hideBox(self._boxCase)
        self._boxCase = ""

    # The scale

    def _showScale(self, picture) -> None:
        ui, scale = self.ui, None if picture is None else picture.scale
        widgets = (
            ui.scaleCheckBox,
            ui.scaleLowSpinBox,
            ui.scaleHighSpinBox,
            ui.scaleUnitComboBox,
            ui.colormapComboBox,
            ui.isTransparentCheckBox,
        )
        for widget in widgets:
            widget.blockSignals(True)
        ui.scaleCheckBox.setChecked(scale is not None)
        if scale is not None:
            ui.scaleLowSpinBox.setValue(scale.low)
            ui.scaleHighSpinBox.setValue(scale.high)
            ui.scaleUnitComboBox.setCurrentIndex(UNITS.index(scale.unit))
            ui.colormapComboBox.setCurrentIndex(COLOURMAPS.index(scale.colormap))
            ui.isTransparentCheckBox.setChecked(scale.opacity is None)
        for widget in widgets:
            widget.blockSignals(False)
        self._sayScale("")
        self._greyScale()

    def onScale(self, *_) -> None:
        """The reader states the scale; what is none is not sent."""
        ui = self.ui
        self._greyScale()
        if self._shown is None or not self.subject.isLocal:
            return
        sentence, scale = "", None
        if ui.scaleCheckBox.checked:
            unit = ui.scaleUnitComboBox.itemData(ui.scaleUnitComboBox.currentIndex)
            colours = ui.colormapComboBox.itemData(ui.colormapComboBox.currentIndex)
            opacity = None if ui.isTransparentCheckBox.checked else 1.0
            try:
                scale = SentScale(ui.scaleLowSpinBox.value, ui.scaleHighSpinBox.value, unit, colours, opacity)
            except LiverLabelError as error:
                sentence = str(error)
        self._isScale = not sentence
        self._shown.scale = scale
        self._sayScale(sentence)
        self.subject.changed()

    def _sayScale(self, sentence: str) -> None:
        label = self.ui.scaleStatusLabel
        label.setStyleSheet(ERROR_STYLE)
        label.setText(sentence)
        label.setVisible(bool(sentence))

    def _greyScale(self) -> None:
        ui = self.ui
        unit = ui.scaleUnitComboBox.itemData(ui.scaleUnitComboBox.currentIndex)
        for box in (ui.scaleLowSpinBox, ui.scaleHighSpinBox):
            box.setSuffix(f" {unit}")
        for widget in (
            ui.scaleLowSpinBox,
            ui.scaleHighSpinBox,
            ui.scaleUnitComboBox,
            ui.colormapComboBox,
            ui.isTransparentCheckBox,
        ):
            widget.setEnabled(ui.scaleCheckBox.checked)


def _described(picture, isLocal: bool) -> str:
    if picture is None:
        return _NONE
    box, scale = picture.box, picture.scale
    where = "the largest patch in colours of the bar (none is drawn)" if isLocal else "not stated"
    if box:
        where = f"rows {box[0]} to {box[2] - 1}, columns {box[1]} to {box[3] - 1}"
    lines = [f"{picture.name}. Box: {where}."]
    if not isLocal:
        lines.append(
            f"Scale: {scale.low:g} to {scale.high:g} {scale.unit}." if scale else "Scale: not stated by the case."
        )
    return " ".join(lines)


def _quietly(widget, change) -> None:
    widget.blockSignals(True)
    change(widget)
    widget.blockSignals(False)
