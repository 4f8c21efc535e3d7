"""Scoring that nobody asked for: one task at a time, and not while a training needs the machine."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ..trainers.runner import TrainingRunner
from .chooser import Chooser


class UnaskedScoring:
    """Starts scoring in the background when a case is asked for and when a training has ended.

    Args:
        choosers: Of every task; filled later.
        trainings: The server's one.
        is_on: False: scores only when it is asked to.
    """

    def __init__(self, choosers: Mapping[str, Chooser], trainings: TrainingRunner, is_on: bool):
        self._choosers, self._trainings, self._is_on = choosers, trainings, is_on
        self._lock = threading.Lock()

    def start(self, task: str) -> None:
        """Score what is at hand and the weights in use have not seen, unless something else runs; returns at once."""
        if not self._is_on or task not in self._choosers:
            return
        with self._lock:
            is_busy = self._trainings.running() is not None or any(one.is_scoring for one in self._choosers.values())
            if not is_busy:
                self._choosers[task].start_scoring(of_every_case=False)
