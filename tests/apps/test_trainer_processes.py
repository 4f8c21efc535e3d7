"""The process that trains: there is one, it starts fast, and it ends with its server."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from fake_training import DEAF
from trainer_helpers import at_epoch, children, counted, finished, helper_lives, lives

from liver_apps.liver.lib.failures import ComputationError, TrainingRunningError
from liver_models.weights import load_weights

HERE = Path(__file__).parent


def test_a_process_that_does_not_hear_is_killed(trainer):
    trainer.start({"seed": DEAF})
    at_epoch(trainer, 1)
    started = time.monotonic()
    trainer._runner.stop("pdff", grace_s=0.3)
    state = trainer.describe()
    assert state["state"] == "stopped" and state["can_resume"] and time.monotonic() - started < 5
    assert not children() and not helper_lives(trainer)


def test_one_training_runs_at_a_time(trainer):
    trainer.start({"max_minutes": 0.02})
    with pytest.raises(TrainingRunningError, match="One training at a time may run; one of 'pdff' runs already. Wait"):
        trainer.start({})
    at_epoch(trainer, 1)


def test_another_server_on_the_same_studies_is_refused(trainer, make_trainer, monkeypatch):
    from liver_apps.liver.lib.trainers import base

    monkeypatch.setattr(base, "RELEASE_S", 0.1)
    trainer.start({"epochs": 30, "max_minutes": 0.1})
    at_epoch(trainer, 1)
    written = (trainer._folder / "state.json").read_bytes()
    with pytest.raises(TrainingRunningError, match="another process holds this one. Wait until it has ended"):
        make_trainer().start({})
    assert json.loads((trainer._folder / "state.json").read_bytes())["id"] == json.loads(written)["id"]


def test_a_closed_server_ends_its_training_and_starts_none(trainer, make_trainer):
    trainer.start({"max_minutes": 0.5, "epochs": 300})
    at_epoch(trainer, 1)
    trainer._runner.close()
    state = trainer.describe()
    assert state["state"] == "interrupted" and "The server ended" in state["message"] and not children()
    with pytest.raises(ComputationError, match="The server is shutting down"):
        trainer.start({})
    assert make_trainer().describe()["can_resume"]


def test_a_process_that_was_prepared_is_the_one_that_trains_and_none_outlives_the_server(trainer):
    runner = trainer._runner
    runner.prepare()
    prepared = runner._spare.pid
    runner.prepare()
    assert runner._spare.pid == prepared
    trainer.start({"max_minutes": 0.02})
    assert runner._run._process.pid == prepared
    at_epoch(trainer, 1)
    runner.stop("pdff")
    runner.prepare()
    waiting = runner._spare.pid
    assert waiting != prepared and lives(waiting)
    runner.close()
    assert not children() and not lives(waiting)


def test_the_process_starts_without_mona_label_and_torch():
    program = """
        import sys
        import liver_apps.liver.lib.trainers.child, liver_apps.liver.lib.trainers.pdff_adaptation
        heavy = {"torch", "monai", "monailabel", "fastapi", "pydantic", "scipy"} & set(sys.modules)
        sys.exit(f"the process that trains imports {heavy} at its start" if heavy else 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)


def test_the_process_ends_within_seconds_when_the_server_is_killed(make_trainer, tmp_path):
    program = textwrap.dedent(
        """
        import os, signal, sys, time
        sys.path.insert(0, sys.argv[1])
        if __name__ == "__main__":
            import fake_training
            from pathlib import Path
            from liver_apps.entry import make_stand_ins_importable
            make_stand_ins_importable()
            from liver_apps.liver.lib.datastore import LiverDatastore
            from liver_apps.liver.lib.published import PublishedWeights
            from liver_apps.liver.lib.trainers.base import Trainer
            from liver_apps.liver.lib.trainers.runner import TrainingRunner
            studies = Path(sys.argv[2])
            published = PublishedWeights(studies / "models" / "pdff", "ai_deal")
            data = LiverDatastore(str(studies))
            job = fake_training.count_epochs
            trainer = Trainer("pdff", "", job, fake_training.settled, {}, TrainingRunner(), published, data)
            trainer.start({"epochs": 9, "max_minutes": 0.02, "seed": fake_training.DEAF})
            while not (trainer.state.progress or {}).get("epoch"):
                time.sleep(0.01)
            print(trainer._runner._run._process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    script = tmp_path / "server.py"
    script.write_text(program)
    command = [sys.executable, script, HERE, tmp_path / "studies"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    child, deadline = int(process.stdout), time.monotonic() + 5
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    trainer = make_trainer()
    assert not lives(child) and not helper_lives(trainer)
    state = trainer.describe()
    assert state["state"] == "interrupted" and "The server ended while this training ran" in state["message"]
    n_counted = len(counted(trainer))
    again = trainer.start({})
    assert state["can_resume"] and again["is_resumed"]
    processes = list(load_weights(finished_file(trainer)).tensors["counted"])
    assert processes.count(child) == n_counted and len(processes) == 9


def finished_file(trainer) -> Path:
    state = finished(trainer)
    assert state["state"] == "done", state
    return trainer.published.folder / state["published"]["file"]
