"""Jobs off the window's thread, and annotations that wait for their server."""

from __future__ import annotations

import threading
import time

import pytest
from faulty_server import FaultyServer, hangs, sends, sends_json, trickles
from LiverLabelLib.case_list import annotation_row
from LiverLabelLib.class_answers import read_class_answer
from LiverLabelLib.client import LiverLabelClient
from LiverLabelLib.errors import CancelledError, LiverLabelError, RequestTimeoutError, UnsuitableInputError
from LiverLabelLib.jobs import JobRunner
from LiverLabelLib.outbox import Outbox
from LiverLabelLib.protocol import class_label_bytes
from LiverLabelLib.transport import Call


@pytest.fixture
def told() -> list:
    return []


@pytest.fixture
def runner():
    made = JobRunner()
    yield made
    made.close(wait_s=0)


def start(runner, told, kind, work, **options):
    """Start a job whose ends are noted as (what, value, thread)."""

    def note(what):
        return lambda value: told.append((what, value, threading.current_thread()))

    return runner.start(kind, work, note("done"), note("error"), note("progress"), **options)


def drained(runner, told, n=1, limit_s=5.0) -> list:
    """Poll as a timer does until ``n`` ends came; each poll has to be short."""
    limit = time.monotonic() + limit_s
    while sum(what != "progress" for what, *_ in told) < n and time.monotonic() < limit:
        before = time.monotonic()
        runner.poll()
        assert time.monotonic() - before < 0.05
        time.sleep(0.01)
    return [(what, value) for what, value, _ in told if what != "progress"]


def test_results_come_by_the_thread_that_polls_and_not_before(runner, told):
    worked_in = []
    start(runner, told, "a", lambda job: worked_in.append(threading.current_thread()) or 7)
    time.sleep(0.1)
    assert told == [] and worked_in[0] is not threading.current_thread()
    assert drained(runner, told) == [("done", 7)]
    assert told[0][2] is threading.current_thread() and runner.running == ()


def test_a_newer_job_outdates_older_ones_of_its_kind_only(runner, told):
    gate = threading.Event()
    old = start(runner, told, "infer", lambda job: gate.wait(5) and "old")
    start(runner, told, "cases", lambda job: gate.wait(5) and "cases")
    start(runner, told, "infer", lambda job: "new")
    gate.set()
    assert sorted(drained(runner, told, 2)) == [("done", "cases"), ("done", "new")]
    time.sleep(0.1)
    assert runner.poll() == 0 and old.state == "outdated" and old.cancel_token.is_cancelled


def test_a_closed_scene_drops_its_results_and_keeps_what_is_being_saved(runner, told):
    gate = threading.Event()
    start(runner, told, "infer", lambda job: gate.wait(5) and "stale")
    for name in ("saved 1", "saved 2"):
        save = {"is_exclusive": False, "is_of_scene": False}
        start(runner, told, "save", lambda job, name=name: gate.wait(5) and name, **save)
    runner.close_scene()
    gate.set()
    assert sorted(drained(runner, told, 2)) == [("done", "saved 1"), ("done", "saved 2")]
    time.sleep(0.1)
    assert runner.poll() == 0


def test_a_hanging_job_is_over_when_cancelled_or_late(runner, told):
    gate = threading.Event()
    job = start(runner, told, "a", lambda job: gate.wait(8))
    runner.cancel(job)
    (end,) = drained(runner, told, 1, 0.5)
    assert isinstance(end[1], CancelledError) and job.state == "cancelled"
    start(runner, told, "b", lambda job: gate.wait(8), timeout_s=0.2)
    assert isinstance(drained(runner, told, 2, 1.0)[1][1], RequestTimeoutError)
    gate.set()
    time.sleep(0.1)
    assert runner.poll() == 0


def test_a_download_is_cancelled_while_the_window_polls(runner, told):
    with FaultyServer({("GET", "/datastore/image"): trickles(60 << 20, 8 << 20)}) as server:
        client = LiverLabelClient(server.address)
        job = start(runner, told, "image", lambda job: client.image("case", job.call()))
        threading.Timer(0.5, job.cancel_token.cancel).start()
        assert isinstance(drained(runner, told)[0][1], CancelledError)
    sizes = [value for what, value, _ in told if what == "progress"]
    assert len(sizes) > 3 and sizes == sorted(sizes) and sizes[-1][0] < sizes[-1][1] == 60 << 20


