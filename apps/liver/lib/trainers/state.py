"""What is known of the last training of a task, in memory and whole in one file beside the studies."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from liver_models.io.files import write_atomically

from ..errors import without_nan
from .job import PROGRESS_KEYS

logger = logging.getLogger(__name__)

STATES = ("idle", "running", "done", "stopped", "failed", "interrupted")
"""Never started; runs; ended by itself, by a client, by an error, by the end of the server."""
UNFINISHED = ("stopped", "failed", "interrupted")
"""Ended before its result, so that it may be gone on with."""
_GO_ON = "Nothing was published. Start it again to go on from its last checkpoint."
SENTENCES = {
    "stopped": f"The training was stopped. {_GO_ON}",
    "interrupted": f"The server ended while this training ran. {_GO_ON}",
    "lost": f"The process that trains ended before its result, perhaps for want of memory. {_GO_ON}",
    "defect": f"The training failed through a defect of ours; the server's log says more. {_GO_ON}",
}
"""What is said of a run that did not come to a result."""


@dataclass(frozen=True)
class TrainingState:
    """The last training of a task."""

    task: str
    """Name of the task."""
    state: str = "idle"
    """One of :data:`STATES`."""
    message: str = "No training was started yet."
    """What happened, in a sentence or two."""
    id: str | None = None
    """Its id, kept when it goes on."""
    is_resumed: bool = False
    """Whether it went on from a checkpoint."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Every option it runs with."""
    cases: tuple[str, ...] = ()
    """Ids of the cases it was given."""
    start_version: int = 0
    """Version of the weights it started from; 0: those that come with the package."""
    started_at: str | None = None
    """Time of the start, ISO 8601, UTC."""
    ended_at: str | None = None
    """Time of the end, ISO 8601, UTC."""
    heartbeat_at: str | None = None
    """When its process was last heard of, ISO 8601, UTC."""
    progress: Mapping[str, Any] | None = None
    """How far it is: the keys of :data:`~.job.PROGRESS_KEYS`."""
    curve: tuple[Mapping[str, Any], ...] = ()
    """What was told last of each epoch of each stage, where a loss or a metric was."""
    result: Mapping[str, Any] | None = None
    """What was found and the version that was published, None where none was."""

    def with_progress(self, told: Mapping[str, Any]) -> TrainingState:
        """The state after a job told how far it is; what is told again of an epoch joins its point of the curve."""
        step = without_nan({key: told.get(key) for key in PROGRESS_KEYS})
        curve = self.curve
        if step["loss"] is not None or step["metric"] is not None:
            place = step["stage"], step["epoch"]
            former = next((point for point in curve if (point["stage"], point["epoch"]) == place), {})
            merged = {key: former.get(key) if value is None else value for key, value in step.items()}
            curve = (*(point for point in curve if point is not former), merged)
        return replace(self, progress=step, curve=curve)

    def as_json(self) -> dict[str, Any]:
        """Every field, JSON-ready."""
        return asdict(self)


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_state(path: Path, state: TrainingState) -> None:
    """Write the state whole or not at all.

    Raises:
        UnsuitableInputError: the disk is full or the folder cannot be written.
    """
    write_atomically(path, json.dumps(state.as_json(), indent=1, allow_nan=False).encode())


def read_state(path: Path, task: str) -> TrainingState:
    """The state as a server that starts finds it: one that still runs was interrupted.

    A file that cannot be read counts as none; the next training writes it anew.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        known = {item.name for item in fields(TrainingState)}
        if not isinstance(found, dict) or set(found) - known or found.get("state") not in STATES:
            raise ValueError("no training state")
        found |= {"task": task, "cases": tuple(found.get("cases", ())), "curve": tuple(found.get("curve", ()))}
        state = TrainingState(**found)
    except FileNotFoundError:
        return TrainingState(task)
    except (OSError, ValueError, TypeError):
        logger.warning("The state of the last training cannot be read; it counts as none.")
        return TrainingState(task)
    if state.state != "running":
        return state
    return replace(state, state="interrupted", message=SENTENCES["interrupted"], ended_at=state.heartbeat_at)
