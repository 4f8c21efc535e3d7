"""What tests of a trainer in this process ask of it and of its processes."""

from __future__ import annotations

import json
import time

import psutil
from fake_training import HELPER


def finished(trainer) -> dict:
    """The state after the end of what runs."""
    trainer._runner.wait("pdff")
    return trainer.describe()


def at_epoch(trainer, epoch: int) -> dict:
    """The state when an epoch was told."""
    return until(trainer, lambda state: (state["progress"] or {}).get("epoch") == epoch)


def until(trainer, is_so) -> dict:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = trainer.describe()
        if is_so(state):
            return state
        time.sleep(0.005)
    raise AssertionError(trainer.describe())


def children() -> list[int]:
    """Processes that this one started to train."""
    found = psutil.Process().children()
    return [one.pid for one in found if "spawn_main" in " ".join(one.cmdline())]


def counted(trainer) -> list[int]:
    """The process of each epoch of the checkpoint."""
    (folder,) = trainer._folder.glob("checkpoint-*")
    return json.loads((folder / "checkpoint.json").read_text())


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def helper_lives(trainer, wait_s: float = 2.0) -> bool:
    """Whether a process that the job forked still runs after a while: a kill takes a moment."""
    helpers = [int(file.read_text()) for file in trainer._folder.glob(f"checkpoint-*/{HELPER}")]
    deadline = time.monotonic() + wait_s
    while any(map(lives, helpers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return any(map(lives, helpers))
