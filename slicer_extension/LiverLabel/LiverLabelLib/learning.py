"""A training and a scoring in words, and what is asked of them."""

from __future__ import annotations

from typing import Any

from .protocol import CurvePoint, Scoring, Training

STATES = {
    "idle": "No training yet",
    "running": "Training",
    "done": "Done",
    "stopped": "Stopped, checkpoint kept",
    "failed": "Failed",
    "interrupted": "Interrupted by the end of the server, checkpoint kept",
}
DEVICES = {"auto": "GPU if there is one", "cpu": "CPU", "cuda": "GPU"}
"""Where a training computes, as the server calls it -> what it is called."""


def training_options(epochs: int, max_minutes: float, device: str, begins_anew: bool) -> dict[str, Any]:
    """The JSON that starts a training; what is 0 is left to the method.

    Args:
        epochs: Passes over the cases.
        max_minutes: Minutes after which it ends with its checkpoint kept.
        device: Of :data:`DEVICES`.
        begins_anew: Do not go on from a checkpoint.
    """
    asked: dict[str, Any] = {"device": device}
    if epochs:
        asked["epochs"] = epochs
    if max_minutes:
        asked["max_minutes"] = max_minutes
    if begins_anew:
        asked["resume"] = False
    return asked


def state_text(training: Training) -> str:
    """The state in words, with the stage it is in."""
    stage = training.progress.stage if training.state == "running" and training.progress else None
    state = STATES.get(training.state, training.state)
    return f"{state}: {stage}" if stage else state


def version_text(training: Training) -> str:
    """Which weights are in use."""
    used = "those of the package (version 0)" if training.version == 0 else f"version {training.version}"
    others = [str(version) for version in training.versions if version != training.version]
    return f"Weights in use: {used}" + (f"; also kept: {', '.join(others)}" if others else "")


def left_text(progress: CurvePoint | None) -> str:
    """How long it takes yet; empty where that is not known."""
    if progress is None or progress.eta_s is None:
        return ""
    return f"About {duration(progress.eta_s)} left"


def duration(seconds: float) -> str:
    """A duration in the unit that fits: s, min or h."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def scoring_text(scoring: Scoring) -> str:
    """How far the scoring is, with the server's sentence."""
    done = f"{scoring.done} of {scoring.total} cases scored."
    return f"{done} {scoring.message}".strip() if scoring.total or scoring.message else "No case was scored yet."
