"""The answer on fibrotic NASH: in words, in numbers, drawn, and where in the picture it comes from."""

from __future__ import annotations

import slicer
import slicer.util
from LiverLabelLib.case_nodes import caseOf, removeNode
from LiverLabelLib.clinical_facts import input_title
from LiverLabelLib.display import overlayGradCam, showInSlices
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.picture_view import pictureNode
from LiverLabelLib.results import NashAnswer
from LiverLabelLib.us_subject import PICTURE, Subject

from .charts import contributionsPixmap, probabilityPixmap
from .panel import Panel, offer
from .status_line import ERROR_STYLE

GRAD_CAM = "grad_cam"


class ResultCard(Panel):
    """Shows one answer, or nothing."""

    def __init__(self, ui, session, subject: Subject):
        super().__init__(ui, session)
        self.subject = subject
        self.answer: NashAnswer | None = None
        self._image, self._overlay = None, None
        ui.gradCamCheckBox.connect("toggled(bool)", self.onGradCam)
        ui.gradCamOpacitySlider.connect("valueChanged(double)", self.onOpacity)
        self.observe(PICTURE, self.onOtherPicture)
        self.observers.add(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda *_: self.clear())
        self.clear()

    def clear(self) -> None:
        """There is no answer."""
        self.answer = None
        self._uncheck()
        self._removeOverlay()
        self.ui.resultFrame.setVisible(False)

    def show(self, answer: NashAnswer, isSimulated: bool = False) -> None:
        """Show an answer.

        Args:
            answer: Of the subject that is shown.
            isSimulated: The reader said that the files are, whatever the reply says.
        """
        ui = self.ui
        self.clear()
        self.answer = answer
        ui.simulatedResultLabel.setVisible(answer.is_simulated or isSimulated)
        ui.answerLabel.setText(answerText(answer))
        ui.probabilityLabel.setText(
            f"Probability of fibrotic NASH: {percent(answer.probability)} (95 % interval "
            f"{percent(answer.probability_low)} to {percent(answer.probability_high)}); threshold "
            f"{100 * answer.threshold:g} %"
        )
        ui.probabilityBarLabel.setPixmap(
            probabilityPixmap(
                answer.probability, answer.probability_low, answer.probability_high, answer.threshold, self._width
            )
        )
        ui.contributionsChartLabel.setPixmap(contributionsPixmap(self.bars, self._width))
        missing = ", ".join(input_title(name) for name in answer.inputs_missing)
        ui.missingInputsLabel.setText(f"Not known to the model: {missing}." if missing else "Every input was there.")
        trained = f", trained on {answer.trained_on}" if answer.trained_on else ""
        ui.modelLabel.setText(f"Model: {answer.model}{trained}.")
        ui.remarksLabel.setText(" ".join(answer.remarks))
        ui.remarksLabel.setVisible(bool(answer.remarks))
        ui.resultNoticeLabel.setText(answer.notice)
        hasMap = GRAD_CAM in answer.maps and self.subject.bmode is not None
        offer([ui.gradCamCheckBox], "" if hasMap else "There is no B-mode picture, so there is no such map.")
        offer([ui.gradCamOpacitySlider], "Show the map first.")
        self._say("")
        ui.resultFrame.setVisible(True)

    @property
    def bars(self) -> list[tuple[str, float]]:
        """(title with unit, log-odds), the largest first, whatever its sign."""
        found = {} if self.answer is None else self.answer.contributions
        return [(input_title(name), value) for name, value in sorted(found.items(), key=lambda item: -abs(item[1]))]

    @property
    def _width(self) -> int:
        return min(max(self.ui.resultFrame.parent().width - 24, 320), 520)

    # The map

    def onGradCam(self, isShown: bool) -> None:
        """Lay the map on the first B-mode picture, or take it away."""
        if not isShown or self.answer is None:
            self._removeOverlay()
            return
        picture = self.subject.bmode
        if picture is not self.subject.picture:
            self.subject.choose(next(k for k, one in enumerate(self.subject.pictures) if one is picture))
            self._check()
        image = pictureNode(picture, self.subject.images)
        try:
            if image is None:
                raise LiverLabelError("The B-mode picture is not in the scene yet or any more. Choose it above.")
            opacity = self.ui.gradCamOpacitySlider.value / 100
            self._overlay = overlayGradCam(self.answer.maps[GRAD_CAM].array, image, case=caseOf(image), opacity=opacity)
            self._image = image
        except LiverLabelError as error:
            self._uncheck()
            self._say(str(error))
            return
        offer([self.ui.gradCamOpacitySlider], "")
        self._say("")

    def onOpacity(self, percentage: float) -> None:
        if self._overlay is not None and slicer.mrmlScene.IsNodePresent(self._overlay):
            showInSlices(self._image, self._overlay, opacity=percentage / 100)

    def onOtherPicture(self) -> None:
        """Another picture is shown, alone."""
        self._uncheck()
        self._removeOverlay()

    def _removeOverlay(self) -> None:
        overlay, image = self._overlay, self._image
        self._overlay = self._image = None
        offer([self.ui.gradCamOpacitySlider], "Show the map first.")
        if overlay is None or not slicer.mrmlScene.IsNodePresent(overlay):
            return
        shown = {one.GetForegroundVolumeID() for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
        if overlay.GetID() in shown:
            showInSlices(image if slicer.mrmlScene.IsNodePresent(image) else None)
        removeNode(overlay)

    def _check(self) -> None:
        self._set(True)

    def _uncheck(self) -> None:
        self._set(False)

    def _set(self, isChecked: bool) -> None:
        self.ui.gradCamCheckBox.blockSignals(True)
        self.ui.gradCamCheckBox.setChecked(isChecked)
        self.ui.gradCamCheckBox.blockSignals(False)

    def _say(self, sentence: str) -> None:
        self.ui.gradCamStatusLabel.setStyleSheet(ERROR_STYLE)
        self.ui.gradCamStatusLabel.setText(sentence)
        self.ui.gradCamStatusLabel.setVisible(bool(sentence))


def percent(share: float) -> str:
    """A probability in per cent; what would be rounded to certainty is not."""
    if share < 0.001:
        return "below 0.1 %"
    return "above 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def answerText(answer: NashAnswer) -> str:
    """What the answer is, in words."""
    word = "yes" if answer.is_fibrotic_nash else "no"
    if not answer.is_abstention:
        return f"Fibrotic NASH: {word}"
    if len(answer.conformal_answers) > 1:
        why = "both answers stay possible at 90 % coverage"
    else:
        why = "no answer is possible at 90 % coverage; the subject is unlike those the model was calibrated on"
    return f"Fibrotic NASH: not sure: {why}. The threshold alone would say {word}."
