"""How far a training is, as every method tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is."""

    stage: str
    """What is done now, such as "training"."""
    epoch: int
    """Epochs done."""
    n_epochs: int
    """Most epochs."""
    loss: float | None
    """Mean loss since the last report."""
    metric: float | None
    """Of the patients kept for validation, when it was measured."""
    metric_name: str
    """What the metric is."""
    eta_s: float | None
    """Seconds left if no epoch is spared."""
