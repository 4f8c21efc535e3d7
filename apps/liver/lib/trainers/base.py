"""A trainer as MONAI Label and our own routes see it."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from ..datastore import LiverDatastore
from ..errors import without_nan
from ..failures import TrainingRunningError
from ..file_lock import alone
from ..published import PublishedWeights
from ..uploads import without_folder
from . import child
from .job import Job, TrainingRequest
from .options import Settle, TrainOptions
from .runner import TrainingRunner
from .state import SENTENCES, UNFINISHED, TrainingState, now, read_state, write_state

logger = logging.getLogger(__name__)

STOCK_KEYS = frozenset(("client_id", "description", "gpus", "local_rank", "model"))
"""What MONAI Label's clients and its own processes add to every request; it says nothing about the training."""
WRITE_EVERY_S = 1.0
"""Time between two writes of the state while nothing but numbers change, seconds."""
RELEASE_S = 5.0
"""How long the process of a server that was killed may take to end, seconds."""


class Trainer(TrainTask):
    """Trains the weights of one task in a process of its own and publishes them if they got better.

    A run that fails, is stopped or gets no better publishes nothing. What lies beside the studies, in the folder of the
    published weights: ``training/state.json``, the state; ``training/checkpoint-ID``, what a run goes on from.

    Args:
        name: Of the task.
        description: For clients.
        job: What trains.
        settle: Completes and checks the settings of the job.
        config: What Slicer's module shows and sends; a list is a choice, its first item the default.
        runner: The server's one.
        published: Where the weights of this task are published.
        datastore: The studies.
        extra_options: Options of this training that others do not know.
    """

    used_from = "the next measurement on"
    """When published weights are first used."""

    def __init__(
        self,
        name: str,
        description: str,
        job: Job,
        settle: Settle,
        config: Mapping[str, Any],
        runner: TrainingRunner,
        published: PublishedWeights,
        datastore: LiverDatastore,
        extra_options: tuple[str, ...] = (),
    ):
        super().__init__(description)
        self.name = name
        self.published = published
        self._job = job
        self._extra_options = extra_options
        self._settle = settle
        self._config = config
        self._runner = runner
        self._datastore = datastore
        self._folder = published.folder / "training"
        self._finished = self._folder / "finished.safetensors"
        self._state = read_state(self._folder / "state.json", name)
        self._written_at = 0.0

    @property
    def state(self) -> TrainingState:
        """The last training."""
        return self._state

    def describe(self) -> dict[str, Any]:
        """The last training, whether it can be gone on with, and the published weights, JSON-ready."""
        return {**self._state.as_json(), "can_resume": self._can_resume(), "published": self.published.describe()}

    def start(self, request: Any) -> dict[str, Any]:
        """Start a training, or go on with one that did not finish; returns at once.

        Args:
            request: See :class:`.options.TrainOptions`.
        Returns:
            As :meth:`describe`.
        Raises:
            UnsuitableInputError: an option, or what is left of the run to go on with, cannot be used.
            UnknownNameError: a case that is not stored.
            TrainingRunningError: a training runs already.
        """
        options = TrainOptions.from_request(request, self._extra_options)
        with self._runner.lock:
            self._runner.check_free()
            with alone(self._folder / "lock", RELEASE_S) as is_alone:
                if not is_alone:
                    raise TrainingRunningError(child.OTHER_TRAINING)
                state = self._prepared(options)
            sources = tuple(self._datastore.case_source(case_id) for case_id in state.cases)
            write_state(self._folder / "state.json", state)
            former, self._state = self._state, state
            self._remove_checkpoints(but=state.id)
            self._finished.unlink(missing_ok=True)
            job_request = TrainingRequest(
                folder=self._checkpoint(state),
                sources=sources,
                is_every_case_needed=state.options["cases"] is not None,
                options={key: value for key, value in state.options.items() if key != "cases"},
                start=self.published.file(state.start_version),
                models=self.published.folder.parent,
            )
            version = self.published.next_version()
            args = (self._job, job_request, self._finished, f"site-v{version}", self._folder / "lock")
            try:
                self._runner.launch(self.name, args, self._told, lambda *ending: self._ended(version, *ending))
            except BaseException:
                self._state = former
                raise
        return self.describe()

    def stop(self) -> dict[str, Any]:
        """Stop the training if it runs, keep its checkpoint, and wait until it has ended; as :meth:`describe`."""
        self._runner.stop(self.name)
        return self.describe()

    def roll_back(self, version: int | None = None) -> dict[str, Any]:
        """Use the former weights again, or those of the version named; as :meth:`describe`.

        Raises:
            UnsuitableInputError: see :meth:`PublishedWeights.roll_back`.
        """
        self.published.roll_back(version)
        return self.describe()

    def _checkpoint(self, state: TrainingState) -> Path:
        return self._folder / f"checkpoint-{state.id}"

    def _remove_checkpoints(self, but: str | None = None) -> None:
        for folder in self._folder.glob("checkpoint-*"):
            if folder.name != f"checkpoint-{but}":
                shutil.rmtree(folder, ignore_errors=True)

    def _can_resume(self) -> bool:
        return self._state.state in UNFINISHED and any(self._checkpoint(self._state).glob("*"))

    def _prepared(self, options: TrainOptions) -> TrainingState:
        """The state a run begins with."""
        former = self._state
        begun = {"state": "running", "started_at": now(), "ended_at": None, "result": None}
        if options.resume and self._can_resume():
            settled = options.settled(self._settle, former.options)
            message = "The training goes on from its last checkpoint."
            return replace(former, **begun, message=message, is_resumed=True, options=settled)
        return TrainingState(
            self.name,
            **begun,
            id=uuid.uuid4().hex,
            message="The training runs.",
            options=options.settled(self._settle),
            cases=options.cases or tuple(sorted(self._datastore.cases_at_hand())),
            start_version=self.published.history()[-1],
        )

    def _told(self, kind: str, content: Any) -> None:
        """Deal with a sign of life or a progress."""
        state = replace(self._state, heartbeat_at=now())
        self._state = state.with_progress(content) if kind == "progress" else state
        if time.monotonic() - self._written_at >= WRITE_EVERY_S:
            self._write()

    def _ended(self, version: int, kind: str, content: Any, reason: str | None) -> None:
        """Deal with the end of the process: publish, or say why not."""
        try:
            name, message, result = self._outcome(version, kind, content, reason)
        except UnsuitableInputError as error:
            name, message, result = "failed", str(error), None
        except Exception:
            logger.exception("Publishing failed.")
            name, message, result = "failed", SENTENCES["defect"], None
        if name == "done":
            self._remove_checkpoints()
        self._finished.unlink(missing_ok=True)
        message = without_folder(message, self._datastore.folder)
        self._state = replace(self._state, state=name, message=message, result=result, ended_at=now())
        self._write()

    def _outcome(self, version: int, kind: str, content: Any, reason: str | None) -> tuple[str, str, Any]:
        """State, sentence and result."""
        if reason is not None:
            return reason, SENTENCES[reason], None
        if kind == "unsuitable":
            return "failed", content, None
        if kind == "defect":
            logger.error("A training failed:\n%s", content)
            return "failed", SENTENCES[kind], None
        if kind != "done":
            return "failed", SENTENCES["lost"], None
        is_better, verdict = content["is_better"], content.pop("verdict")
        if verdict is None:
            measured = "{metric_name} {metric_before:.4g} before, {metric_after:.4g} after".format(**content)
            verdict = f"The validation got {'better' if is_better else 'no better'}: {measured}."
        if not is_better:
            message = f"{verdict} Nothing was published; the weights in use stay."
            return "done", message, without_nan({**content, "published_version": None})
        self.published.publish(self._finished, version)
        message = f"{verdict} Version {version} is used from {self.used_from}."
        return "done", message, without_nan({**content, "published_version": version})

    def _write(self) -> None:
        """Write the state; a disk that is full must not end the training."""
        self._written_at = time.monotonic()
        try:
            write_state(self._folder / "state.json", self._state)
        except UnsuitableInputError:
            logger.warning("The state of the training could not be written.")

    # What MONAI Label asks for.

    def config(self) -> dict[str, Any]:
        """The options that Slicer's module shows."""
        return dict(self._config)

    def stats(self) -> dict[str, Any]:
        """How far the training is, in MONAI Label's words; empty before the first."""
        state = self._state
        if state.started_at is None:
            return {}
        progress = state.progress or {}
        begun = datetime.fromisoformat(state.started_at)
        until = datetime.fromisoformat(state.ended_at or now())
        # Slicer's module takes a training with a total time for one that has ended.
        time_name = "current_time" if state.state == "running" else "total_time"
        return {
            "epoch": progress.get("epoch") or 0,
            "total_epochs": progress.get("n_epochs") or 1,
            "start_ts": int(begun.timestamp()),
            time_name: str(timedelta(seconds=int((until - begun).total_seconds()))),
            "train": {"loss": progress.get("loss"), "metric": progress.get("metric")},
        }

    def __call__(self, request: Any, datastore: Datastore) -> dict[str, Any]:
        """Train and wait for the end, as MONAI Label's own processes do.

        Raises:
            UnsuitableInputError: the training failed.
        """
        self.start(without_stock_keys(request))
        self._runner.wait(self.name)
        if self._state.state == "failed":
            raise UnsuitableInputError(self._state.message)
        return self.stats()


def without_stock_keys(request: Any) -> Any:
    """A request without what MONAI Label's clients add."""
    if not isinstance(request, Mapping):
        return request
    return {key: value for key, value in request.items() if key not in STOCK_KEYS}
