"""The whole circle from the buttons of the three modules, against LiverLabel's own server in another process."""

import csv

import numpy as np
import pytest
import qt
from conftest import SliceView, waitUntil
from LiverLabelLib.case_view import imageNode
from LiverLabelLib.mrml_io import arrayFromVolume
from LiverLabelLib.roi import setPoints
from LiverLabelLib.segments import LIVER_COLOUR
from LiverLabelWidgets import app
from pictures import folderOf, pictureOf
from scipy.ndimage import gaussian_filter
from served import PYTHON, RealServer

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="LIVERLABEL_SERVER_PYTHON names no Python of the server's environment"
)
LIMIT_S = 180
SLICE_VIEW_PX = (620, 560)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = RealServer(tmp_path_factory.mktemp("served"))
    yield running
    running.close()


@pytest.fixture
def label(server, openModule, windows, monkeypatch):
    """The module LiverLabel, connected by its button."""
    monkeypatch.setattr(windows.util, "selectModule", lambda name: None)
    module = openModule("LiverLabel")
    module.parent.resize(430, 1400)
    module.parent.show()
    connect(module, server, server.token)
    return module


@pytest.fixture
def view(drawing, scene, application):
    """A slice view as large as in 3D Slicer."""
    view = SliceView(application, SLICE_VIEW_PX)
    yield view
    view.close()


def connect(module, server, token) -> None:
    ui = module.ui
    ui.addressEdit.setText(server.address)
    ui.tokenEdit.setText(token)
    ui.readerEdit.setText("anna")
    ui.connectButton.click()
    waitUntil(lambda: not ui.connectionCancelButton.enabled, LIMIT_S)


def answered(status, limitS=LIMIT_S) -> str:
    """Wait for what a status line follows; its sentence."""
    waitUntil(lambda: not status.isBusy, limitS)
    return status.label.text


def openCase(module, caseId) -> None:
    cases = module.panels[1]
    cases.open(caseId)
    assert answered(cases.status) == "" and app.session().caseId == caseId


def choose(combo, data) -> None:
    assert combo.findData(data) >= 0, data
    combo.setCurrentIndex(combo.findData(data))


def asked(work):
    """What the server says, asked by a job as the modules do."""
    ended = []
    app.session().start("test", work, ended.append, ended.append)
    waitUntil(lambda: ended)
    return ended[0]


def test_connect_next_outline_correct_save_train_and_outline_again(server, label, openModule, view, tmp_path):
    """The loop, on simulated discs that the shipped weights do not know."""
    connect(label, server, "not-this-one")
    assert "token" in label.ui.connectionStatusLabel.text
    connect(label, server, server.token)
    assert "0.1.0" in label.ui.serverLabel.text

    choose(label.ui.nextTaskCombo, "liver_roi")
    choose(label.ui.strategyCombo, "random")
    label.ui.nextButton.click()
    assert answered(label.panels[1].status) == ""
    session = app.session()
    caseId, image = session.caseId, imageNode(session.caseId)
    assert caseId.startswith("simulated") and caseId in label.ui.nextLabel.text

    ultrasound = openModule("LiverUltrasound")
    openCase(label, "simulated-disc-08")
    caseId, image = session.caseId, imageNode(session.caseId)
    outline = ultrasound.outline
    outline.ui.proposeButton.click()
    answered(outline.status)
    assert "Dice" in outline.ui.resultLabel.text and "Simulated" in outline.ui.simulatedLabel.text

    outline.ui.undoButton.click()
    outline.ui.drawCurveButton.click()
    pixels, _ = arrayFromVolume(image)
    disc = np.argwhere(gaussian_filter(pixels[:, :, 0].astype(float), 2) > 115)
    angles, radius = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.sqrt(len(disc) / np.pi)
    x, y = disc.mean(axis=0)
    circle = np.c_[x + radius * np.cos(angles), y + radius * np.sin(angles), 0 * angles]
    setPoints(outline.outline.reader.curve, circle, image)
    outline.ui.fillCurveButton.click()
    assert "not saved" in outline.ui.stateLabel.text.lower()
    outline.ui.undoButton.click()
    outline.ui.redoButton.click()
    outline.ui.saveOutlineButton.click()
    waitUntil(lambda: "anna" in outline.ui.stateLabel.text, LIMIT_S)
    stored = asked(lambda client, job: client.label_volume(caseId, call=job.call()))
    assert stored.shape == (96, 96, 1) and int(stored.array.sum()) == pytest.approx(len(disc), rel=0.05)

    before = asked(lambda client, job: client.infer("liver_roi", caseId, call=job.call()))
    choose(label.ui.trainingTaskCombo, "liver_roi")
    label.ui.epochsSpinBox.setValue(3)
    label.ui.startTrainingButton.click()
    waitUntil(lambda: "Training" in label.ui.trainingStateLabel.text, LIMIT_S)
    waitUntil(lambda: "Training" not in label.ui.trainingStateLabel.text, LIMIT_S)
    assert "Done" in label.ui.trainingStateLabel.text, label.ui.trainingMessageLabel.text
    label.ui.outboxCollapsible.setCollapsed(True)
    label.ui.connectionCollapsible.setCollapsed(True)
    label.ui.trainingCollapsible.setCollapsed(False)
    pictureOf(label.parent, view, folderOf(tmp_path) / "slicer-liverlabel-simulated.png")
    outline.ui.proposeButton.click()
    answered(outline.status)
    after = asked(lambda client, job: client.infer("liver_roi", caseId, call=job.call()))
    isPublished = "1" in label.ui.versionLabel.text
    assert isPublished == (after.model != before.model)


