"""What every task shares: its job runs in the worker and leaves maps in a folder; JSON and maps are the answer."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liver_models import __version__
from liver_models.reports.notice import RESEARCH_NOTICE
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from .worker import Worker

CLIENT_KEYS = frozenset(("client_id", "description", "device", "model", "result_dtype", "result_extension", "logging"))
"""What MONAI Label's clients add to every request; it says nothing about the task."""


@dataclass(frozen=True)
class MapSet:
    """The answer to one request."""

    reply: dict[str, Any]
    """What is sent as JSON; its ``result`` is what ``result.json`` holds."""
    maps: dict[str, bytes]
    """Compressed NIfTI of each map, by name, in the order they are sent; a task may have none to give."""


class MapTask(InferTask):
    """A task whose job is ``job(source, roi, params, folder, weights_folder, progress=...)`` in the worker.

    A subclass says its ``name``, its ``fields`` (map -> unit), its ``input`` and its ``job``.
    """

    name: str
    fields: Mapping[str, str]
    input: str
    client_keys: frozenset[str] = CLIENT_KEYS
    job: Callable[..., dict[str, Any]]

    def __init__(
        self, worker: Worker, weights_folder: Path, type: InferType, labels: list[str], dimension: int, description: str
    ):
        super().__init__(type=type, labels=labels, dimension=dimension, description=description)
        self._worker = worker
        self._weights_folder = weights_folder

    @abstractmethod
    def model_of(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """What the reply says of the model."""

    def is_valid(self) -> bool:
        """Always ready: weights come with the package."""
        return True

    def describe(self) -> dict[str, Any]:
        """What a client needs to offer this task; a map's name is also the tag it is stored under."""
        return {
            "name": self.name,
            "description": self.description,
            "version": __version__,
            "input": self.input,
            "maps": [{"name": name, "file": f"{name}.nii.gz", "unit": unit} for name, unit in self.fields.items()],
        }

    def measure(
        self, source: Path, params: Mapping[str, Any], *, roi: Path | None = None, request_id: str | None = None
    ) -> MapSet:
        """Compute in the worker and collect its files.

        Args:
            source: A case or the files of one.
            params: Settings of the job; what clients of MONAI Label add is left out.
            roi: Mask in the geometry of the case.
            request_id: Name under which progress can be asked for.
        Raises:
            UnsuitableInputError: as the job.
        """
        settings = {key: value for key, value in params.items() if key not in self.client_keys}
        with tempfile.TemporaryDirectory(prefix="liverlabel-maps-") as temporary:
            folder = Path(temporary)
            job = source, roi, settings, folder, self._weights_folder
            result = self._worker.run(type(self).job, *job, request_id=request_id)
            files = {name: folder / f"{name}.nii.gz" for name in self.fields}
            maps = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
        reply = {
            "task": self.name,
            "model": self.model_of(result),
            "notice": RESEARCH_NOTICE,
            "is_simulated": result["is_simulated"],
            "result": result,
        }
        return MapSet(reply, maps)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """MONAI Label's way to run a task: the first map as a file the caller removes, if any, and the result."""
        settings = {key: value for key, value in request.items() if key not in ("image", "save_label", "label_tag")}
        answer = self.measure(Path(request["image"]), settings)
        for content in answer.maps.values():
            with tempfile.NamedTemporaryFile(suffix=".nii.gz", delete=False) as target:
                target.write(content)
            return target.name, answer.reply
        return None, answer.reply
