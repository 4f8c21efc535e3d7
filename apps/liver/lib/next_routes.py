"""Routes of the loop: score what is unlabelled, and say which case to label next."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from monailabel.interfaces.utils.app import app_instance

from .activelearning.chooser import Chooser
from .activelearning.strategies import chooser_of
from .activelearning.strategies import next_case as asked_next


def add_next_routes(app: FastAPI) -> None:
    """Add ours, and MONAI Label's two for scoring, whose own start a process that loads the app again."""

    @app.get("/liver/next/{task}", tags=["LiverLabel"])
    def next_case(task: str, strategy: str = "default", seed: int | None = None):
        """The case from which the task would learn most; its id is null when all are labelled."""
        app = app_instance()
        app.trainings.prepare()  # Who asks for cases to label trains soon.
        return asked_next(app.choosers, app.unasked_scoring, task, strategy, seed)

    @app.post("/liver/score/{task}", tags=["LiverLabel"])
    def score(task: str):
        """Score the unlabelled cases in the background; those that the weights in use scored already are kept."""
        return _chooser(task).start_scoring()

    @app.get("/liver/score/{task}", tags=["LiverLabel"])
    def score_state(task: str):
        """How far scoring is."""
        return _chooser(task).describe()

    @app.get("/scoring/", tags=["MONAI Label"])
    def stock_status() -> list[dict[str, Any]]:
        """How far every scoring is."""
        return [one.describe() for one in app_instance().choosers.values()]

    @app.post("/scoring/{method}", tags=["MONAI Label"])
    @app.post("/scoring/", tags=["MONAI Label"])
    def stock_score(method: str | None = None):
        """Start one scoring, or all."""
        choosers = app_instance().choosers
        chosen = choosers.values() if method is None else [_chooser(method)]
        return [one.start_scoring() for one in chosen]


def _chooser(task: str) -> Chooser:
    return chooser_of(app_instance().choosers, task)
