"""The panel that connects: one step, a sentence and a remedy for each failure, and what it remembers."""

import sys
import time

import faulty_server
import pytest
import qt
from conftest import waitUntil
from label_fakes import pressEnter
from LiverLabelWidgets import app

TASKS = {
    "tasks": [
        {"name": "pdff", "description": "Fat fraction", "input": "", "maps": []},
        {"name": "liver_roi", "description": "", "input": "", "maps": []},
    ]
}


def healthy(handler):
    """Answers to a token only."""
    if handler.headers.get("Authorization") == "Bearer right":
        return faulty_server.sends_json(TASKS)(handler)
    return faulty_server.sends_json({"detail": "no"}, 401)(handler)


@pytest.fixture
def server():
    answers = {("GET", "/liver/tasks"): healthy, ("GET", "/liver/cases"): faulty_server.sends_json({"cases": []})}
    with faulty_server.FaultyServer(answers) as running:
        yield running


def connect(module, address=None, token=None):
    """Type, click and wait."""
    if address is not None:
        module.ui.addressEdit.setText(address)
    if token is not None:
        module.ui.tokenEdit.setText(token)
    module.ui.connectButton.click()
    wait(module)


def wait(module):
    waitUntil(lambda: not module.panels[0].status.isBusy)


def after(seconds):
    limit = time.monotonic() + seconds
    return lambda: time.monotonic() > limit


def test_a_right_address_and_token_connect_in_one_step(openModule, windows, server):
    ui = (module := openModule("LiverLabel")).ui
    assert ui.serverLabel.text == "Not connected." and not ui.refreshButton.enabled
    connect(module, f" {server.address}/ ", "right")
    assert ui.connectionStatusLabel.text == ""
    assert ui.serverLabel.text == (
        f"Connected to {server.address}, LiverLabel 0.1.0.\nIt offers\n• pdff: Fat fraction\n• liver_roi"
    )
    assert ui.addressEdit.text == app.session().settings.address == server.address
    assert ui.refreshButton.enabled and ui.useSuggestionButton.isHidden()


def test_the_enter_key_connects(openModule, windows, server):
    ui = (module := openModule("LiverLabel")).ui
    ui.addressEdit.setText(server.address)
    ui.tokenEdit.setText("right")
    pressEnter(ui.tokenEdit)
    wait(module)
    assert app.session().server is not None


@pytest.mark.parametrize(
    ("token", "sentence"),
    [("wrong", "has another token"), ("", "asks for its token"), ("two words", "without spaces")],
)
def test_a_token_that_does_not_fit_has_its_own_sentence(openModule, windows, server, token, sentence):
    module = openModule("LiverLabel")
    connect(module, server.address, token)
    assert sentence in module.ui.connectionStatusLabel.text
    assert app.session().server is None and module.ui.useSuggestionButton.isHidden()


def test_a_suggested_address_is_one_click_away(openModule, windows, server):
    ui = (module := openModule("LiverLabel")).ui
    connect(module, f"127.0.0.1:{server.port}", "right")
    assert "needs http:// or https://" in ui.connectionStatusLabel.text
    assert not ui.useSuggestionButton.isHidden() and ui.useSuggestionButton.text == f"Use {server.address}"
    ui.useSuggestionButton.click()
    wait(module)
    assert ui.serverLabel.text.startswith(f"Connected to {server.address}") and ui.useSuggestionButton.isHidden()


def test_another_version_is_named_with_what_to_update(openModule, windows, server):
    server.answers.update(faulty_server.healthy("9.1.0"))
    module = openModule("LiverLabel")
    connect(module, server.address, "right")
    assert "has version 9.1.0. Update the extension" in module.ui.connectionStatusLabel.text


