"""Learning from the readers' labels: start, follow, stop, roll back; and scoring what is unlabelled."""

from __future__ import annotations

import qt
import slicer.util
from LiverLabelLib.case_list import TASK_TITLES
from LiverLabelLib.errors import CannotConnect, ConnectError, LiverLabelError
from LiverLabelLib.learning import DEVICES, left_text, scoring_text, state_text, training_options, version_text
from LiverLabelLib.protocol import Scoring, Training
from LiverLabelLib.session import SERVER

from .curve_picture import curvePicture
from .panel import Panel, offer, say
from .status_line import ERROR_STYLE, StatusLine

REFRESH_MS = 2000
CURVE_HEIGHT = 260
_NOT_LET_IN = (CannotConnect.WRONG_TOKEN, CannotConnect.TOKEN_NEEDED)
ASKED_AGAIN = "Asked again every 2 s while this module is open."
RUNNING = "A training runs; wait for its end or stop it."
NONE_RUNS = "No training runs."
NOT_KNOWN = "The server has not told yet how the training is."


class TrainingPanel(Panel):
    """The last training of a task, as the server tells it every two seconds while the module is open."""

    def __init__(self, ui, session):
        super().__init__(ui, session)
        self.status = StatusLine(session, ui, "training")
        self.status.reset()
        self.training: Training | None = None
        """As told last; None: not yet."""
        self.scoring: Scoring | None = None
        """As told last; None: not yet."""
        self._asking = None
        self._problem = ""
        self._isLetIn = True
        self._drawn = None
        for name, title in TASK_TITLES.items():
            ui.trainingTaskCombo.addItem(title, name)
        for name, title in DEVICES.items():
            ui.deviceCombo.addItem(title, name)
        ui.trainingTaskCombo.connect("currentIndexChanged(int)", self.onTask)
        ui.startTrainingButton.connect("clicked(bool)", self.onStart)
        ui.stopTrainingButton.connect("clicked(bool)", self.onStop)
        ui.rollBackButton.connect("clicked(bool)", self.onRollBack)
        ui.startScoringButton.connect("clicked(bool)", self.onScore)
        self._timer = qt.QTimer()
        self._timer.setInterval(REFRESH_MS)
        self._timer.connect("timeout()", self.onTimer)
        self.observe(SERVER, self.onTask)
        self.show()

    @property
    def task(self) -> str:
        """The chosen task."""
        return self.ui.trainingTaskCombo.itemData(self.ui.trainingTaskCombo.currentIndex)

    def enter(self) -> None:
        """Follow the training while the module is open."""
        super().enter()
        self.refresh()
        self._timer.start()

    def exit(self) -> None:
        """Nobody looks: do not ask."""
        self._timer.stop()
        super().exit()

    def onTimer(self) -> None:
        """Ask again, unless the last question is not answered yet or the server does not let us in."""
        isAsking = self._asking is not None and self._asking.state == "running"
        if not isAsking and self._isLetIn:
            self.refresh()

    def refresh(self) -> None:
        """Ask the server for the state of the training and of the scoring."""
        task = self.task
        if self.session.whyNotOffered(task):
            return
        self._asking = self.session.start(
            "training state",
            lambda client, job: (
                client.training(task, job.call(is_told=False)),
                client.scoring(task, job.call(is_told=False)),
            ),
            lambda told: self.onTold(task, *told),
            self.onNotTold,
            is_of_scene=False,
        )

    def onTold(self, task: str, training: Training, scoring: Scoring | None = None) -> None:
        """Show what the server told, unless another task is chosen by now."""
        if task != self.task:
            return
        self.training, self.scoring = training, scoring or self.scoring
        self._problem, self._isLetIn = "", True
        self.show()

    def onNotTold(self, error: LiverLabelError) -> None:
        """Keep what was told last, and say why it is not newer."""
        self._isLetIn = not (isinstance(error, ConnectError) and error.reason in _NOT_LET_IN)
        self._problem = f"{error} {ASKED_AGAIN}" if self._isLetIn else f"{error} Then connect again."
        self.show()

    def onTask(self) -> None:
        """Another task, or another server."""
        self.training = self.scoring = None
        self._problem, self._isLetIn = "", True
        self.status.say("")
        self.show()
        self.refresh()

    def onStart(self) -> None:
        """Start a training with the options of the form."""
        ui, task = self.ui, self.task
        device = ui.deviceCombo.itemData(ui.deviceCombo.currentIndex)
        begins = ui.beginAnewCheckBox.checked
        options = training_options(ui.epochsSpinBox.value, ui.maxMinutesSpinBox.value, device, begins)
        self._ask(lambda client, job: client.start_training(task, options, job.call()), "Starting")

    def onStop(self) -> None:
        """Stop the training; its checkpoint is kept."""
        task = self.task
        self._ask(lambda client, job: client.stop_training(task, job.call()), "Stopping")

    def onRollBack(self) -> None:
        """Use the former weights again, once the reader agrees."""
        task = self.task
        if slicer.util.confirmOkCancelDisplay(
            f"Use the weights before version {self.training.version} for the task {TASK_TITLES[task]} again? Everybody "
            "who uses this server gets them. No version is lost.",
            "Roll back",
        ):
            self._ask(lambda client, job: client.roll_back_training(task, call=job.call()), "Rolling back")

    def onScore(self) -> None:
        """Score the unlabelled cases in the background of the server."""
        task = self.task

        def isStarted(scoring: Scoring) -> None:
            if task == self.task:
                self.scoring = scoring
                self.show()

        self.status.run(
            "score", lambda client, job: client.start_scoring(task, job.call()), isStarted, "Asking", is_of_scene=False
        )

    def show(self) -> None:
        """Show what was told last, and offer what can be done."""
        ui, training = self.ui, self.training
        whyNot = self.session.whyNotOffered(self.task)
        say(ui.trainingStateLabel, "" if training is None else state_text(training))
        message = self._problem or whyNot or ("" if training is None else training.message)
        ui.trainingMessageLabel.setStyleSheet(ERROR_STYLE if self._problem else "")
        say(ui.trainingMessageLabel, message)
        say(ui.versionLabel, "" if training is None else version_text(training))
        isRunning = training is not None and training.state == "running"
        progress = training.progress if isRunning else None
        self._bar(ui.epochProgressBar, progress and progress.epoch, progress and progress.n_epochs)
        say(ui.leftLabel, left_text(progress))
        self._showCurve()
        self._showScoring()
        canResume = training is not None and training.can_resume and not isRunning
        ui.startTrainingButton.setText("Go on" if canResume else "Start")
        ui.beginAnewCheckBox.setVisible(canResume)
        if not canResume:
            ui.beginAnewCheckBox.setChecked(False)
        whyNot = whyNot or ("" if training is not None else NOT_KNOWN)
        offer([ui.startTrainingButton], whyNot or (RUNNING if isRunning else ""))
        offer([ui.stopTrainingButton], whyNot or ("" if isRunning else NONE_RUNS))
        offer([ui.rollBackButton], whyNot or self._whyNotRolledBack(isRunning))

    def _ask(self, work, doing: str) -> None:
        task = self.task
        self.status.run("training", work, lambda training: self.onTold(task, training), doing, is_of_scene=False)

    def _whyNotRolledBack(self, isRunning: bool) -> str:
        if isRunning:
            return RUNNING
        if self.training.version == 0:
            return "The weights in use are those of the package; there are none before them."
        return ""

    def _showScoring(self) -> None:
        ui, scoring = self.ui, self.scoring
        isRunning = scoring is not None and scoring.state == "running"
        self._bar(ui.scoringProgressBar, scoring.done if isRunning else None, scoring.total if isRunning else None)
        say(ui.scoringLabel, "" if scoring is None else scoring_text(scoring))
        whyNot = self.session.whyNotOffered(self.task)
        offer([ui.startScoringButton], whyNot or ("The cases are being scored." if isRunning else ""))

    def _showCurve(self) -> None:
        curve = () if self.training is None else self.training.curve
        label = self.ui.curveLabel
        drawn = (curve, max(label.width, 240))
        if drawn != self._drawn:
            self._drawn = drawn
            label.setVisible(bool(curve))
            if curve:
                label.setPixmap(curvePicture(curve, drawn[1], CURVE_HEIGHT))

    def _bar(self, bar, done: int | None, total: int | None) -> None:
        bar.setVisible(bool(total))
        bar.setRange(0, total or 1)
        bar.setValue(min(done or 0, total or 1))
