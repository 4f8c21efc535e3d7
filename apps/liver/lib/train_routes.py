"""Training over HTTP: MONAI Label's routes, which its clients use, and ours, which say more.

MONAI Label's own handlers start a process that loads the whole app and is not ended with the server; these do not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from liver_models.errors import UnsuitableInputError
from monailabel.interfaces.utils.app import app_instance

from .failures import TrainingRunningError, UnknownNameError
from .guards import decoded
from .trainers.base import Trainer, without_stock_keys
from .trainers.state import TrainingState

STOCK_STATES = {"running": "RUNNING", "done": "DONE", "stopped": "STOPPED", "failed": "ERROR", "interrupted": "ERROR"}
"""Our states in MONAI Label's words."""
N_DETAILS = 20
"""Lines of detail that MONAI Label keeps."""


async def read_json(request: Request) -> Any:
    """The JSON of a request, an empty object when there is none; a dependency.

    Raises:
        UnsuitableInputError: another content type, or no JSON.
    """
    body = await request.body()
    if not body.strip():
        return {}
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsuitableInputError(
            f"This route needs JSON; found the content type {content_type[:60]!r}. Send application/json."
        )
    found = decoded("body", body.decode("utf-8", "replace"))
    return {} if found is None else found


Body = Annotated[Any, Depends(read_json)]


def add_train_routes(app: FastAPI) -> None:
    """Add both kinds of routes."""
    _add_own(app)
    _add_stock(app)


def trainer_of(name: str) -> Trainer:
    """The trainer of a task.

    Raises:
        UnknownNameError: there is none.
    """
    trainers = app_instance()._trainers
    if name not in trainers:
        has = ", ".join(trainers) or "none"
        raise UnknownNameError(f"There is no model {name!r} to train on this server; it has: {has}.")
    return trainers[name]


def _add_own(app: FastAPI) -> None:
    @app.post("/liver/train/{task}", tags=["LiverLabel"])
    def start(task: str, options: Body):
        """Start a training or go on with one that did not finish; answers at once."""
        return trainer_of(task).start(options)

    @app.get("/liver/train/{task}", tags=["LiverLabel"])
    def state(task: str):
        """How far the training is, what came of the last one, and which weights are in use."""
        return trainer_of(task).describe()

    @app.delete("/liver/train/{task}", tags=["LiverLabel"])
    def stop(task: str):
        """Stop the training and keep its checkpoint; answers when it has ended."""
        return trainer_of(task).stop()

    @app.post("/liver/train/{task}/rollback", tags=["LiverLabel"])
    def roll_back(task: str, asked: Body):
        """Use the former weights again, or those of the version named."""
        if not isinstance(asked, dict) or set(asked) - {"version"} or type(asked.get("version", 0)) is not int:
            raise UnsuitableInputError('A rollback may name one version, such as {"version": 1}; found something else.')
        return trainer_of(task).roll_back(asked.get("version"))


def _add_stock(app: FastAPI) -> None:
    @app.get("/train/", tags=["MONAI Label"])
    def stock_status(all: bool = False, check_if_running: bool = False):
        """The last training; with ``check_if_running`` 404 unless it runs."""
        trainers = [item for item in app_instance()._trainers.values() if item.state.started_at is not None]
        trainers.sort(key=lambda item: item.state.started_at)
        if check_if_running:
            trainers = [item for item in trainers if item.state.state == "running"]
        if not trainers:
            raise UnknownNameError("No training runs." if check_if_running else "No training was started yet.")
        return [stock_task(item.state) for item in trainers] if all else stock_task(trainers[-1].state)

    @app.post("/train/", tags=["MONAI Label"], include_in_schema=False)
    def stock_start_every(options: Body, run_sync: bool = False):
        """Start every trainer; one at a time runs, so the others say that they cannot."""
        told, asked = {}, options if isinstance(options, dict) else {}
        for name in app_instance()._trainers:
            try:
                told[name] = {"result": stock_start(name, asked.get(name) or {}, run_sync), "detail": None}
            except TrainingRunningError as error:
                told[name] = {"result": None, "detail": str(error)}
        return told

    @app.post("/train/{model}", tags=["MONAI Label"])
    def stock_start(model: str, options: Body, run_sync: bool = False):
        """Start a training; with ``run_sync`` answers when it has ended."""
        trainer = trainer_of(model)
        if run_sync:
            return trainer(options, app_instance().datastore())
        trainer.start(without_stock_keys(options))
        return stock_task(trainer.state)

    @app.delete("/train/", tags=["MONAI Label"])
    def stock_stop():
        """Stop what runs; null when nothing does."""
        running = [trainer for trainer in app_instance()._trainers.values() if trainer.state.state == "running"]
        for trainer in running:
            trainer.stop()
        return stock_task(running[-1].state) if running else None


def stock_task(state: TrainingState) -> dict[str, Any]:
    """A training as MONAI Label's clients read it; ``details`` is never empty: Slicer's module takes the last."""
    lines = [_line(point) for point in state.curve[-(N_DETAILS - 1) :]]
    task = {
        "id": state.id,
        "status": STOCK_STATES[state.state],
        "request": {"model": state.task, **state.options},
        "start_ts": _stock_time(state.started_at),
        "details": [*lines, state.message] if state.state != "running" else [state.message, *lines],
    }
    return {**task, "end_ts": _stock_time(state.ended_at)} if state.ended_at else task


def _line(point: dict[str, Any]) -> str:
    parts = [f"{point['stage']}, epoch {point['epoch']} of {point['n_epochs']}"]
    parts += [f"loss {point['loss']:.4g}"] if point["loss"] is not None else []
    parts += [f"{point['metric_name']} {point['metric']:.4g}"] if point["metric"] is not None else []
    parts += [f"{point['eta_s']:.0f} s left"] if point["eta_s"] is not None else []
    return ": ".join([parts[0], ", ".join(parts[1:])])


def _stock_time(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
