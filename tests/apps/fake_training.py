"""A job that trains nothing: it counts epochs, keeps a checkpoint, and does at its second epoch what its seed says.

One that goes on from a checkpoint behaves.
"""

from __future__ import annotations

import json
import os
import time

import numpy as np

from liver_apps.liver.lib.trainers.job import Trained
from liver_models.errors import UnsuitableInputError
from liver_models.io.files import write_atomically
from liver_models.weights import Weights

WORSE, LATE, FAILING, REFUSING, DYING, DEAF = range(101, 107)
"""Seeds: the result is no better; it comes late; a defect; a refusal; the process ends; no progress is told any more.

The last two start a process of their own before, whose id :data:`HELPER` holds beside the checkpoint.
"""
HELPER = "helper.pid"
EPOCH_S = 0.05


def settled(options: dict) -> dict:
    """The settings of the job, completed and checked."""
    if options.get("epochs", 1) < 1:
        raise UnsuitableInputError("A training needs an epoch.")
    return {"epochs": 3, "seed": 0, "validation_fraction": 0.2, "max_minutes": None, **options}


def count_epochs(request, progress) -> Trained:
    """Count to ``epochs``; ``max_minutes`` is the time that all of them take together."""
    n_epochs, seed, minutes = (request.options[key] for key in ("epochs", "seed", "max_minutes"))
    epoch_s = EPOCH_S if minutes is None else 60 * minutes / n_epochs
    checkpoint = request.folder / "checkpoint.json"
    counted = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    is_new = not counted
    if seed in (DYING, DEAF) and is_new:
        (request.folder / HELPER).write_text(str(start_helper()))
    for epoch in range(len(counted) + 1, n_epochs + 1):
        time.sleep(epoch_s)
        if epoch == 2 and is_new:
            misbehave(seed, request)
        counted.append(os.getpid())
        write_atomically(checkpoint, json.dumps(counted).encode())
        progress(
            {
                "stage": "counting",
                "epoch": epoch,
                "n_epochs": n_epochs,
                "loss": 1 / epoch,
                "metric": 2 / epoch,
                "metric_name": "residual",
                "eta_s": epoch_s * (n_epochs - epoch),
            }
        )
    if seed == LATE and is_new:
        time.sleep(0.5)
    tensors = {"counted": np.array(counted, np.int64)}
    card = {"architecture": "ai_deal", "config": {}, "name": "A network of the tests"}
    facts = {"n_cases": len(request.sources), "started_from": request.start.name if request.start else None}
    return Trained(Weights(tensors, card), "residual", 2.0, 2 / n_epochs, seed != WORSE, facts)


def start_helper() -> int:
    """Fork, as loaders of training data do; the copy holds every open file of its parent."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    return pid


def misbehave(seed: int, request) -> None:
    if seed == FAILING:
        raise KeyError("a defect")
    if seed == REFUSING:
        raise UnsuitableInputError(f"A need; found {request.sources[0]}. A remedy.")
    if seed == DYING:
        os._exit(1)
    if seed == DEAF:
        time.sleep(60)
