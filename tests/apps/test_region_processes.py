"""A training of the liver's outline is killed, stopped and gone on with, by one process and by two."""

from __future__ import annotations

import time

import numpy as np
import psutil
import pytest
from client import start_server
from discs import import_discs, outline, waited
from test_training import outliving

from liver_models.weights import load_weights

pytestmark = pytest.mark.slow
ROUTE = "/liver/train/liver_roi"
N_CASES = 8
OPTIONS = {"epochs": 2, "seed": 3, "device": "cpu"}
GONE_S = 5
"""How long processes may outlive the one that started them, seconds."""


@pytest.fixture(scope="module")
def make_server(tmp_path_factory):
    """A function that starts a server on one folder of outlined cases, again and again."""
    studies = tmp_path_factory.mktemp("killed-studies")
    import_discs(studies, tmp_path_factory.mktemp("killed-discs"), N_CASES)
    outline(studies, range(N_CASES))
    processes = []

    def make():
        found = start_server(studies, tmp_path_factory.mktemp("killed-server") / "log.txt")
        processes.append(found[0])
        return found

    yield make
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def running(make_server):
    return make_server()


def start(server, **options) -> dict:
    reply = server.call("POST", ROUTE, {**OPTIONS, **options})
    assert reply.status == 200, reply.body
    return reply.json()


def family(running) -> tuple[psutil.Process, list[psutil.Process]]:
    """The process that trains, and those that it started."""
    process, server = running
    lock = str(server.studies / "models" / "liver_roi" / "training" / "lock")
    for child in psutil.Process(process.pid).children():
        if any(opened.path == lock for opened in child.open_files()):
            return child, child.children(recursive=True)
    raise AssertionError(server.call("GET", ROUTE).json())


def family_at_first_epoch(running) -> tuple[psutil.Process, list[psutil.Process]]:
    """The same once the first epoch was told."""

    def is_there(state) -> bool:
        told = state["progress"] or {"stage": ""}
        return told["stage"].startswith("training") and told["epoch"] >= 1 or state["state"] != "running"

    waited(running[1], ROUTE, is_there, 0.02)
    return family(running)


def family_of_three(running) -> tuple[psutil.Process, list[psutil.Process]]:
    """The same as soon as torchrun has begun its two, before they have read anything."""
    waited(running[1], ROUTE, lambda state: state["progress"] is not None, 0.02)
    while len((found := family(running))[1]) < 3:
        time.sleep(0.01)
    return found


def ended(server) -> dict:
    return waited(server, ROUTE, lambda state: state["state"] != "running")


def checkpoints(server):
    return list((server.studies / "models" / "liver_roi" / "training").glob("checkpoint-*"))


def published(server, state):
    return load_weights(server.studies / "models" / "liver_roi" / state["published"]["file"]).tensors


def test_a_killed_training_is_said_and_gone_on_from_to_the_same_bytes(running):
    _, server = running
    assert not start(server, resume=False)["is_resumed"]
    child, _ = family_at_first_epoch(running)
    child.kill()
    state = ended(server)
    assert state["state"] == "failed" and "perhaps for want of memory. Nothing was published" in state["message"]
    assert state["can_resume"] and state["published"]["version"] == 0
    n_known = state["curve"][-1]["epoch"]

    assert start(server)["is_resumed"]
    resumed = ended(server)
    assert resumed["state"] == "done" and resumed["published"]["version"] == 1, resumed["message"]
    assert [p["epoch"] for p in resumed["curve"] if p["loss"] is not None] == [1, 2] and n_known < 2

    assert server.call("POST", f"{ROUTE}/rollback", {"version": 0}).json()["published"]["version"] == 0
    assert not start(server)["is_resumed"]
    whole = ended(server)
    assert whole["state"] == "done" and whole["published"]["version"] == 2
    first, second = published(server, resumed), published(server, whole)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not checkpoints(server)


def test_a_stopped_training_of_two_processes_ends_them_and_goes_on(running):
    _, server = running
    start(server, processes=2, resume=False)
    child, started = family_at_first_epoch(running)
    assert len(started) >= 3  # torchrun and its two.
    stopped = server.call("DELETE", ROUTE).json()
    assert stopped["state"] == "stopped" and stopped["can_resume"], stopped
    assert not outliving([child, *started], GONE_S)
    assert [path.name for path in checkpoints(server)[0].rglob("*") if path.is_file()] == ["checkpoint.safetensors"]
    again = start(server, processes=1)
    assert again["is_resumed"] and again["options"]["processes"] == 1
    state = ended(server)
    assert state["state"] == "done" and [p["epoch"] for p in state["curve"] if p["loss"] is not None] == [1, 2]


@pytest.mark.parametrize("find", [family_of_three, family_at_first_epoch])
def test_no_process_outlives_a_killed_training_of_two(running, find):
    _, server = running
    start(server, processes=2, resume=False)
    child, started = find(running)
    child.kill()
    state = ended(server)
    assert state["state"] == "failed" and not outliving(started, GONE_S)


def test_no_process_outlives_a_killed_server(running):
    process, server = running
    start(server, processes=2, resume=False)
    child, started = family_of_three(running)
    process.kill()
    assert not outliving([child, *started], GONE_S)


def test_a_restarted_server_goes_on_with_the_training_of_one_that_was_killed(make_server):
    process, server = make_server()
    start(server, resume=False)
    child, _ = family_at_first_epoch((process, server))
    process.kill()
    assert not outliving([child], GONE_S)

    _, server = make_server()
    state = server.call("GET", ROUTE).json()
    assert state["state"] == "interrupted" and "The server ended while this training ran" in state["message"]
    assert state["can_resume"] and start(server)["is_resumed"]
    state = ended(server)
    assert state["state"] == "done" and state["curve"][-1]["epoch"] == 2
    assert not checkpoints(server)
