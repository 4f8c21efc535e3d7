"""What a training is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liver_models.weights import Weights

PROGRESS_KEYS = ("stage", "epoch", "n_epochs", "loss", "metric", "metric_name", "eta_s")
"""What a job tells about how far it is; a key that is left out is null."""
Progress = Callable[[Mapping[str, Any]], None]
"""Takes some of :data:`PROGRESS_KEYS`; raises to stop the job, which keeps its checkpoint."""


@dataclass(frozen=True)
class TrainingRequest:
    """What a job is asked to do."""

    folder: Path
    """Where it keeps its checkpoint; what lies there is gone on from."""
    sources: tuple[Path, ...]
    """The cases: what :func:`liver_models.io.reading.read_study` reads."""
    is_every_case_needed: bool = False
    """True: the cases were named, so one that cannot be used is an error; False: it is left out."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    start: Path | None = None
    """Published weights to start from; None: those that come with the package."""
    models: Path | None = None
    """Where the weights of every task of this site are published, each in a folder named as the task."""


@dataclass(frozen=True)
class Trained:
    """What a job found."""

    weights: Weights
    """The trained network."""
    metric_name: str
    """What was measured on the cases kept for validation."""
    metric_before: float | None
    """The metric of the weights in use; None: there were none to compare with."""
    metric_after: float
    """The metric of the trained weights."""
    is_better: bool
    """Whether they are to be used."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the reply says besides, JSON-ready."""
    verdict: str | None = None
    """Why they are to be used or not, a sentence; None: the metric alone says it."""


Job = Callable[[TrainingRequest, Progress], Trained]
"""A function of a module, because it is named to another process; it imports what it needs when it is called."""
