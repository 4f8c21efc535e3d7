"""The panel of training: start, follow, stop, roll back, score; and the picture of its curve."""

import time
from dataclasses import replace

import numpy as np
import pytest
import qt
from conftest import waitUntil
from label_fakes import CURVE, DONE, METRIC, RUNNING, connectTo, point
from LiverLabelLib.errors import CannotConnect, ConnectError, LostConnectionError, RefusedError
from LiverLabelLib.session import NOT_CONNECTED
from LiverLabelWidgets import app
from LiverLabelWidgets.curve_picture import LOSS_COLOUR, METRIC_COLOUR, axesOf, curvePicture, epochsOf, ticks


@pytest.fixture
def panel(openModule, questions):
    """The panel; asked again every 50 ms instead of every 2 s."""
    found = openModule("LiverLabel").panels[4]
    found._timer.setInterval(50)
    return found


def follow(panel, state=None, **how):
    client = connectTo(app.session(), **how)
    if state is not None:
        client.state = state
    waitUntil(lambda: panel.training is not None and (state is None or panel.training.state == state.state))
    return client


def test_without_a_server_or_the_task_the_reason_is_given(panel):
    ui = panel.ui
    buttons = (ui.startTrainingButton, ui.stopTrainingButton, ui.rollBackButton, ui.startScoringButton)
    assert all(not one.enabled and one.toolTip == NOT_CONNECTED for one in buttons)
    client = connectTo(app.session(), tasks=("pdff",))
    assert all("does not offer the task liver_roi" in one.toolTip for one in buttons)
    assert "does not offer the task liver_roi" in ui.trainingMessageLabel.text
    waitUntil(after(0.2))
    assert client.asked("training") == []


def test_a_training_is_started_with_the_options_of_the_form(panel):
    ui, client = panel.ui, follow(panel)
    assert ui.trainingStateLabel.text == "No training yet" and not ui.stopTrainingButton.enabled
    ui.epochsSpinBox.setValue(4)
    ui.maxMinutesSpinBox.setValue(2.5)
    ui.deviceCombo.setCurrentIndex(1)
    ui.startTrainingButton.click()
    waitUntil(lambda: panel.training.state == "running")
    assert client.asked("start_training") == [["liver_roi", {"device": "cpu", "epochs": 4, "max_minutes": 2.5}]]
    assert (
        ui.trainingStateLabel.text == "Training: adaptation" and ui.trainingMessageLabel.text == "Two of four epochs."
    )
    assert (ui.epochProgressBar.value, ui.epochProgressBar.maximum, ui.epochProgressBar.isHidden()) == (2, 4, False)
    assert ui.leftLabel.text == "About 2 min left"
    assert not ui.startTrainingButton.enabled and "stop it" in ui.startTrainingButton.toolTip
    assert ui.stopTrainingButton.enabled and not ui.rollBackButton.enabled


def test_it_follows_the_training_to_its_end(panel):
    ui, client = panel.ui, follow(panel, RUNNING)
    client.state = DONE
    waitUntil(lambda: panel.training.state == "done")
    assert ui.trainingStateLabel.text == "Done"
    assert ui.trainingMessageLabel.text == "Better on held-out patients: published."
    assert ui.versionLabel.text == "Weights in use: version 1; also kept: 0"
    assert ui.epochProgressBar.isHidden() and ui.leftLabel.isHidden() and not ui.curveLabel.isHidden()


def test_stopping_keeps_a_checkpoint_from_which_it_goes_on_or_begins_anew(panel):
    ui, client = panel.ui, follow(panel, RUNNING)
    assert ui.beginAnewCheckBox.isHidden()
    ui.stopTrainingButton.click()
    waitUntil(lambda: panel.training.state == "stopped")
    assert client.asked("stop_training") == [["liver_roi"]]
    assert ui.startTrainingButton.text == "Go on" and not ui.beginAnewCheckBox.isHidden()
    ui.startTrainingButton.click()
    waitUntil(lambda: panel.training.state == "running")
    ui.stopTrainingButton.click()
    waitUntil(lambda: panel.training.state == "stopped")
    ui.beginAnewCheckBox.setChecked(True)
    ui.startTrainingButton.click()
    waitUntil(lambda: panel.training.state == "running")
    ui.stopTrainingButton.click()
    waitUntil(lambda: panel.training.state == "stopped")
    ui.startTrainingButton.click()
    waitUntil(lambda: panel.training.state == "running")
    # What gives a checkpoint up is asked for each time.
    assert [options for _, options in client.asked("start_training")] == [
        {"device": "auto"},
        {"device": "auto", "resume": False},
        {"device": "auto"},
    ]


