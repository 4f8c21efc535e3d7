"""The process that computes: one at a time, and the server outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from liver_apps.liver.lib.failures import ComputationError, ServerBusyError, UnknownNameError
from liver_apps.liver.lib.worker import Worker
from liver_models.errors import UnsuitableInputError


def ready() -> None:
    """Nothing to import."""


def add(a, b, *, progress):
    progress(1, 1)
    return a + b


def where(*, progress):
    return os.getpid()


def nap(seconds, *, progress):
    started = time.monotonic()
    time.sleep(seconds)
    return started, time.monotonic()


def refuse(*, progress):
    raise UnsuitableInputError("A need; a finding. A remedy.")


def fail(*, progress):
    raise KeyError("a defect")


def die(*, progress):
    os._exit(1)


@pytest.fixture
def worker():
    worker = Worker(ready, max_waiting=3)
    yield worker
    worker.close()


def test_a_job_runs_in_another_process_that_stays(worker):
    first, second = worker.run(where), worker.run(where)
    assert first == second != os.getpid()


def test_the_result_and_the_progress_come_back(worker):
    assert worker.run(add, 2, 3, request_id="sum") == 5
    assert worker.progress("sum") == {"state": "done", "done": 1, "total": 1}


def test_jobs_never_overlap(worker):
    spans = []
    threads = [threading.Thread(target=lambda: spans.append(worker.run(nap, 0.05))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans.sort()
    assert len(spans) == 4
    assert all(earlier[1] <= later[0] for earlier, later in zip(spans, spans[1:], strict=False))


def test_one_request_more_than_may_wait_is_refused(worker):
    worker.run(where)
    threads = [threading.Thread(target=worker.run, args=(nap, 0.5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while worker._places._value:
        time.sleep(0.001)
    with pytest.raises(ServerBusyError, match="one case at a time, and 3 already wait. Try again"):
        worker.run(where)
    for thread in threads:
        thread.join()
    assert worker.run(add, 1, 1) == 2


def test_a_refusal_reaches_the_caller_as_it_was_said(worker):
    with pytest.raises(UnsuitableInputError, match=r"^A need; a finding\. A remedy\.$"):
        worker.run(refuse, request_id="no")
    assert worker.progress("no")["state"] == "failed"


def test_a_defect_is_logged_and_not_told(worker, caplog):
    with pytest.raises(ComputationError, match="defect of ours; the server's log says more"):
        worker.run(fail)
    assert "KeyError: 'a defect'" in caplog.text


def test_a_process_that_ends_is_replaced(worker):
    with pytest.raises(ComputationError, match="ended before its result, perhaps for want of memory"):
        worker.run(die)
    assert worker.run(add, 1, 2) == 3


def test_a_request_that_waits_while_the_server_stops_starts_nothing(worker):
    told = []

    def ask() -> None:
        with pytest.raises(ComputationError) as caught:
            worker.run(nap, 10)
        told.append(str(caught.value))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while worker._places._value > 2 or worker._process is None:
        time.sleep(0.001)
    worker.close()
    for thread in threads:
        thread.join(timeout=20)
    assert any("shutting down" in sentence for sentence in told) and len(told) == 2
    assert worker._process is None


def test_an_unknown_request_has_no_progress(worker):
    with pytest.raises(UnknownNameError, match="knows no request 'never'"):
        worker.progress("never")


def test_the_process_ends_when_the_server_is_killed(tmp_path):
    program = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        if __name__ == "__main__":
            import test_worker
            worker = test_worker.Worker(test_worker.ready, 1)
            print(worker.run(test_worker.where), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    script = tmp_path / "server.py"
    script.write_text(program)
    ended = subprocess.run(
        [sys.executable, script, os.path.dirname(__file__)], capture_output=True, text=True, timeout=60
    )
    child = int(ended.stdout)
    deadline = time.monotonic() + 20
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_prepares_for_later_when_it_has_nothing_to_do(tmp_path):
    prepared = tmp_path / "prepared"
    worker = Worker(ready, 1, partial(Path.touch, prepared))
    try:
        assert worker.run(add, 1, 1) == 2 and not prepared.exists()
        deadline = time.monotonic() + 30
        while not prepared.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert prepared.exists() and worker.run(add, 1, 2) == 3
    finally:
        worker.close()