def test_progress_is_asked_until_the_end_and_its_failures_say_nothing(runner, told):
    asked = []

    def ask():
        asked.append(1)
        if len(asked) == 1:
            raise LiverLabelError("not known yet")
        return len(asked)

    start(runner, told, "a", lambda job: time.sleep(1.8), ask_progress=ask)
    assert drained(runner, told) == [("done", None)]
    assert [value for what, value, _ in told if what == "progress"][:2] == [2, 3]
    n_asked = len(asked)
    time.sleep(0.7)
    assert len(asked) == n_asked


def test_defects_are_told_without_their_text_and_a_broken_handler_stops_no_other(runner, told, caplog):
    start(runner, told, "a", lambda job: 1 / 0)
    assert "defect of its own (ZeroDivisionError)" in str(drained(runner, told)[0][1])
    runner.start("b", lambda job: 1, lambda value: 1 / 0, told.append)
    time.sleep(0.05)
    start(runner, told, "c", lambda job: 2)
    assert drained(runner, told, 2)[1] == ("done", 2) and "kind b" in caplog.text


def keep(outbox, address, **changed):
    given = {"case_id": "c1", "content": b"one", "file_name": "c1.nii.gz", "reader": "anna"}
    return outbox.keep(address, **{**given, **changed})


def test_an_annotation_outlives_a_server_that_is_gone_and_is_sent_later(tmp_path):
    outbox, put = Outbox(tmp_path / "outbox"), ("PUT", "/datastore/label")
    with FaultyServer({put: hangs()}) as server:
        client = LiverLabelClient(server.address)
        kept = keep(outbox, server.address)
        with pytest.raises(RequestTimeoutError):
            outbox.send(client, kept, Call(timeout_s=0.3))
        assert Outbox(tmp_path / "outbox").waiting() == [kept]
        server.answers[put] = sends_json({"detail": "The region is empty. Draw it again."}, 422)
        keep(outbox, server.address, case_id="c2")
        n_sent, failures = outbox.send_all(client, Call())
        assert n_sent == 0 and len(failures) == 2
        assert {one.refusal for one in outbox.waiting()} == {"The region is empty. Draw it again."}
        server.answers[put] = sends(b"{}", "application/json")
        assert outbox.send_all(client, Call()) == (2, []) and outbox.waiting() == []
        assert b"one" in server.seen[-1][3]


def test_answers_to_two_questions_both_wait_and_each_is_replaced_by_its_own(tmp_path):
    outbox = Outbox(tmp_path)
    for task, value in (("nafld", True), ("fibrotic_nash", True), ("nafld", False)):
        content = class_label_bytes("c1", task, value, "anna")
        keep(outbox, "http://127.0.0.1:8000", file_name="c1.label.json", content=content)
    waiting = outbox.waiting()
    assert [read_class_answer(one.content, "c1", "fibrotic_nash") for one in waiting] == [True, None]
    assert [read_class_answer(one.content, "c1", "nafld") for one in waiting] == [None, False]
    kinds = [annotation_row(one, None)[1] for one in waiting]
    assert kinds == ["answer: Fibrotic NASH", "answer: Fatty liver (NAFLD)"]


def test_a_newer_annotation_stands_for_older_ones_of_its_reader_and_kind(tmp_path):
    outbox = Outbox(tmp_path)
    for changed in ({}, {"content": b"two"}, {"reader": "ben"}, {"file_name": "c1.label.json"}, {"tag": "second"}):
        keep(outbox, "http://127.0.0.1:8000", **changed)
    assert [one.content for one in outbox.waiting()] == [b"two", b"one", b"one", b"one"]
    assert outbox.waiting("http://127.0.0.1:8001") == []
    with pytest.raises(UnsuitableInputError, match="belongs to http://127.0.0.1:8000"):
        outbox.send(LiverLabelClient("http://127.0.0.1:8001"), outbox.waiting()[0], Call())


def test_a_damaged_annotation_is_not_sent_and_a_folder_that_is_none_is_told(tmp_path):
    keep(Outbox(tmp_path), "http://127.0.0.1:8000")
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    assert Outbox(tmp_path).waiting() == [] and path.exists()
    with pytest.raises(UnsuitableInputError, match="in the scene alone"):
        keep(Outbox(path / "below"), "http://127.0.0.1:8000")
