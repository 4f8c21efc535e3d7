"""The module Liver Ultrasound asks one of two questions: which are offered, what is sent, what is shown and stored."""

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
from conftest import waitUntil
from LiverLabelLib.picture_files import OpenedFile
from LiverLabelLib.questions import QUESTIONS
from LiverLabelWidgets import app, charts
from test_windows_ultrasound_answer import ask, hasColour, pixels, save
from ultrasound_fakes import FakeClient, connect, fattyAnswer, openCase, openedCase

BOTH = ("fibrotic_nash", "nafld")


def chooseQuestion(module, task):
    ui = module.ui
    ui.questionComboBox.setCurrentIndex(ui.questionComboBox.findData(task))
    waitUntil(lambda: not app.session().runner.running)


@pytest.fixture
def module(openModule):
    """The module with a case and a server of both questions; fatty liver is asked."""
    widget = openModule("LiverUltrasound")
    connect(app.session(), FakeClient(fattyAnswer()), BOTH)
    openCase(app.session())
    chooseQuestion(widget, "nafld")
    return widget


def test_a_server_of_one_question_offers_no_choice(openModule):
    module = openModule("LiverUltrasound")
    ui, session = module.ui, app.session()
    openCase(session)
    assert ui.questionComboBox.isHidden() and ui.questionComboBoxTitle.isHidden()
    connect(session)
    assert ui.questionComboBox.isHidden() and ui.answerQuestionLabel.text == "Fibrotic NASH:"
    assert ui.askCollapsible.text == "Fibrotic NASH" and ui.questionNoteLabel.isHidden()
    connect(session, tasks=BOTH)
    assert not ui.questionComboBox.isHidden() and not ui.questionComboBoxTitle.isHidden()
    assert ui.askCollapsible.text == "Fibrotic NASH"
    chooseQuestion(module, "nafld")
    connect(session)
    assert ui.questionComboBox.isHidden() and ui.askCollapsible.text == "Fibrotic NASH"
    connect(session, tasks=("nafld",))
    assert ui.questionComboBox.isHidden() and ui.answerQuestionLabel.text == "Fatty liver (NAFLD):"
    assert "does not offer" not in ui.askReasonLabel.text


def test_the_form_speaks_of_the_question(module):
    ui = module.ui
    assert ui.askCollapsible.text == "Fatty liver (NAFLD)" and ui.answerQuestionLabel.text == "Fatty liver (NAFLD):"
    assert "fatty liver" in ui.askButton.toolTip and "fatty liver" in ui.answerYesRadioButton.toolTip
    assert "clinical values are not sent" in ui.questionNoteLabel.text and not ui.questionNoteLabel.isHidden()
    chooseQuestion(module, "fibrotic_nash")
    assert "fibrotic NASH" in ui.askButton.toolTip and "fibrosis" in ui.answerNoRadioButton.toolTip
    assert [ui.questionComboBox.itemText(k) for k in range(ui.questionComboBox.count)] == [q.title for q in QUESTIONS]


def test_an_answer_on_fatty_liver_is_shown_frame_by_frame(module):
    ask(module)
    ui = module.ui
    assert ui.answerLabel.text == "Fatty liver (NAFLD): yes"
    for number in ("fatty liver: 73.4 %", "41.2 %", "93.1 %", "50 %"):
        assert number in ui.probabilityLabel.text
    assert "each B-mode picture" in ui.contributionsTitle.text
    assert ui.missingInputsLabel.text == "Read from 3 B-mode pictures, 25.0 % to above 99.9 %."
    assert not ui.simulatedModelLabel.isHidden() and "55 simulated patients" in ui.modelLabel.text
    drawn = pixels(ui.contributionsChartLabel)
    against, forIt = hasColour(drawn, charts.AGAINST), hasColour(drawn, charts.FOR)
    length = np.ptp(forIt[forIt[:, 0] >= 40][:, 1])
    assert against[:, 0].max() < 20 <= forIt[:, 0].min()
    assert np.ptp(against[:, 1]) / length == pytest.approx(0.25, abs=0.02)
    assert np.ptp(forIt[forIt[:, 0] < 40][:, 1]) / length == pytest.approx(0.5, abs=0.02)


def test_what_the_model_is_not_is_said(module):
    many = tuple((f"a frame with a very long name {k}", 0.5) for k in range(57))
    ask(module, FakeClient(fattyAnswer(frames=many, is_calibrated=False, is_trained_on_simulated_data=False)))
    ui = module.ui
    assert "57 B-mode pictures" in ui.missingInputsLabel.text and "first 20 are drawn" in ui.missingInputsLabel.text
    assert "No patients calibrated" in ui.missingInputsLabel.text and ui.simulatedModelLabel.isHidden()
    assert pixels(ui.contributionsChartLabel).shape[0] < 20 * 20 + 40
    ask(module, FakeClient(fattyAnswer(conformal_answers=(False, True), is_abstention=True)))
    assert "Fatty liver (NAFLD): not sure: both answers stay possible" in ui.answerLabel.text


