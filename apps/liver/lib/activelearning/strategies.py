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
from .unasked import UnaskedScoring

DEFAULT_TASK = "liver_roi"
"""Task that is asked about when a request names none."""


class NextCase(Strategy):
    """One strategy for every task; a request may name its ``task``."""

    def __init__(self, name: str, choosers: Mapping[str, Chooser], unasked: UnaskedScoring):
        super().__init__(f"Next case to label by '{name}'; the request may name its task, else {DEFAULT_TASK}")
        self._name, self._choosers, self._unasked = name, choosers, unasked

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """The next case, None when all are labelled."""
        found = next_case(self._choosers, self._unasked, request.get("task", DEFAULT_TASK), self._name)
        return found if found["id"] is not None else None


class ScoreCases(ScoringMethod):
    """Scores the unlabelled cases of one task in the background."""

    def __init__(self, chooser: Chooser):
        super().__init__(f"Score unlabelled cases by the uncertainty of {chooser.task}")
        self._chooser = chooser

    def __call__(self, request: Any, datastore: Datastore) -> dict[str, Any]:
        """Start, and how far it is."""
        return self._chooser.start_scoring()


def strategies(choosers: Mapping[str, Chooser], unasked: UnaskedScoring) -> dict[str, NextCase]:
    """Every strategy by name, the default first."""
    return {name: NextCase(name, choosers, unasked) for name in sorted(STRATEGIES, key=lambda name: name != "default")}


def next_case(
    choosers: Mapping[str, Chooser], unasked: UnaskedScoring, task: str, strategy: str, seed: int | None = None
) -> dict[str, Any]:
    """The next case by the scores there are; for a strategy that reads them, scoring goes on afterwards.

    Raises:
        UnknownNameError: there is no such task.
        UnsuitableInputError: see :meth:`.Chooser.next_case`.
    """
    found = chooser_of(choosers, task).next_case(strategy, seed)
    if strategy != "random":
        unasked.start(task)
    return found


def chooser_of(choosers: Mapping[str, Chooser], task: str) -> Chooser:
    """The chooser of a task.

    Raises:
        UnknownNameError: there is none.
    """
    if task not in choosers:
        raise UnknownNameError(f"The tasks that ask for labels are {', '.join(choosers)}; found {task!r}.")
    return choosers[task]
