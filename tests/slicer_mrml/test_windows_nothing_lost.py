"""What the reader drew is kept for the right case and server, however the case is left."""

import numpy as np
import pytest
from conftest import waitUntil
from LiverLabelLib.address import parse_address
from LiverLabelLib.case_opening import FetchedCase
from LiverLabelLib.client import Server
from LiverLabelLib.errors import LostConnectionError
from LiverLabelLib.nifti import Volume
from LiverLabelLib.session import Session
from LiverLabelWidgets import app
from outline_host import Client, Host, box, opened, readBack


@pytest.fixture
def host(windows):
    host = Host(opened())
    yield host
    host.close()


def waiting(host):
    return host.session.outbox.waiting()


def edited(host):
    host.propose()
    mask = box(host.shape, (5, 5), (30, 30))
    host.paint(mask)
    return mask


def test_opening_the_same_case_again_keeps_what_was_edited(host, openModule, monkeypatch):
    """And what the server sent takes nobody's place among the annotations that wait."""

    def refused(*_, **__):
        raise LostConnectionError("This server knows outlines alone. Ask another.")

    host.client.training = host.client.scoring = refused
    cases = openModule("LiverLabel").panels[1]
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda *_: True)
    mask = edited(host)
    stored = Volume(box(host.shape, (1, 1), (3, 3)).astype(np.uint8), host.affine)
    for _ in range(2):
        cases.onFetched(FetchedCase(host.case, stored))
        waitUntil(lambda: not host.session.runner.running)
    (kept,) = waiting(host)
    assert np.array_equal(readBack(kept.content)[0] > 0, mask)
    assert "server has it" in host.ui.stateLabel.text


def test_connecting_elsewhere_keeps_edits_for_the_former_server(host, monkeypatch):
    edited(host)
    other = Client()
    other.address = parse_address("http://127.0.0.2:2")
    other.connect = lambda call: Server("http://127.0.0.2:2", "0.1.0", ())
    monkeypatch.setattr("LiverLabelLib.session.LiverLabelClient", lambda *_: other)
    ended = []
    host.session.connect(ended.append, ended.append)
    waitUntil(lambda: ended and not host.session.runner.running)
    (kept,) = waiting(host)
    assert host.session.client is other and kept.address == "http://127.0.0.1:1"


def test_quitting_keeps_what_was_edited(host):
    mask, session = edited(host), host.session
    app.close()
    (kept,) = session.outbox.waiting()
    assert np.array_equal(readBack(kept.content)[0] > 0, mask)


def test_quitting_while_saving_sends_or_keeps(host):
    mask, session = edited(host), host.session
    host.ui.saveOutlineButton.click()
    app.close()
    contents = [one.content for one in session.outbox.waiting()] + [one[1] for one in host.client.stored]
    assert any(np.array_equal(readBack(content)[0] > 0, mask) for content in contents)


def test_what_was_painted_while_clicks_were_sent_can_be_had_back(host):
    host.propose()
    refined = box(host.shape, (25, 20), (30, 30))
    host.client.answer = lambda params: host_answer(host, refined)
    host.client.delayS = 0.3
    host.clicked("foreground", [[22, 18, 1]])
    waitUntil(lambda: host.panel.status.isBusy)
    painted = box(host.shape, (5, 5), (12, 12))
    host.paint(painted)
    waitUntil(lambda: not host.panel.status.isBusy)
    assert not np.array_equal(host.mask(), painted)
    host.ui.undoButton.click()
    assert np.array_equal(host.mask(), painted)


def host_answer(host, region):
    from outline_host import answered

    return answered(region, host.affine, isRefined=True)


def test_undo_to_nothing_is_nothing_to_keep(host):
    host.propose()
    host.ui.undoButton.click()
    host.session.openCase(None)
    waitUntil(lambda: not host.session.runner.running)
    assert waiting(host) == [] and "could not be kept" not in host.ui.stateLabel.text


def test_an_address_that_is_none_still_names_the_annotations(windows):
    session = app.session()
    session.settings.address = "no address"
    assert isinstance(session, Session) and session.addressOfAnnotations == "no address"
