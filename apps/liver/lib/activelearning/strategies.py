"""Strategies and scoring as MONAI Label's clients know them, over the choosers of our tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liver_models.learning.acquisition import STRATEGIES
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from ..failures import UnknownNameError
from .chooser import Chooser

DEFAULT_TASK = "liver_roi"
"""Task that is asked about when a request names none."""


class NextCase(Strategy):
    """One strategy for every task; a request may name its ``task``."""

    def __init__(self, name: str, choosers: Mapping[str, Chooser]):
        super().__init__(f"Next case to label by '{name}'; the request may name its task, else {DEFAULT_TASK}")
        self._name, self._choosers = name, choosers

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """The next case, None when all are labelled."""
        found = chooser_of(self._choosers, request.get("task", DEFAULT_TASK)).next_case(self._name)
        return found if found["id"] is not None else None


class ScoreCases(ScoringMethod):
    """Scores the unlabelled cases of one task in the background."""

    def __init__(self, chooser: Chooser):
        super().__init__(f"Score unlabelled cases by the uncertainty of {chooser.task}")
        self._chooser = chooser

    def __call__(self, request: Any, datastore: Datastore) -> dict[str, Any]:
        """Start, and how far it is."""
        return self._chooser.start_scoring()


def strategies(choosers: Mapping[str, Chooser]) -> dict[str, NextCase]:
    """Every strategy by name, the default first."""
    return {name: NextCase(name, choosers) for name in sorted(STRATEGIES, key=lambda name: name != "default")}


def chooser_of(choosers: Mapping[str, Chooser], task: str) -> Chooser:
    """The chooser of a task.

    Raises:
        UnknownNameError: there is none.
    """
    if task not in choosers:
        raise UnknownNameError(f"The tasks that ask for labels are {', '.join(choosers)}; found {task!r}.")
    return choosers[task]
