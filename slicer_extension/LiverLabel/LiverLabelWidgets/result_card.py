"""An answer: in words, in numbers, drawn, and where in the picture it comes from."""

from __future__ import annotations

import slicer
import slicer.util
from LiverLabelLib.case_nodes import caseOf, removeNode
from LiverLabelLib.clinical_facts import input_title
from LiverLabelLib.display import LOOKS, overlayExplanation, showInSlices
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.picture_view import pictureNode
from LiverLabelLib.questions import QUESTIONS, Question
from LiverLabelLib.results import NAFLD_MAPS, NafldAnswer, NashAnswer
from LiverLabelLib.us_subject import PICTURE, Subject

from .charts import MAX_FRAMES, contributionsPixmap, framesPixmap, percent, probabilityPixmap
from .panel import Panel, explain, offer, say
from .status_line import ERROR_STYLE

MAPS = {"fibrotic_nash": ("grad_cam",), "nafld": NAFLD_MAPS}
"""Task -> the maps of the first B-mode picture that explain its answer."""


class ResultCard(Panel):
    """Shows one answer, or nothing."""

    def __init__(self, ui, session, subject: Subject):
        super().__init__(ui, session)
        self.subject = subject
        self.answer: NashAnswer | NafldAnswer | None = None
        self._image, self._overlay = None, None
        ui.gradCamCheckBox.connect("toggled(bool)", self.onGradCam)
        ui.mapComboBox.connect("currentIndexChanged(int)", self.onMap)
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

    def show(self, answer: NashAnswer | NafldAnswer, isSimulated: bool = False) -> None:
        """Show an answer.

        Args:
            answer: Of the subject that is shown.
            isSimulated: The reader said that the files are, whatever the reply says.
        """
        ui = self.ui
        self.clear()
        self.answer = answer
        ui.simulatedResultLabel.setVisible(answer.is_simulated or isSimulated)
        ui.simulatedModelLabel.setVisible(answer.is_trained_on_simulated_data)
        question = questionOf(answer)
        ui.answerLabel.setText(answerText(answer))
        ui.probabilityLabel.setText(
            f"Probability of {question.subject}: {percent(answer.probability)} (95 % interval "
            f"{percent(answer.probability_low)} to {percent(answer.probability_high)}); threshold "
            f"{100 * answer.threshold:g} %"
        )
        ui.probabilityBarLabel.setPixmap(
            probabilityPixmap(
                answer.probability, answer.probability_low, answer.probability_high, answer.threshold, self._width
            )
        )
        self._showParts(answer, question)
        trained = f", trained on {answer.trained_on}" if answer.trained_on else ""
        ui.modelLabel.setText(f"Model: {answer.model}{trained}.")
        ui.remarksLabel.setText(" ".join(answer.remarks))
        ui.remarksLabel.setVisible(bool(answer.remarks))
        ui.resultNoticeLabel.setText(answer.notice)
        self._offerMaps([name for name in MAPS[answer.task] if name in answer.maps])
        hasMap = ui.mapComboBox.count > 0 and self.subject.bmode is not None
        offer([ui.gradCamCheckBox], "" if hasMap else "There is no B-mode picture, so there is no such map.")
        offer([ui.gradCamOpacitySlider], "Show the map first.")
        self._say("")
        ui.resultFrame.setVisible(True)

    def _showParts(self, answer: NashAnswer | NafldAnswer, question: Question) -> None:
        """What the answer is made of: inputs, or frames."""
        ui = self.ui
        if isinstance(answer, NashAnswer):
            ui.contributionsTitle.setText("What each input adds, in log-odds")
            explain(ui.contributionsTitle, "Log-odds less those without the input; they need not add up.")
            explain(
                ui.contributionsChartLabel,
                f"To the right: speaks for {question.subject}. To the left: speaks against it.",
            )
            ui.contributionsChartLabel.setPixmap(contributionsPixmap(self.bars, self._width))
            missing = ", ".join(input_title(name) for name in answer.inputs_missing)
            say(ui.missingInputsLabel, f"Not known to the model: {missing}." if missing else "Every input was there.")
            return
        ui.contributionsTitle.setText("Probability from each B-mode picture alone")
        explain(ui.contributionsTitle, "The answer above is the subject's, from all of them.")
        explain(ui.contributionsChartLabel, "From 0 to 100 %; the line is the threshold.")
        ui.contributionsChartLabel.setPixmap(framesPixmap(answer.frames, answer.threshold, self._width))
        say(ui.missingInputsLabel, framesText(answer))

    def _offerMaps(self, names: list[str]) -> None:
        ui = self.ui
        ui.mapComboBox.blockSignals(True)
        ui.mapComboBox.clear()
        for name in names:
            ui.mapComboBox.addItem(LOOKS[name].title, name)
        ui.mapComboBox.blockSignals(False)
        isChoice = len(names) > 1
        ui.mapComboBox.setVisible(isChoice)
        what = "a map" if isChoice else "Grad-CAM"
        ui.gradCamCheckBox.setText(f"Show {what} on the B-mode picture")

    @property
    def bars(self) -> list[tuple[str, float]]:
        """(title with unit, log-odds), the largest first, whatever its sign; none of an answer from frames."""
        found = self.answer.contributions if isinstance(self.answer, NashAnswer) else {}
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
            name = self.ui.mapComboBox.itemData(self.ui.mapComboBox.currentIndex)
            opacity = self.ui.gradCamOpacitySlider.value / 100
            values = self.answer.maps[name].array
            self._overlay = overlayExplanation(values, image, role=name, case=caseOf(image), opacity=opacity)
            self._image = image
        except LiverLabelError as error:
            self._uncheck()
            self._say(str(error))
            return
        offer([self.ui.gradCamOpacitySlider], "")
        self._say("")

    def onMap(self, *_) -> None:
        """Another map is chosen: it takes the place of the one that is shown."""
        if self.ui.gradCamCheckBox.checked:
            self._removeOverlay()
            self.onGradCam(True)

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


def questionOf(answer: NashAnswer | NafldAnswer) -> Question:
    """What it answers."""
    return next(one for one in QUESTIONS if one.task == answer.task)


def answerText(answer: NashAnswer | NafldAnswer) -> str:
    """What the answer is, in words."""
    title, word = questionOf(answer).title, "yes" if answer.is_yes else "no"
    if not answer.is_abstention:
        return f"{title}: {word}"
    if len(answer.conformal_answers) > 1:
        why = "both answers stay possible at 90 % coverage"
    else:
        why = "no answer is possible at 90 % coverage; the subject is unlike those the model was calibrated on"
    return f"{title}: not sure: {why}. The threshold alone would say {word}."


def framesText(answer: NafldAnswer) -> str:
    """How many frames were read and how far they differ, and what the probability is not."""
    chances, n = [value for _, value in answer.frames], len(answer.frames)
    differ = f", {percent(min(chances))} to {percent(max(chances))}" if n > 1 else ""
    drawn = f"; the first {MAX_FRAMES} are drawn" if n > MAX_FRAMES else ""
    calibrated = (
        "" if answer.is_calibrated else " No patients calibrated the model: its probability is a network's own."
    )
    return f"Read from {n} B-mode {'picture' if n == 1 else 'pictures'}{differ}{drawn}.{calibrated}"
