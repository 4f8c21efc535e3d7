"""A trainer without a server: what is told, published and kept, however a run ends."""

from __future__ import annotations

import errno
import os

import pytest
from fake_training import DYING, FAILING, LATE, REFUSING, WORSE
from trainer_helpers import at_epoch, children, counted, finished, helper_lives

from liver_apps.liver.lib.failures import UnknownNameError
from liver_models.errors import UnsuitableInputError


def test_before_the_first_training_nothing_is_published(trainer):
    state = trainer.describe()
    assert state["state"] == "idle" and state["published"]["version"] == 0 and not state["can_resume"]
    assert trainer.stats() == {} and trainer.published.load() is None


def test_progress_comes_while_it_runs_and_the_end_publishes(trainer):
    begun = trainer.start({"epochs": 4, "max_minutes": 0.02})
    assert begun["state"] == "running" and begun["cases"] == ("one", "two")
    running = at_epoch(trainer, 2)
    assert running["state"] == "running" and running["published"]["version"] == 0
    assert running["progress"] == {
        "stage": "counting",
        "epoch": 2,
        "n_epochs": 4,
        "loss": 0.5,
        "metric": 1.0,
        "metric_name": "residual",
        "eta_s": pytest.approx(0.6),
    }
    assert running["started_at"] <= running["heartbeat_at"] and running["ended_at"] is None
    done = finished(trainer)
    assert done["state"] == "done" and done["ended_at"] >= running["heartbeat_at"]
    assert [point["epoch"] for point in done["curve"]] == [1, 2, 3, 4]
    assert done["result"]["published_version"] == done["published"]["version"] == 1
    assert done["message"] == (
        "The validation got better: residual 2 before, 0.5 after. Version 1 is used from the next measurement on."
    )
    assert not list(trainer._folder.glob("checkpoint-*")) and not children()


def test_the_options_and_the_result_are_told_and_the_card_holds_the_version(trainer):
    trainer.start({"epochs": 2, "seed": 7})
    state = finished(trainer)
    assert state["options"] == {
        "epochs": 2,
        "seed": 7,
        "validation_fraction": 0.2,
        "max_minutes": None,
        "cases": None,
    }
    assert state["result"] == {
        "is_better": True,
        "metric_name": "residual",
        "metric_before": 2.0,
        "metric_after": 1.0,
        "n_cases": 2,
        "started_from": None,
        "published_version": 1,
    }
    assert trainer.published.load().card["version"] == "site-v1"


def test_the_next_training_starts_from_the_published_weights(trainer):
    trainer.start({})
    assert finished(trainer)["start_version"] == 0
    trainer.start({})
    state = finished(trainer)
    assert state["start_version"] == 1 and state["result"]["started_from"] == "ai_deal-v1.safetensors"
    assert state["published"] == {
        "version": 2,
        "file": "ai_deal-v2.safetensors",
        "former_version": 1,
        "versions": [0, 1, 2],
    }
    assert trainer.roll_back()["published"]["version"] == 1


def test_what_got_no_better_is_not_published_and_said(trainer):
    trainer.start({"seed": WORSE})
    state = finished(trainer)
    assert state["state"] == "done" and state["result"]["published_version"] is None
    assert "got no better" in state["message"] and "the weights in use stay" in state["message"]
    assert state["published"]["versions"] == [0] and not trainer._finished.exists()


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        (FAILING, "a defect of ours; the server's log says more. Nothing was published."),
        (REFUSING, "A need; found one.mat. A remedy."),
        (DYING, "ended before its result, perhaps for want of memory. Nothing was published."),
    ],
)
def test_a_run_that_fails_publishes_nothing_and_can_go_on(trainer, caplog, seed, sentence):
    trainer.start({"seed": seed})
    state = finished(trainer)
    assert state["state"] == "failed" and sentence in state["message"] and "Traceback" not in state["message"]
    assert ("KeyError: 'a defect'" in caplog.text) == (seed == FAILING)
    assert state["published"]["versions"] == [0] and state["result"] is None
    assert state["can_resume"] and len(counted(trainer)) == 1 and not children()
    assert not helper_lives(trainer)


def test_a_stopped_run_publishes_nothing_and_goes_on_from_its_checkpoint(trainer):
    trainer.start({"epochs": 6, "max_minutes": 0.03, "seed": 3})
    at_epoch(trainer, 2)
    stopped = trainer.stop()
    assert stopped["state"] == "stopped" and stopped["can_resume"] and stopped["published"]["versions"] == [0]
    assert "Nothing was published. Start it again to go on" in stopped["message"] and not children()
    n_counted = len(counted(trainer))
    again = trainer.start({})
    assert again["is_resumed"] and again["id"] == stopped["id"] and again["options"] == stopped["options"]
    state = finished(trainer)
    assert state["state"] == "done" and [point["epoch"] for point in state["curve"]] == [1, 2, 3, 4, 5, 6]
    processes = trainer.published.load().tensors["counted"]
    assert len(set(processes[:n_counted])) == 1 and processes[n_counted] != processes[0]


def test_a_result_that_comes_after_the_stop_is_not_published(trainer):
    trainer.start({"seed": LATE})
    at_epoch(trainer, 3)
    stopped = trainer.stop()
    assert stopped["state"] == "stopped" and stopped["published"]["versions"] == [0] and stopped["can_resume"]
    assert not trainer._finished.exists()
    trainer.start({})
    assert finished(trainer)["published"]["version"] == 1


