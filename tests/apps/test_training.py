"""Training over HTTP, on real servers whose trainer counts epochs."""

from __future__ import annotations

import json
import shutil
import signal
import time
import warnings
from pathlib import Path

import psutil
import pytest
from client import Server, start_server
from fake_training import FAILING, WORSE
from test_guards import refused

from liver_models.weights import load_weights

CASE = "simulated-vials"
PROGRAM = (str(Path(__file__).with_name("training_server.py")),)
ROUTE = "/liver/train/pdff"
LONG = {"epochs": 600, "max_minutes": 1}
"""A training that goes on until it is stopped, an epoch every 0.1 s."""


@pytest.fixture
def make_server(studies, tmp_path):
    """A function that starts a server on one copy of the studies, again and again."""
    copied = tmp_path / "studies"
    shutil.copytree(studies, copied, ignore=shutil.ignore_patterns("labels", "models", ".liverlabel-*"))
    processes = []

    def make():
        (tmp_path / f"server-{len(processes)}").mkdir()
        found = start_server(copied, tmp_path / f"server-{len(processes)}" / "log.txt", PROGRAM)
        processes.append(found[0])
        return found

    yield make
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def training(studies, tmp_path_factory) -> Server:
    """One server for the tests that leave it alive."""
    folder = tmp_path_factory.mktemp("training")
    copied = folder / "studies"
    shutil.copytree(studies, copied, ignore=shutil.ignore_patterns("labels", "models", ".liverlabel-*"))
    process, found = start_server(copied, folder / "log.txt", PROGRAM)
    yield found
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


@pytest.fixture
def idle(training) -> Server:
    """The server, with nothing left to go on with and nothing published."""
    training.call("DELETE", ROUTE)
    shutil.rmtree(training.studies / "models" / "pdff", ignore_errors=True)
    return training


def start(server, **options):
    reply = server.call("POST", ROUTE, options)
    assert reply.status == 200, reply.body
    return reply


def state_of(server) -> dict:
    reply = server.call("GET", ROUTE)
    assert reply.status == 200, reply.body
    return reply.json()


def until(server, is_so, limit_s: float = 30) -> dict:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        state = state_of(server)
        if is_so(state):
            return state
        time.sleep(0.02)
    raise AssertionError(state)


def ended(server) -> dict:
    return until(server, lambda state: state["state"] != "running")


def at_epoch(server, epoch: int) -> dict:
    return until(server, lambda state: ((state["progress"] or {}).get("epoch") or 0) >= epoch)