def test_rolling_back_asks_first(panel, questions):
    ui, client = panel.ui, follow(panel, DONE)
    questions.answer = False
    ui.rollBackButton.click()
    assert "before version 1 for the task Liver outline" in questions[0] and not client.asked("roll_back_training")
    questions.answer = True
    ui.rollBackButton.click()
    waitUntil(lambda: panel.training.version == 0)
    assert not ui.rollBackButton.enabled and "none before them" in ui.rollBackButton.toolTip


def test_a_refusal_is_its_sentence(panel):
    ui, client = panel.ui, follow(panel)
    client.failing["start_training"] = RefusedError(422, "Six outlined patients are needed; found 2. Outline more.")
    ui.startTrainingButton.click()
    waitUntil(lambda: not panel.status.isBusy)
    assert ui.trainingStatusLabel.text == "Six outlined patients are needed; found 2. Outline more."


@pytest.mark.parametrize(
    "failure",
    [
        LostConnectionError("The server went away. See that it runs."),
        ConnectError(CannotConnect.NOTHING_LISTENS, host="here", port=8000),
    ],
    ids=["ended", "not there"],
)
def test_a_server_that_restarts_in_the_middle_is_said_and_followed_again(panel, failure):
    ui, client = panel.ui, follow(panel, RUNNING)
    client.failing["training"] = failure
    waitUntil(lambda: str(failure) in ui.trainingMessageLabel.text)
    assert "Asked again every 2 s" in ui.trainingMessageLabel.text
    assert ui.trainingStateLabel.text == "Training: adaptation"
    client.state = replace(RUNNING, state="interrupted", message="The server ended.", can_resume=True)
    del client.failing["training"]
    waitUntil(lambda: panel.training.state == "interrupted")
    assert ui.trainingMessageLabel.text == "The server ended." and ui.startTrainingButton.text == "Go on"


def test_a_server_that_does_not_let_us_in_is_not_asked_again_until_connected(panel):
    ui, client = panel.ui, follow(panel, RUNNING)
    client.failing["training"] = ConnectError(CannotConnect.WRONG_TOKEN)
    waitUntil(lambda: "another token" in ui.trainingMessageLabel.text)
    asked = len(client.asked("training"))
    waitUntil(after(0.3))
    assert len(client.asked("training")) == asked
    follow(panel, RUNNING)
    assert ui.trainingMessageLabel.text == "Two of four epochs."


def test_questions_never_overlap_and_end_with_the_module(panel):
    client = follow(panel, RUNNING)
    client.late["training"] = 0.3
    waitUntil(after(0.2))
    before = len(client.asked("training"))
    waitUntil(after(0.7))
    assert len(client.asked("training")) - before <= 3
    panel.exit()
    waitUntil(lambda: not app.session().runner.running)
    before = len(client.asked("training"))
    waitUntil(after(0.3))
    assert len(client.asked("training")) == before
    panel.enter()
    waitUntil(lambda: len(client.asked("training")) > before)


def test_an_answer_about_another_task_is_dropped(panel):
    ui, client = panel.ui, follow(panel, RUNNING)
    client.late["start_training"] = 0.3
    client.state = DONE
    waitUntil(lambda: panel.training.state == "done")
    ui.startTrainingButton.click()
    ui.trainingTaskCombo.setCurrentIndex(2)
    assert panel.training is None and ui.curveLabel.isHidden()
    waitUntil(lambda: not panel.status.isBusy)
    waitUntil(lambda: panel.training is not None)
    assert panel.training.task == "pdff"


def test_scoring_is_started_and_followed(panel):
    ui, client = panel.ui, follow(panel)
    assert ui.scoringLabel.text == "No case was scored yet." and ui.scoringProgressBar.isHidden()
    ui.startScoringButton.click()
    waitUntil(lambda: panel.scoring.state == "running")
    assert client.asked("start_scoring") == [["liver_roi"]]
    assert (ui.scoringProgressBar.value, ui.scoringProgressBar.maximum) == (3, 30)
    assert ui.scoringLabel.text == "3 of 30 cases scored. Scoring with version 1." and not ui.startScoringButton.enabled
    client.scores = replace(client.scores, state="idle", done=30, message="")
    waitUntil(lambda: panel.scoring.state == "idle")
    assert ui.startScoringButton.enabled and ui.scoringProgressBar.isHidden()