def test_either_map_lies_on_the_picture_and_the_signed_one_has_two_colours(module):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    ask(module)
    ui = module.ui
    assert ui.gradCamCheckBox.text == "Show a map on the B-mode picture" and not ui.mapComboBox.isHidden()
    ui.gradCamCheckBox.setChecked(True)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]

    def shown():
        return slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())

    assert shown().GetName() == "Grad-CAM" and shown().GetDisplayNode().GetColorNode().GetName() == "Inferno"
    ui.mapComboBox.setCurrentIndex(1)
    display = shown().GetDisplayNode()
    assert shown().GetName() == "Gradient SHAP" and display.GetColorNode().GetName() == "DivergingBlueRed"
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-1, 1)
    assert len(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")) == 1
    chooseQuestion(module, "fibrotic_nash")
    assert composite.GetForegroundVolumeID() is None and ui.resultFrame.isHidden()


def test_clinical_values_are_neither_sent_nor_a_hindrance(module):
    edit = slicer.util.findChild(module.ui.clinicalFrame, "alt_u_per_lLineEdit")
    edit.setText("400000")
    ask(module)
    assert app.session().client.asked[-1][:3] == ("nafld", "rat-001", {"threshold": 0.5})
    assert module.ui.staleResultLabel.isHidden()
    edit.setText("400")
    assert module.ui.staleResultLabel.isHidden()
    module.ui.thresholdSpinBox.setValue(30)
    assert not module.ui.staleResultLabel.isHidden()


def test_a_case_without_b_mode_is_not_asked(module):
    openCase(app.session(), openedCase("b", roles=("swe",)))
    assert not module.ui.askButton.enabled and "is read from B-mode pictures" in module.ui.askReasonLabel.text
    chooseQuestion(module, "fibrotic_nash")
    assert module.ui.askButton.enabled


def test_of_files_the_b_mode_pictures_alone_are_sent(module, tmp_path):
    files = []
    for name, role in (("a.png", "bmode"), ("b.png", "swe"), ("c.png", "bmode")):
        (tmp_path / name).write_bytes(name.encode())
        files.append(OpenedFile(Path(tmp_path / name), [np.zeros((80, 120), np.uint8)], None, role))
    module.subject.add(files)
    ask(module)
    ((task, sent, params, _),) = app.session().client.sent
    assert task == "nafld" and params == {"threshold": 0.5}
    assert sorted(sent) == ["bmode_1.png", "bmode_2.png", "ultrasound.json"] and sent["bmode_2.png"] == b"c.png"
    assert [one["role"] for one in json.loads(sent["ultrasound.json"])["images"]] == ["bmode", "bmode"]
    chooseQuestion(module, "fibrotic_nash")
    assert "State the scale of the elastogram" in module.ui.askReasonLabel.text


def test_an_answer_to_the_former_question_is_dropped(module):
    connect(app.session(), FakeClient(fattyAnswer(), delayS=0.3), BOTH)
    module.ui.askButton.click()
    chooseQuestion(module, "fibrotic_nash")
    assert module.ui.resultFrame.isHidden() and module.panels[3].card.answer is None


# The reader's own answer


def test_each_question_has_its_own_stored_answer(module):
    ui, session = module.ui, app.session()
    connect(session, FakeClient(stored={"fibrotic_nash": True, "nafld": False}), BOTH)
    openCase(session, openedCase("b"))
    waitUntil(lambda: "Stored answer: no" in ui.storedAnswerLabel.text)
    chooseQuestion(module, "fibrotic_nash")
    assert "Stored answer: yes" in ui.storedAnswerLabel.text and ui.answerYesRadioButton.checked
    connect(session, FakeClient(stored={"fibrotic_nash": True}), BOTH)
    openCase(session, openedCase("c"))
    chooseQuestion(module, "nafld")
    assert ui.storedAnswerLabel.text == "No answer is stored."
    assert not ui.answerYesRadioButton.checked and not ui.answerNoRadioButton.checked


def test_the_answer_is_stored_to_the_question_that_is_shown(module):
    save(module, module.ui.answerYesRadioButton)
    chooseQuestion(module, "fibrotic_nash")
    save(module, module.ui.answerNoRadioButton)
    stored = [json.loads(content) for _, content, *_ in app.session().client.saved]
    assert [(one["task"], one["value"]) for one in stored] == [("nafld", True), ("fibrotic_nash", False)]


def test_answers_to_both_questions_wait_while_there_is_no_server(module):
    session, ui = app.session(), module.ui

    def refuse(*_, **__):
        from LiverLabelLib.errors import LostConnectionError

        raise LostConnectionError("The server went away. Try again.")

    session.client.save_label = refuse
    save(module, ui.answerYesRadioButton)
    chooseQuestion(module, "fibrotic_nash")
    assert "waits" not in ui.storedAnswerLabel.text
    save(module, ui.answerNoRadioButton)
    save(module, ui.answerYesRadioButton)
    waiting = [json.loads(one.content) for one in session.outbox.waiting()]
    assert [(one["task"], one["value"]) for one in waiting] == [("nafld", True), ("fibrotic_nash", True)]
    chooseQuestion(module, "nafld")
    assert "waits to be sent" in ui.storedAnswerLabel.text
