"""The pictures of a case or of files: which one is shown, its size, its frames, a distance on it."""

from __future__ import annotations

import math
import time

import qt
import slicer
import slicer.util
from LiverLabelLib.case_nodes import caseOf, removeCase, removeNode
from LiverLabelLib.case_view import showImage
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.picture_files import openPicture
from LiverLabelLib.picture_view import (
    distanceFor,
    distanceText,
    fileSteps,
    pictureNode,
    showFrame,
    sizeText,
)
from LiverLabelLib.roi import Observers
from LiverLabelLib.session import CASE
from LiverLabelLib.us_sidecar import BMODE, SWE
from LiverLabelLib.us_subject import PICTURE, SUBJECT, Subject

from .panel import Panel, offer
from .status_line import StatusLine

STEP_S = 0.005
"""How long the window works on a cine before it looks at other things."""
FRAME_MS_WITHOUT_TIMES = 100
_FILTER = "Pictures (*.dcm *.png *.jpg *.jpeg);;All files (*)"
_ROLES = (("B-mode", BMODE), ("Elastogram", SWE), ("Not sent", None))
_SPECIES = (("not stated", None), ("rat", "rat"), ("human", "human"))


class ViewerPanel(Panel):
    """Shows pictures; ``subject`` says whose."""

    def __init__(self, ui, session, subject: Subject):
        super().__init__(ui, session)
        self.subject = subject
        self.status = StatusLine(session, ui, "viewer")
        self.status.done()
        self._steps, self._loading = None, None
        self._line, self._lineObservers = None, Observers()
        self._stepTimer, self._playTimer = qt.QTimer(), qt.QTimer()
        self._stepTimer.setInterval(0)
        self._playTimer.setSingleShot(True)
        for combo, entries in ((ui.roleComboBox, _ROLES), (ui.speciesComboBox, _SPECIES)):
            for text, value in entries:
                combo.addItem(text, value)
        for sender, signal, call in (
            (ui.subjectComboBox, "currentIndexChanged(int)", self.onSubjectChosen),
            (ui.pictureComboBox, "currentIndexChanged(int)", self.onPictureChosen),
            (ui.openFilesButton, "clicked(bool)", self.onOpenFiles),
            (ui.removeFileButton, "clicked(bool)", self.onRemoveFile),
            (ui.roleComboBox, "currentIndexChanged(int)", self.onFacts),
            (ui.speciesComboBox, "currentIndexChanged(int)", self.onFacts),
            (ui.patientIdLineEdit, "textChanged(QString)", self.onFacts),
            (ui.isSimulatedCheckBox, "toggled(bool)", self.onFacts),
            (ui.frameSlider, "valueChanged(int)", self.onFrame),
            (ui.playButton, "toggled(bool)", self.onPlay),
            (ui.distanceButton, "clicked(bool)", self.onDistance),
            (ui.removeDistanceButton, "clicked(bool)", self.onRemoveDistance),
            (self._stepTimer, "timeout()", self.onStep),
            (self._playTimer, "timeout()", self.onNextFrame),
        ):
            sender.connect(signal, call)
        self.observe(CASE, self.onCase)
        self.observe(SUBJECT, self.refresh)
        self.observe(PICTURE, self.onPicture)
        self.observers.add(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda *_: self.onSceneCloses())
        self.refresh()

    def exit(self) -> None:
        self.ui.playButton.setChecked(False)
        super().exit()

    def close(self) -> None:
        self._stopLoading()
        self._playTimer.stop()
        self._lineObservers.removeAll()
        super().close()

    @property
    def node(self):
        """Of the picture that is shown; None where it is not in the scene."""
        picture = self.subject.picture
        return None if picture is None else pictureNode(picture, self.subject.images)

    # What is there

    def onCase(self) -> None:
        """A case was opened: it is meant from now on. None is open any more: files stay."""
        self.status.reset()
        self.subject.use(self.subject.isLocal and self.session.opened is None)

    def onSceneCloses(self) -> None:
        self._stopLoading()
        self.subject.clear()
        self.ui.playButton.setChecked(False)
        self.onRemoveDistance()
        self.subject.use(False)

    def refresh(self) -> None:
        """Show the lists as they are."""
        ui, subject = self.ui, self.subject
        images = subject.images
        entries = [(f"Case {images.case_id}", False)] if images is not None else []
        entries += [(f"Files of this computer ({len(subject.files)})", True)] if subject.files else []
        _fill(ui.subjectComboBox, entries or [("none", False)], subject.isLocal)
        _fill(ui.pictureComboBox, [(_entry(p), k) for k, p in enumerate(subject.pictures)], subject.chosen)
        ui.subjectComboBox.setEnabled(len(entries) > 1)
        ui.pictureComboBox.setEnabled(bool(subject.pictures))
        ui.filesFrame.setVisible(subject.isLocal)
        isSimulated = subject.isSimulated if subject.isLocal else images is not None and images.is_simulated is True
        ui.simulatedCaseLabel.setVisible(isSimulated)
        self._showFacts()
        offer([ui.removeFileButton], "" if subject.isLocal and subject.files else "Only opened files are removed here.")

    def _showFacts(self) -> None:
        ui, picture = self.ui, self.subject.picture
        if self.subject.isLocal and picture is not None:
            _choose(ui.roleComboBox, picture.role)
            _choose(ui.speciesComboBox, self.subject.species)

    def onSubjectChosen(self, index: int) -> None:
        self.subject.use(bool(self.ui.subjectComboBox.itemData(index)))

    def onPictureChosen(self, index: int) -> None:
        if index >= 0:
            self.subject.choose(index)

    def onFacts(self, *_) -> None:
        """The reader said what the files are."""
        ui, subject = self.ui, self.subject
        if not subject.isLocal or subject.picture is None:
            return
        subject.picture.role = ui.roleComboBox.itemData(ui.roleComboBox.currentIndex)
        subject.species = ui.speciesComboBox.itemData(ui.speciesComboBox.currentIndex)
        subject.patientId = ui.patientIdLineEdit.text
        subject.isSimulated = ui.isSimulatedCheckBox.checked
        subject.changed()

    # Files

    def onOpenFiles(self) -> None:
        chosen = qt.QFileDialog.getOpenFileNames(slicer.util.mainWindow(), "Open ultrasound pictures", "", _FILTER)
        if chosen:
            self.openFiles([str(path) for path in chosen])

    def openFiles(self, paths: list[str]) -> None:
        """Read files off the window's thread; those that cannot be used are named, the others are shown."""

        def work(job):
            opened, refused = [], []
            for number, path in enumerate(paths):
                job.cancel_token.check()
                job.report(number, len(paths))
                try:
                    opened.append(openPicture(path))
                except LiverLabelError as error:
                    refused.append(str(error))
            return opened, refused

        def done(result) -> None:
            opened, refused = result
            self.status.done()
            if opened:
                self.subject.add(opened)
            if refused:
                self.status.say(" ".join(refused), isError=True)

        self.status.begin("Reading the files")
        job = self.session.runner.start("ultrasound files", work, done, self.status.fail)
        self.status.follow(job)

    def onRemoveFile(self) -> None:
        file = self.subject.picture
        if self.subject.isLocal and file is not None:
            self.ui.playButton.setChecked(False)
            self.subject.remove(file)
            removeCase(file.case)

    # The picture

    def onPicture(self) -> None:
        """Show the chosen picture; a file that is not in the scene yet is put there first."""
        ui, picture = self.ui, self.subject.picture
        ui.playButton.setChecked(False)
        self._stopLoading()
        self.onRemoveDistance()
        _choose(ui.pictureComboBox, self.subject.chosen)
        self._showFacts()
        if picture is not None and self.subject.isLocal and self.node is None:
            self._loading, self._steps = picture, fileSteps(picture)
            self.onStep()
            return
        self._showPicture()

    def onStep(self) -> None:
        """Put some frames of a file into the scene."""
        # A still is one step, which the picture's widgets wait for.
        until = time.monotonic() + (STEP_S if len(self._loading.frames) > 1 else math.inf)
        try:
            while time.monotonic() < until:
                nIn = next(self._steps)
        except StopIteration:
            self._stopLoading()
            self._showPicture()
        except LiverLabelError as error:
            file = self._loading
            self._stopLoading()
            self.subject.remove(file)
            self.status.say(str(error), isError=True)
        else:
            self.ui.pictureInfoLabel.setText(f"Loading frame {nIn} of {len(self._loading.frames)} …")
            self._stepTimer.start()

    def _stopLoading(self) -> None:
        self._stepTimer.stop()
        self._loading = self._steps = None

    def _showPicture(self) -> None:
        ui, picture, node = self.ui, self.subject.picture, self.node
        isThere = node is not None
        if picture is None:
            ui.pictureInfoLabel.setText(self.subject.whyNone)
        elif not isThere:
            ui.pictureInfoLabel.setText("This picture is not in the scene any more. Open the case again.")
        else:
            showImage(node)
            ui.pictureInfoLabel.setText(sizeText(picture, node))
        frames = getattr(picture, "frames", ()) if isThere else ()
        ui.cineFrame.setVisible(len(frames) > 1)
        if len(frames) > 1:
            ui.frameSlider.blockSignals(True)
            ui.frameSlider.setRange(0, len(frames) - 1)
            ui.frameSlider.setValue(picture.frame)
            ui.frameSlider.blockSignals(False)
            self._sayFrame()
        offer([ui.distanceButton], "" if isThere else "A picture needs to be shown first.")

    # The cine

    def onFrame(self, index: int) -> None:
        picture = self.subject.picture
        if not hasattr(picture, "frames"):
            return
        if showFrame(picture, index):
            picture.frame = index
            self._sayFrame()
            if not self.ui.playButton.checked:
                self.subject.changed()
        else:
            self.ui.playButton.setChecked(False)

    def _sayFrame(self) -> None:
        picture = self.subject.picture
        times = picture.frame_times_s
        when = f"{times[picture.frame]:.3f} s" if times else "the file states no times: 10 frames a second are played"
        self.ui.frameLabel.setText(f"Frame {picture.frame + 1} of {len(picture.frames)}, {when}")

    def onPlay(self, isPlaying: bool) -> None:
        self.ui.playButton.setText("Stop" if isPlaying else "Play")
        if isPlaying and len(getattr(self.subject.picture, "frames", ())) > 1:
            self._waitForNext()
        elif self._playTimer.active:
            self._playTimer.stop()
            self.subject.changed()

    def _waitForNext(self) -> None:
        picture = self.subject.picture
        times, frame = picture.frame_times_s, picture.frame
        waitMs = FRAME_MS_WITHOUT_TIMES
        if times:
            # The last frame stays as long as the one before it.
            frame = min(frame, len(times) - 2)
            waitMs = round(1000 * (times[frame + 1] - times[frame]))
        self._playTimer.start(max(waitMs, 1))

    def onNextFrame(self) -> None:
        picture = self.subject.picture
        if self.ui.playButton.checked and hasattr(picture, "frames"):
            self.ui.frameSlider.setValue((picture.frame + 1) % len(picture.frames))
            if self.ui.playButton.checked:
                self._waitForNext()

    # The distance

    def onDistance(self) -> None:
        """Put a line on the picture and tell its length while it is dragged."""
        ui, node, picture = self.ui, self.node, self.subject.picture
        if node is None:
            return
        self.onRemoveDistance()
        self._line = line = distanceFor(caseOf(node), node)

        def measured(*_) -> None:
            ui.distanceLabel.setText(distanceText(line, picture, node))

        self._lineObservers.add(line, line.PointModifiedEvent, measured)
        ui.removeDistanceButton.setEnabled(True)
        ui.distanceLabel.setVisible(True)
        measured()

    def onRemoveDistance(self) -> None:
        self._lineObservers.removeAll()
        removeNode(self._line)
        self._line = None
        self.ui.removeDistanceButton.setEnabled(False)
        self.ui.distanceLabel.setVisible(False)


def _entry(picture) -> str:
    roles = {BMODE: "B-mode", SWE: "elastogram", None: "not sent"}
    frames = len(getattr(picture, "frames", ()))
    return f"{picture.name} ({roles.get(picture.role, picture.role)}{f', {frames} frames' if frames > 1 else ''})"


def _fill(combo, entries, chosen) -> None:
    combo.blockSignals(True)
    combo.clear()
    for text, value in entries:
        combo.addItem(text, value)
    combo.blockSignals(False)
    _choose(combo, chosen)


def _choose(combo, value) -> None:
    combo.blockSignals(True)
    for index in range(combo.count):
        if combo.itemData(index) == value:
            combo.setCurrentIndex(index)
    combo.blockSignals(False)