def test_the_window_answers_while_slow_requests_run(panel):
    ui, client = panel.ui, follow(panel, replace(RUNNING, curve=CURVE * 50))
    client.late["training"] = client.late["stop_training"] = 1.0
    ui.stopTrainingButton.click()
    awayS = waitUntil(lambda: panel.training.state == "stopped")
    print(f"longest time the window did not answer: {1000 * awayS:.0f} ms")
    assert awayS <= 0.05


def pixels(picture):
    """(rows, columns, 3)."""
    image = picture.toImage().convertToFormat(qt.QImage.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def isColour(pixels, place, colour):
    """Whether a pixel or one beside it has a colour."""
    x, y = place
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return (np.abs(pixels[y - 1 : y + 2, x - 1 : x + 2] - wanted).max(axis=-1) < 60).any()


@pytest.mark.parametrize("size", [(300, 260), (640, 400)], ids=str)
def test_a_curve_lies_where_its_values_are(windows, size):
    drawn = pixels(curvePicture(CURVE, *size))
    assert drawn.shape == (size[1], size[0], 3)
    for axes, values, colour in zip(
        axesOf(CURVE, *size),
        ([one.loss for one in CURVE], [one.metric for one in CURVE]),
        (LOSS_COLOUR, METRIC_COLOUR),
        strict=True,
    ):
        for epoch, value in enumerate(values, 1):
            assert isColour(drawn, axes.pixel(epoch, value), colour)
        assert axes.pixel(1, axes.high) == (axes.left, axes.top), "large values are on top"
        between = axes.pixel(1.5, (values[0] + values[1]) / 2)
        assert isColour(drawn, between, colour)
        mirrored = axes.pixel(1.5, axes.low + axes.high - (values[0] + values[1]) / 2)
        assert not isColour(drawn, mirrored, colour)
        # Numbers left of the axis, and a name above.
        assert (drawn[axes.top : axes.top + axes.height, : axes.left - 4] < 128).any()
        assert (drawn[axes.top - 16 : axes.top - 3, axes.left + 24 :] < 128).any()


def test_values_that_are_not_known_are_not_drawn(windows):
    curve = [point("adaptation", 0, None, 0.6), *(point("adaptation", n, 1 / n, None) for n in (1, 2, 3))]
    size = (400, 300)
    drawn = pixels(curvePicture(curve, *size))
    lossAxes, metricAxes = axesOf(curve, *size)
    assert isColour(drawn, lossAxes.pixel(2, 0.5), LOSS_COLOUR)
    assert isColour(drawn, metricAxes.pixel(0, 0.6), METRIC_COLOUR)
    assert not isColour(drawn, metricAxes.pixel(2, 0.6), METRIC_COLOUR)


def test_a_new_stage_goes_on_behind_the_former_and_is_not_joined_to_it(windows):
    curve = [point("training ultrasound", n, 1.0, None) for n in (0, 1, 2)]
    curve += [point("training mri", n, 0.2, None) for n in (1, 2)]
    assert epochsOf(curve) == [0, 1, 2, 3, 4]
    size = (400, 300)
    drawn, (axes, _) = pixels(curvePicture(curve, *size)), axesOf(curve, *size)
    assert isColour(drawn, axes.pixel(1.5, 1.0), LOSS_COLOUR)
    assert not isColour(drawn, axes.pixel(2.5, 0.6), LOSS_COLOUR)


def test_a_single_epoch_and_equal_values_are_drawn(windows):
    for curve in (CURVE[:1], [point("a", n, 0.5, 0.5) for n in range(3)], [point(None, None, None, None)]):
        assert (pixels(curvePicture(curve, 300, 260)) < 128).any()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.03, 1.14, [1.04, 1.06, 1.08, 1.1, 1.12, 1.14]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.36, 0.94, [0.4, 0.6, 0.8]),
        (1, 21, [5, 10, 15, 20]),
        (-2, 2, [-2, -1, 0, 1, 2]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    np.testing.assert_allclose(ticks(low, high), expected, atol=1e-12)


def test_the_metric_is_named_by_the_server(windows):
    named, other = (
        pixels(curvePicture([replace(one, metric_name=name) for one in CURVE], 300, 260))
        for name in (METRIC, "negative log-likelihood")
    )
    assert (named != other).any()


def after(seconds):
    limit = time.monotonic() + seconds
    return lambda: time.monotonic() > limit