def test_a_run_that_goes_on_keeps_its_split(trainer):
    trainer.start({"seed": FAILING, "cases": ["two"]})
    finished(trainer)
    for other in ({"epochs": 4}, {"seed": 1}, {"validation_fraction": 0.5}, {"cases": ["one"]}):
        with pytest.raises(UnsuitableInputError, match='keeps its epochs, seed, .*"resume": false to begin anew'):
            trainer.start(other)
    assert trainer.describe()["state"] == "failed"
    begun = trainer.start({"resume": False, "epochs": 2})
    assert {folder.name for folder in trainer._folder.glob("checkpoint-*")} <= {f"checkpoint-{begun['id']}"}
    state = finished(trainer)
    assert state["state"] == "done" and not state["is_resumed"] and state["cases"] == ("one", "two")
    assert len(set(trainer.published.load().tensors["counted"])) == 1


def test_a_run_that_goes_on_may_take_another_time_and_name_what_it_has(trainer):
    trainer.start({"epochs": 4, "max_minutes": 0.02, "cases": ["two"]})
    at_epoch(trainer, 1)
    trainer.stop()
    again = trainer.start({"max_minutes": 0.01, "epochs": 4, "seed": 0, "cases": ["two"]})
    assert again["is_resumed"] and again["options"]["max_minutes"] == 0.01
    assert finished(trainer)["state"] == "done"


def test_a_new_case_does_not_join_a_run_that_goes_on(trainer):
    trainer.start({"seed": DYING})
    finished(trainer)
    (trainer.published.folder.parents[1] / "three.mat").write_bytes(b"x")
    assert trainer.start({})["cases"] == ("one", "two")
    finished(trainer)


def test_a_case_that_is_not_stored_is_not_found(trainer):
    with pytest.raises(UnknownNameError, match="no case 'nobody'"):
        trainer.start({"cases": ["one", "nobody"]})
    assert trainer.describe()["state"] == "idle" and trainer._runner.running() is None


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ([], "needs a JSON object such as"),
        ({"epoch": 3}, "knows the options epochs, max_minutes, seed, device, .*; found epoch. Rename"),
        ({"epochs": 0}, "A training needs an epoch"),
        ({"epochs": True}, "epochs needs to be a whole number"),
        ({"epochs": "3"}, "epochs needs to be a whole number"),
        ({"max_minutes": float("inf")}, "max_minutes needs to be a number of minutes above 0"),
        ({"seed": -1}, "seed needs to be a whole number from 0"),
        ({"device": 1}, "device needs to be text such as auto; found '1'"),
        ({"validation_fraction": "half"}, "validation_fraction needs to be a number"),
        ({"cases": []}, "cases needs to be a list of case ids, one at least"),
        ({"cases": "one"}, "cases needs to be a list"),
        ({"cases": ["../one"]}, "'cases' needs a name of up to 128 letters"),
        ({"resume": "no"}, "resume needs to be true or false"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(trainer, request_, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        trainer.start(request_)
    assert not (trainer._folder / "state.json").exists()


def test_a_state_that_cannot_be_read_counts_as_none(trainer, make_trainer, caplog):
    trainer.start({})
    finished(trainer)
    file = trainer._folder / "state.json"
    whole = file.read_text()
    for content in ("", "{", "[]", '{"state": "new"}', whole.replace('"message"', '"massage"')):
        file.write_text(content)
        assert make_trainer().describe()["state"] == "idle"
    assert "cannot be read; it counts as none" in caplog.text
    file.write_text(whole)
    assert make_trainer().describe() == trainer.describe()


def test_a_full_disk_does_not_end_a_training_that_runs(trainer, monkeypatch, caplog):
    from liver_apps.liver.lib.trainers import base

    write = base.write_state

    def full(path, state):
        if state.progress is not None:
            raise UnsuitableInputError("No space.")
        write(path, state)

    monkeypatch.setattr(base, "write_state", full)
    monkeypatch.setattr(base, "WRITE_EVERY_S", 0.0)
    trainer.start({})
    assert finished(trainer)["published"]["version"] == 1
    assert "The state of the training could not be written" in caplog.text


def test_a_training_that_cannot_write_is_not_started(trainer, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UnsuitableInputError, match="No space left"):
            trainer.start({})
    assert trainer.describe()["state"] == "idle" and trainer._runner.running() is None


def test_weights_that_cannot_be_published_fail_the_run_and_keep_its_checkpoint(trainer, monkeypatch):
    def refuse(finished_file, version):
        raise UnsuitableInputError("The disk is full.")

    monkeypatch.setattr(trainer.published, "publish", refuse)
    trainer.start({})
    state = finished(trainer)
    assert state["state"] == "failed" and state["message"] == "The disk is full." and state["can_resume"]
    monkeypatch.undo()
    trainer.start({})
    assert finished(trainer)["published"]["version"] == 1


def test_mona_labels_call_waits_for_the_end(trainer):
    stats = trainer({"model": "pdff", "client_id": "x", "gpus": "all", "epochs": 2}, None)
    assert stats["epoch"] == stats["total_epochs"] == 2 and "total_time" in stats
    with pytest.raises(UnsuitableInputError, match="A need; found one.mat"):
        trainer({"seed": REFUSING}, None)


def test_what_is_told_again_of_an_epoch_joins_its_point():
    from liver_apps.liver.lib.trainers.state import TrainingState

    state = TrainingState("pdff")
    for told in ({"loss": 3.0}, {"loss": 2.0}, {"metric": 1.0}, {"loss": float("nan")}):
        state = state.with_progress({"stage": "a", "epoch": 1, **told})
    state = state.with_progress({"stage": "reading", "epoch": 2})
    assert [(point["epoch"], point["loss"], point["metric"]) for point in state.curve] == [(1, 2.0, 1.0)]
    assert state.progress["stage"] == "reading" and state.progress["loss"] is None