def test_fat_is_measured_masked_tabulated_and_reported(server, label, openModule, view, tmp_path, windows):
    fat = openModule("LiverFat")
    openCase(label, "simulated-liver-1")
    fat.ui.measureButton.click()
    assert answered(fat.pdff.status) == "" and "Simulated" in fat.ui.simulatedLabel.text
    fat.outline.ui.proposeButton.click()
    answered(fat.outline.status)
    waitUntil(lambda: fat.ui.regionTable.rowCount > 0, LIMIT_S)
    name = fat.ui.regionTable.item(0, 0).text()
    fat.ui.uncertaintySlider.setValue(2.0)
    fat.ui.hideUncertainBox.setChecked(True)
    waitUntil(lambda: fat.ui.hiddenLabel.text != "", LIMIT_S)

    path = tmp_path / "table.csv"
    qt.answers.append(str(path))
    fat.ui.exportCsvButton.click()
    waitUntil(path.exists)
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[1][0] == name and 0 <= float(rows[1][2]) <= 50
    page = tmp_path / "report-simulated.html"
    qt.answers.append(str(page))
    fat.ui.exportReportButton.click()
    waitUntil(page.exists)
    assert "imulated" in page.read_text() and "http" not in page.read_text().replace("http-equiv", "")
    for one in (fat.ui.scanCollapsible, fat.outline.ui.clicksButton, fat.outline.ui.contourButton):
        one.setCollapsed(True)
    drawn = pictureOf(fat.parent, view, folderOf(tmp_path) / "slicer-liverfat-simulated.png")
    isOutline = np.abs(drawn[:, -SLICE_VIEW_PX[0] :].astype(int) - np.array(LIVER_COLOUR) * 255).max(axis=2) < 40
    assert isOutline.sum() > 300

    server.restart()
    fat.ui.measureButton.click()
    assert answered(fat.pdff.status) == ""


def test_both_questions_are_asked_explained_and_corrected(server, label, openModule, view, tmp_path):
    ultrasound = openModule("LiverUltrasound")
    ultrasound.parent.resize(430, 1200)
    ultrasound.parent.show()
    openCase(label, "simulated-rat-0001")
    ui = ultrasound.ui
    ui.askButton.click()
    waitUntil(lambda: ui.probabilityLabel.text != "" and not ui.askCancelButton.enabled, LIMIT_S)
    assert "%" in ui.probabilityLabel.text and "imulated" in ui.simulatedResultLabel.text
    ui.gradCamCheckBox.setChecked(True)
    ui.elastogramCollapsible.setCollapsed(True)
    ui.outlineCollapsible.setCollapsed(True)
    pictureOf(ultrasound.parent, view, folderOf(tmp_path) / "slicer-liverultrasound-simulated.png")
    ui.answerYesRadioButton.setChecked(True)
    ui.saveAnswerButton.click()

    def stored(task):
        return asked(lambda client, job: client.class_answer("simulated-rat-0001", call=job.call(), task=task))

    waitUntil(lambda: stored("fibrotic_nash") is True, 30)
    choose(ui.questionComboBox, "nafld")
    waitUntil(lambda: "No answer is stored" in ui.storedAnswerLabel.text, 30)
    ui.askButton.click()
    assert answered(ultrasound.panels[3].status) == "" and "Fatty liver" in ui.answerLabel.text
    assert "trained on simulated data" in ui.simulatedModelLabel.text and not ui.simulatedModelLabel.isHidden()
    ui.mapComboBox.setCurrentIndex(1)
    ui.gradCamCheckBox.setChecked(True)
    assert ui.gradCamStatusLabel.text == "" and "B-mode picture" in ui.missingInputsLabel.text
    pictureOf(ultrasound.parent, view, tmp_path / "slicer-fatty-liver-simulated.png")
    ui.answerNoRadioButton.setChecked(True)
    ui.saveAnswerButton.click()
    waitUntil(lambda: stored("nafld") is False, 30)
    assert stored("fibrotic_nash") is True


def test_a_server_that_restarts_loses_nothing(server, label, openModule, view):
    ultrasound = openModule("LiverUltrasound")
    openCase(label, "simulated-disc-07")
    ultrasound.outline.ui.proposeButton.click()
    server.restart()
    answered(ultrasound.outline.status)
    ultrasound.outline.ui.proposeButton.click()
    answered(ultrasound.outline.status)
    assert "Dice" in ultrasound.outline.ui.resultLabel.text