def trainer_processes(server) -> list[psutil.Process]:
    """The processes of any server that train on these studies: those that hold its lock open."""
    lock = str(server.studies / "models" / "pdff" / "training" / "lock")
    found = []
    for process in psutil.process_iter():
        try:
            if any(opened.path == lock for opened in process.open_files()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def outliving(family: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.05)


def published_name(server) -> str | None:
    """The file that the pointer names, which has to exist."""
    pointer = server.studies / "models" / "pdff" / "current.json"
    if not pointer.exists():
        return None
    name = json.loads(pointer.read_text())["file"]
    assert name is None or (pointer.parent / name).is_file()
    return name


def test_progress_is_seen_while_it_runs_and_the_result_is_used_without_a_restart(idle):
    begun = start(idle, epochs=10, max_minutes=0.03)
    assert begun.status == 200 and begun.json()["state"] == "running", begun.body
    epochs = set()
    while (state := state_of(idle))["state"] == "running":
        epochs.add((state["progress"] or {}).get("epoch"))
        assert state["published"]["version"] == 0 or epochs >= {10}
    assert len(epochs) > 4
    assert state["state"] == "done" and len(state["curve"]) == 10
    assert {"stage", "epoch", "n_epochs", "loss", "metric", "metric_name", "eta_s"} == set(state["curve"][0])
    assert state["published"]["file"] == published_name(idle) == "ai_deal-v1.safetensors"
    assert not trainer_processes(idle)


def test_the_server_answers_and_measures_while_it_trains(idle):
    start(idle, **LONG)
    first = at_epoch(idle, 1)
    started = time.monotonic()
    info = idle.call("GET", "/info/").json()
    assert time.monotonic() - started < 1
    stats = info["train_stats"]["pdff"]
    assert stats["epoch"] >= 1 and stats["total_epochs"] == 600 and "current_time" in stats
    assert info["trainers"]["pdff"]["config"]["epochs"] > 0
    assert idle.infer(CASE, params={"method": "graph_cut"}).status == 200
    (child,) = trainer_processes(idle)
    assert child.nice() > psutil.Process(child.ppid()).nice()
    second = state_of(idle)
    assert second["state"] == "running" and second["progress"]["epoch"] > first["progress"]["epoch"]
    assert second["heartbeat_at"] > first["heartbeat_at"]


def test_a_second_training_is_refused_while_one_runs(idle):
    start(idle, **LONG)
    for route in (ROUTE, "/train/pdff", "/train/pdff?enqueue=true"):
        refused(idle.call("POST", route, {}), 429, "One training at a time may run; one of 'pdff' runs already")
    told = idle.call("POST", "/train/", {}).json()
    assert told["pdff"]["result"] is None and "One training at a time" in told["pdff"]["detail"]


def test_a_stop_keeps_the_checkpoint_and_the_next_start_goes_on(idle):
    start(idle, epochs=30, max_minutes=0.05)
    at_epoch(idle, 3)
    stopped = idle.call("DELETE", ROUTE)
    assert stopped.status == 200 and stopped.json()["state"] == "stopped" and stopped.json()["can_resume"]
    assert not trainer_processes(idle) and published_name(idle) is None
    assert start(idle).json()["is_resumed"]
    state = ended(idle)
    assert state["state"] == "done" and [point["epoch"] for point in state["curve"]] == list(range(1, 31))
    assert idle.call("DELETE", ROUTE).json()["state"] == "done"


def test_a_process_that_was_killed_is_said_and_gone_on_from(idle):
    start(idle, **LONG)
    at_epoch(idle, 2)
    (child,) = trainer_processes(idle)
    child.kill()
    state = ended(idle)
    assert state["state"] == "failed" and "perhaps for want of memory. Nothing was published" in state["message"]
    assert published_name(idle) is None
    assert start(idle, max_minutes=0.001).json()["is_resumed"]
    assert ended(idle)["state"] == "done"


def test_a_failure_and_a_worse_result_publish_nothing(idle):
    start(idle, seed=FAILING)
    state = ended(idle)
    assert state["state"] == "failed" and "the server's log says more" in state["message"]
    start(idle, seed=WORSE, resume=False)
    state = ended(idle)
    assert state["state"] == "done" and "got no better" in state["message"]
    assert published_name(idle) is None and not list((idle.studies / "models" / "pdff").glob("*.safetensors"))


def test_damaged_weights_are_refused_by_the_measurement_until_the_rollback(idle):
    for _ in range(2):
        start(idle)
        ended(idle)
    weights = idle.studies / "models" / "pdff" / published_name(idle)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    asked = {"method": "ai_deal"}
    refused(idle.infer(CASE, params=asked), 422, f"'{weights.name}' was changed.*POST {ROUTE}/rollback")
    assert idle.infer(CASE, params={"method": "graph_cut"}).status == 200
    back = idle.call("POST", f"{ROUTE}/rollback")
    assert back.status == 200 and back.json()["published"]["version"] == 1
    assert published_name(idle) == "ai_deal-v1.safetensors"
    assert "was changed" not in idle.infer(CASE, params=asked).body[:2000].decode("utf-8", "replace")
    assert idle.call("POST", f"{ROUTE}/rollback", {"version": 0}).json()["published"]["file"] is None
    refused(idle.call("POST", f"{ROUTE}/rollback"), 422, "needs a former version")
    refused(idle.call("POST", f"{ROUTE}/rollback", {"version": 7}), 422, "versions here are 0, 1, 2; found 7")


def test_a_rollback_while_it_trains_lasts_until_the_new_weights_come(idle):
    start(idle)
    ended(idle)
    start(idle, epochs=10, max_minutes=0.04)
    assert idle.call("POST", f"{ROUTE}/rollback").json()["published"]["version"] == 0
    assert state_of(idle)["state"] == "running"
    published = ended(idle)["published"]
    assert published["version"] == 2 and published["former_version"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("POST", ROUTE, {"epoch": 1}, 422, "knows the options epochs, max_minutes, .*; found epoch"),
        ("POST", ROUTE, {"cases": ["nobody"]}, 404, "no case 'nobody'"),
        ("POST", ROUTE, {"cases": ["../x"]}, 422, "found the path|needs a name"),
        ("POST", ROUTE, {"model_path": "x"}, 422, "'model_path' is not taken"),
        ("POST", ROUTE, [], 422, "needs a JSON object"),
        ("POST", ROUTE, b"epochs=1", 422, "needs JSON; found the content type ''"),
        ("POST", "/liver/train/spleen", {}, 404, "no model 'spleen' to train on this server; it has: pdff"),
        ("GET", "/liver/train/spleen", None, 404, "no model 'spleen'"),
        ("DELETE", "/liver/train/spleen", None, 404, "no model 'spleen'"),
        ("POST", "/liver/train/spleen/rollback", {}, 404, "no model 'spleen'"),
        ("POST", "/liver/train/..", {}, 422, "needs a name"),
        ("POST", f"{ROUTE}/rollback", {"version": "1"}, 422, "may name one version"),
        ("POST", f"{ROUTE}/rollback", {"to": 1}, 422, "may name one version"),
        ("POST", "/train/pdff", {"max_epochs": 1}, 422, "knows the options epochs.*found max_epochs"),
        ("POST", "/train/", {"pdff": [1]}, 422, "needs a JSON object"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(idle, method, path, body, status, sentence):
    refused(idle.call(method, path, body), status, sentence)
    assert state_of(idle)["state"] != "running"


def test_training_asks_for_the_token(training):
    for method in ("GET", "POST", "DELETE"):
        assert training.call(method, ROUTE, token=None).status == 401


@pytest.fixture
def stock(idle, tmp_path):
    """MONAI Label's own client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from liver_apps.entry import make_stand_ins_importable

        make_stand_ins_importable()
        from monailabel.client import MONAILabelClient
    client = MONAILabelClient(idle.address, tmpdir=str(tmp_path))
    client.update_auth(client.auth_token("any name", idle.token))
    return client


def test_mona_labels_client_starts_polls_and_stops_a_training(idle, stock):
    assert stock.train_status(check_if_running=True) is False
    begun = stock.train_start("pdff", dict(LONG))
    assert begun["id"] and begun["status"] == "RUNNING" and begun["request"]["model"] == "pdff"
    assert time.strptime(begun["start_ts"], "%Y-%m-%d %H:%M:%S")
    at_epoch(idle, 2)
    assert stock.train_status(check_if_running=True) is True
    running = stock.train_status()
    assert running["status"] == "RUNNING" and "counting, epoch " in running["details"][-1]
    stopped = stock.train_stop()
    assert stopped["status"] == "STOPPED" and stopped["id"] == begun["id"] and stopped["end_ts"]
    assert stopped["details"][-1].startswith("The training was stopped.") and len(stopped["details"]) <= 20
    assert stock.train_status(check_if_running=True) is False
    assert stock.train_stop() is None
    assert stock.train_status() == stopped


def test_what_slicers_module_sends_and_reads_works(idle, stock):
    config = stock.info()["trainers"]["pdff"]["config"]
    sent = {key: value[0] if isinstance(value, list) else value for key, value in config.items()}
    status = stock.train_start("pdff", {**sent, "epochs": 2})
    assert status["status"] == "RUNNING" and status["details"]
    ended(idle)
    stats = next(iter(stock.info()["train_stats"].values()))
    assert stats["epoch"] == stats["total_epochs"] == 2 and stats["total_time"]
    done = stock.train_status()
    assert done["status"] == "DONE" and "Version 1 is used" in done["details"][-1]
    with pytest.raises(Exception, match="knows the options"):
        stock.train_start("pdff", {"max_epochs": 2})


def test_the_stock_route_waits_when_it_is_asked_to(idle):
    reply = idle.call("POST", "/train/pdff?run_sync=true", {"epochs": 2})
    assert reply.status == 200 and reply.json()["total_time"] and published_name(idle)
    assert [task["status"] for task in idle.call("GET", "/train/?all=true").json()] == ["DONE"]


@pytest.mark.slow
def test_a_killed_server_leaves_no_process_and_its_training_goes_on_after_the_restart(make_server):
    process, server = make_server()
    start(server, epochs=40, max_minutes=0.1)
    at_epoch(server, 3)
    family = psutil.Process(process.pid).children(recursive=True)
    assert trainer_processes(server)
    process.kill()
    assert not outliving(family, 5) and not trainer_processes(server)
    assert json.loads((server.studies / "models/pdff/training/state.json").read_text())["state"] == "running"

    _, server = make_server()
    state = state_of(server)
    assert state["state"] == "interrupted" and "The server ended while this training ran" in state["message"]
    assert state["can_resume"] and published_name(server) is None
    assert server.call("GET", "/train/").json()["status"] == "ERROR"
    assert start(server, max_minutes=0.02).json()["is_resumed"]
    state = ended(server)
    # The state is written every second, so the last epochs before a kill may be missing from the curve.
    epochs = [point["epoch"] for point in state["curve"]]
    assert state["state"] == "done" and epochs == sorted(set(epochs)) and epochs[-1] == 40
    processes = load_weights(server.studies / "models" / "pdff" / published_name(server)).tensors["counted"]
    assert len(processes) == 40 and len(set(processes)) == 2


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_ends_its_training_first(make_server):
    process, server = make_server()
    start(server, **LONG)
    at_epoch(server, 2)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert not outliving(family, 1) and not trainer_processes(server)
    state = json.loads((server.studies / "models/pdff/training/state.json").read_text())
    assert state["state"] == "interrupted" and state["ended_at"] and published_name(server) is None


def test_no_identifier_is_written_to_the_log(idle):
    start(idle, seed=FAILING, resume=False)
    ended(idle)
    log = (idle.folder / "log.txt").read_text().split("Application startup complete", 1)[1]
    assert "KeyError: 'a defect'" in log and CASE not in log and str(idle.studies) not in log


@pytest.mark.slow
def test_the_network_is_adapted_to_the_stored_cases_and_measures(studies, tmp_path):
    copied = tmp_path / "studies"
    shutil.copytree(studies, copied, ignore=shutil.ignore_patterns("labels", "models", ".liverlabel-*"))
    process, server = start_server(copied, tmp_path / "log.txt")
    try:
        start(server, epochs=2, validation_fraction=0.5)
        state = until(server, lambda state: state["state"] != "running", limit_s=120)
        assert state["state"] == "done" and state["result"]["n_cases"] == 2, state["message"]
        version = state["result"]["published_version"]
        assert (version == 1) == state["result"]["is_better"]
        told = server.infer(CASE).parts()["reply"]["result"]["settings"]["network"]
        assert (told["version"] == "site-v1") == (version == 1)
    finally:
        process.terminate()
        process.wait(timeout=30)
