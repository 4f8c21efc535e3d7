"""The panel of annotations that wait: listed, sent, discarded; nothing is lost by a failure."""

import pytest
from conftest import waitUntil
from label_fakes import ADDRESS, FakeClient, connectTo
from LiverLabelLib.errors import LostConnectionError
from LiverLabelLib.session import NOT_CONNECTED, OUTBOX
from LiverLabelWidgets import app
from LiverLabelWidgets.tables import chosenRows

OTHER = "http://hospital:8000"


@pytest.fixture
def filled(openModule, questions):
    """The module's widgets, with three annotations that wait, one for another server; nothing is connected."""
    session = app.session()
    session.outbox.keep(ADDRESS, "case-1", b"region", "a.nii.gz", "anna")
    session.outbox.keep(ADDRESS, "refused", b"other", "b.nii.gz", "anna")
    session.outbox.keep(OTHER, "case-9", b"{}", "c.label.json", "")
    ui = openModule("LiverLabel").ui
    waitUntil(lambda: ui.outboxTable.rowCount == 3)
    return ui


def rows(ui):
    table = ui.outboxTable
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def idle(session):
    return waitUntil(lambda: not session.runner.running)


def test_what_waits_is_counted_in_the_title_and_says_why(filled):
    assert filled.outboxCollapsible.text == "Waiting annotations (3)"
    assert [row[:4] for row in rows(filled)] == [
        ["case-1", "region", "anna", "No server is connected."],
        ["refused", "region", "anna", "No server is connected."],
        ["case-9", "answer", "–", "No server is connected."],
    ]
    assert filled.outboxLabel.text == "3 on this computer alone."
    assert not filled.sendButton.enabled and filled.sendButton.toolTip == NOT_CONNECTED
    connectTo(app.session())
    assert [row[3] for row in rows(filled)][1:] == [
        "Not sent yet.",
        f"Cannot be sent now: it belongs to {OTHER}. Connect to that server.",
    ]
    filled.outboxTable.selectRow(2)
    assert f"case-9: Cannot be sent now: it belongs to {OTHER}" in filled.outboxLabel.text
    assert filled.sendButton.enabled


def test_nothing_waits_at_first(openModule, windows):
    ui = openModule("LiverLabel").ui
    idle(app.session())
    assert ui.outboxCollapsible.text == "Waiting annotations (0)"
    assert ui.outboxLabel.text == "Nothing waits: the server has every annotation."
    connectTo(app.session())
    assert not ui.sendButton.enabled and not ui.discardButton.enabled


def test_sending_empties_it_but_for_what_is_refused_or_another_servers(filled):
    session, client = app.session(), connectTo(app.session())
    filled.sendButton.click()
    idle(session)
    assert client.asked("save_label") == [["case-1", "a.nii.gz", "anna"]]
    sentence = "A region of this case's matrix is needed; found another. Draw it again."
    assert filled.outboxStatusLabel.text == f"1 sent. {sentence}"
    assert [(row[0], row[3]) for row in rows(filled)][0] == ("refused", sentence)
    assert filled.outboxCollapsible.text == "Waiting annotations (2)" and client.asked("cases")


def test_a_server_that_is_lost_while_sending_loses_nothing(filled):
    session, client = app.session(), connectTo(app.session())
    client.failing["save_label"] = LostConnectionError("The connection broke. Try again.")
    filled.sendButton.click()
    idle(session)
    assert filled.outboxStatusLabel.text == "0 sent. The connection broke. Try again."
    assert filled.outboxTable.rowCount == 3 == len(session.outbox.waiting())
    del client.failing["save_label"]
    filled.sendButton.click()
    idle(session)
    assert filled.outboxTable.rowCount == 2


def test_the_window_answers_while_annotations_are_sent(filled):
    session, client = app.session(), connectTo(app.session())
    client.late["save_label"] = 1.0
    filled.sendButton.click()
    assert filled.outboxStatusLabel.text == "Sending …" and not filled.outboxCancelButton.isHidden()
    assert idle(session) <= 0.05
    assert filled.outboxTable.rowCount == 2


def test_a_closed_scene_does_not_end_the_sending(filled, windows):
    session, client = app.session(), connectTo(app.session())
    client.late["save_label"] = 0.3
    filled.sendButton.click()
    windows.mrmlScene.Clear(False)
    idle(session)
    assert filled.outboxStatusLabel.text.startswith("1 sent.")


def test_discarding_asks_first_and_takes_only_what_was_chosen(filled, questions):
    session = app.session()
    assert not filled.discardButton.enabled and filled.discardButton.toolTip.startswith("Choose annotations")
    filled.outboxTable.selectRow(1)
    questions.answer = False
    filled.discardButton.click()
    idle(session)
    assert len(session.outbox.waiting()) == 3
    questions.answer = True
    filled.discardButton.click()
    idle(session)
    assert questions[-1].startswith("Discard 1 annotation of refused? They are on this computer alone")
    assert [row[0] for row in rows(filled)] == ["case-1", "case-9"] and not filled.discardButton.enabled
    assert [one.case_id for one in session.outbox.waiting()] == ["case-1", "case-9"]


def test_it_follows_what_other_panels_keep_and_send(filled):
    session = app.session()
    client = connectTo(session, FakeClient())
    client.failing["save_label"] = LostConnectionError("The connection broke. Try again.")
    filled.outboxTable.selectRow(0)
    failures = []
    session.save("case-2", b"label", "a.label.json", lambda: None, failures.append)
    waitUntil(lambda: failures)
    idle(session)
    assert filled.outboxCollapsible.text == "Waiting annotations (4)"
    assert chosenRows(filled.outboxTable) == [0]
    session.outbox.remove(session.outbox.waiting()[0])
    session.tell(OUTBOX)
    idle(session)
    assert filled.outboxTable.rowCount == 3 and not chosenRows(filled.outboxTable)