def test_connecting_can_be_cancelled_and_the_window_answers_meanwhile(openModule, windows, server):
    server.answers["GET", "/liver/health"] = faulty_server.hangs(3)
    ui = (module := openModule("LiverLabel")).ui
    ui.addressEdit.setText(server.address)
    ui.connectButton.click()
    assert ui.connectionStatusLabel.text == "Connecting …"
    awayS = waitUntil(after(0.5))
    ui.connectionCancelButton.click()
    wait(module)
    assert "Cancelled" in ui.connectionStatusLabel.text and awayS <= 0.05


def test_a_lost_server_is_said_at_the_next_attempt_and_stays_known(openModule, windows, server):
    ui = (module := openModule("LiverLabel")).ui
    connect(module, server.address, "right")
    server.__exit__()
    connect(module)
    assert "Nothing answers at 127.0.0.1" in ui.connectionStatusLabel.text
    assert ui.serverLabel.text.startswith(f"Connected before and not answering now: {server.address}")
    assert app.session().server is not None


def test_a_mistyped_other_address_does_not_doubt_the_connected_server(openModule, windows, server):
    module = openModule("LiverLabel")
    connect(module, server.address, "right")
    connect(module, "ftp://elsewhere")
    assert module.ui.serverLabel.text.startswith(f"Connected to {server.address}")


def test_the_readers_name_is_checked_and_stored(openModule, windows):
    ui = openModule("LiverLabel").ui
    settings = app.session().settings
    for typed, stored, problem in (
        ("anna", "anna", ""),
        ("Frau Müller", "anna", "letters without accents"),
        ("reader-2", "reader-2", ""),
    ):
        ui.readerEdit.setText(typed)
        pressEnter(ui.readerEdit)
        assert settings.reader == stored
        assert problem in ui.readerProblemLabel.text and bool(problem) is not ui.readerProblemLabel.isHidden()
        assert not problem or "Until then labels are saved under 'anna'." in ui.readerProblemLabel.text


def test_what_was_entered_is_there_at_the_next_start_and_the_token_only_if_asked(openModule, windows, server):
    first = openModule("LiverLabel")
    qt.answers.append("/etc/own-ca.pem")
    first.ui.chooseCaFileButton.click()
    first.ui.readerEdit.setText("anna")
    connect(first, server.address, "right")
    store = windows.app.userSettings()
    assert store.value("LiverLabel/token") is None
    ui = openModule("LiverLabel").ui
    assert (ui.addressEdit.text, ui.caFileEdit.text, ui.readerEdit.text, ui.tokenEdit.text) == (
        server.address,
        "/etc/own-ca.pem",
        "anna",
        "right",
    )
    ui.keepTokenCheckBox.click()
    assert store.value("LiverLabel/token") == "right"
    ui.keepTokenCheckBox.click()
    assert store.value("LiverLabel/token") is None
    app.close()
    ui = openModule("LiverLabel").ui
    assert ui.tokenEdit.text == "" and ui.addressEdit.text == server.address and not ui.keepTokenCheckBox.checked


def test_a_ca_file_that_is_none_has_its_own_sentence(openModule, windows, tmp_path):
    module = openModule("LiverLabel")
    (tmp_path / "ca.pem").write_text("nothing")
    qt.answers.append(str(tmp_path / "ca.pem"))
    module.ui.chooseCaFileButton.click()
    module.ui.chooseCaFileButton.click()  # Cancelled: the former stays.
    connect(module, "https://127.0.0.1:8000")
    assert "The CA file needs certificates in PEM form" in module.ui.connectionStatusLabel.text


def test_the_token_is_not_shown(openModule, windows):
    assert int(openModule("LiverLabel").ui.tokenEdit.property("echoMode").value) == 2


def test_the_modules_self_tests_pass(openModule, windows):
    openModule("LiverLabel")
    sys.modules["LiverLabel"].LiverLabelTest().runTest()


def test_the_program_may_end_before_the_module_is_taken_down(openModule, windows):
    module = openModule("LiverLabel")
    app.close()
    module.cleanup()
