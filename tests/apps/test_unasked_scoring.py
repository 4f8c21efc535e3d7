"""Scoring starts by itself, one task at a time, and nobody waits for it."""

from __future__ import annotations

import threading
import time

import pytest
from trainer_helpers import at_epoch

from liver_models.weights import save_weights

CARD = {"architecture": "liver_roi", "config": {}, "name": "A network of the tests"}


class Held:
    """A worker whose answers come when they are let go; it counts what was asked."""

    quiet_s = float("inf")

    def __init__(self):
        self.has_begun, self.may_answer, self.asked = threading.Event(), threading.Event(), []

    def run(self, job, source, task, folder, *, is_background):
        self.asked.append((task, source.name))
        self.has_begun.set()
        assert self.may_answer.wait(20)
        return {"patient_id": source.name, "uncertainty": 0.5}


@pytest.fixture
def worker():
    held = Held()
    yield held
    held.may_answer.set()


@pytest.fixture
def site(opened, worker, tmp_path):
    """A function that makes the choosers of three cases, and what starts them."""
    from liver_apps.liver.lib.activelearning.chooser import Chooser
    from liver_apps.liver.lib.activelearning.unasked import UnaskedScoring
    from liver_apps.liver.lib.published import PublishedWeights
    from liver_apps.liver.lib.trainers.runner import TrainingRunner

    made = []

    def make(trainings=None, is_on=True):
        store = opened()
        published = {name: PublishedWeights(tmp_path / name, name) for name in ("liver_roi", "fibrotic_nash")}
        for one in published.values():
            one.folder.mkdir(exist_ok=True)
        choosers = {name: Chooser(name, worker, published[name], store) for name in published}
        made.extend(choosers.values())
        return choosers, UnaskedScoring(choosers, trainings or TrainingRunner(), is_on), published

    yield make
    for chooser in made:
        chooser.close()


def asked(site, task="liver_roi", strategy="default"):
    from liver_apps.liver.lib.activelearning.strategies import next_case

    return next_case(*site[:2], task, strategy, 1)


def settled(chooser) -> dict:
    deadline = time.monotonic() + 20
    while chooser.is_scoring and time.monotonic() < deadline:
        time.sleep(0.01)
    return chooser.describe()


def test_the_next_case_is_told_at_once_and_the_scores_come_afterwards(site, worker):
    made = site()
    assert "no case is scored yet" in asked(made)["reason"]
    assert made[0]["liver_roi"].is_scoring and "no case is scored yet" in asked(made)["reason"]
    worker.may_answer.set()
    assert settled(made[0]["liver_roi"])["done"] == 3
    assert "of 3 scored cases" in asked(made)["reason"] and asked(made)["uncertainty"] == 0.5


def test_what_is_scored_is_not_scored_again_until_there_are_other_weights(site, worker, tmp_path):
    worker.may_answer.set()
    made = site()
    for _ in range(2):
        asked(made)
        assert settled(made[0]["liver_roi"])["version"] == 0
    assert len(worker.asked) == 3
    save_weights(tmp_path / "new.safetensors", {}, {**CARD, "version": "site-v1"})
    made[2]["liver_roi"].publish(tmp_path / "new.safetensors", 1)
    asked(made)
    assert settled(made[0]["liver_roi"])["version"] == 1 and len(worker.asked) == 6


def test_weights_that_come_while_it_scores_are_used_for_every_case(site, worker, tmp_path):
    made = site()
    asked(made)
    assert worker.has_begun.wait(20)
    save_weights(tmp_path / "new.safetensors", {}, {**CARD, "version": "site-v1"})
    made[2]["liver_roi"].publish(tmp_path / "new.safetensors", 1)
    worker.may_answer.set()
    assert settled(made[0]["liver_roi"])["version"] == 1 and len(worker.asked) == 6


def test_one_task_is_scored_at_a_time(site, worker):
    made = site()
    asked(made)
    asked(made, "fibrotic_nash")
    assert made[0]["liver_roi"].is_scoring and not made[0]["fibrotic_nash"].is_scoring
    worker.may_answer.set()
    settled(made[0]["liver_roi"])
    asked(made, "fibrotic_nash")
    assert settled(made[0]["fibrotic_nash"])["done"] == 3


def test_a_random_case_needs_no_score(site, worker):
    made = site()
    assert asked(made, strategy="random")["id"] and not made[0]["liver_roi"].is_scoring and not worker.asked


def test_it_waits_for_the_end_of_a_training(site, worker, trainer):
    made = site(trainer._runner)
    trainer.start({"epochs": 30, "max_minutes": 0.5})
    at_epoch(trainer, 1)
    asked(made)
    assert not made[0]["liver_roi"].is_scoring and not worker.asked
    trainer.stop()
    asked(made)
    assert made[0]["liver_roi"].is_scoring


def test_it_can_be_switched_off(site, worker, monkeypatch):
    from liver_apps.liver.lib.settings import NO_SCORING_VARIABLE, ServerSettings

    assert ServerSettings.from_environment().scores_by_itself
    monkeypatch.setenv(NO_SCORING_VARIABLE, "1")
    made = site(is_on=ServerSettings.from_environment().scores_by_itself)
    asked(made)
    assert not made[0]["liver_roi"].is_scoring
    worker.may_answer.set()
    made[0]["liver_roi"].start_scoring()
    assert settled(made[0]["liver_roi"])["done"] == 3


def test_the_end_of_a_training_is_told_when_the_next_may_begin(make_trainer):
    told = []
    trainer = make_trainer()
    trainer._runner._free = lambda task: told.append((task, trainer._runner.running()))
    trainer.start({})
    trainer._runner.wait("pdff")
    assert told == [("pdff", None)]


def test_pdff_is_scored_again_after_a_new_measurement_only(opened, worker, tmp_path, folder):
    from liver_apps.liver.lib.activelearning.chooser import Chooser
    from liver_apps.liver.lib.published import PublishedWeights

    (folder / "four.case.json").write_text("{}")
    worker.may_answer.set()
    store = opened()
    chooser = Chooser("pdff", worker, PublishedWeights(tmp_path / "pdff", "ai_deal"), store)
    for n_asked in (4, 4):
        chooser.start_scoring()
        settled(chooser)
        assert len(worker.asked) == n_asked
    store.save_maps("four", {"pdff_std_percent": b"map"}, {"model": "pdff"})
    chooser.start_scoring()
    settled(chooser)
    assert worker.asked[4:] == [("pdff", "four.case.json")]


def test_it_waits_until_no_client_asks(site, worker):
    worker.quiet_s = 0.0
    made = site()
    asked(made)
    time.sleep(0.5)
    assert made[0]["liver_roi"].is_scoring and not worker.asked
    worker.may_answer.set()
    worker.quiet_s = 10.0
    assert settled(made[0]["liver_roi"])["done"] == 3
