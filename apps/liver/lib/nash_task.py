"""The ``fibrotic_nash`` task: ultrasound, elastography and clinical values in, a probability out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liver_models import __version__
from liver_models.reports.notice import RESEARCH_NOTICE
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from . import nash_job
from .map_set import CLIENT_KEYS, MapSet
from .worker import Worker


class NashTask(InferTask):
    """Probability of fibrotic NASH with its interval, conformal set, contributions and Grad-CAM."""

    name = "fibrotic_nash"
    fields = (nash_job.GRAD_CAM,)

    def __init__(self, worker: Worker, weights_folder: Path):
        super().__init__(
            type=InferType.CLASSIFICATION,
            labels=["fibrotic_nash"],
            dimension=2,
            description="Fibrotic NASH from B-mode ultrasound, shear-wave elastography and clinical values",
        )
        self._worker = worker
        self._weights_folder = weights_folder

    def is_valid(self) -> bool:
        """Always ready: the demonstration weights come with the package."""
        return True

    def describe(self) -> dict[str, Any]:
        """What a client needs to offer this task."""
        return {
            "name": self.name,
            "description": self.description,
            "version": __version__,
            "input": "ultrasound of one subject: a stored case, or pictures named bmode_* and swe_* with "
            "ultrasound.json",
            "maps": [{"name": name, "file": f"{name}.nii.gz", "unit": "share of the largest"} for name in self.fields],
        }

    def measure(
        self, source: Path, params: Mapping[str, Any], *, roi: Path | None = None, request_id: str | None = None
    ) -> MapSet:
        """Ask in the worker and collect its files.

        Args:
            source: A case or the files of one subject.
            params: See :func:`.nash_job.predict_nash`; what clients of MONAI Label add is left out.
            roi: The reader's region of the first B-mode image.
            request_id: Name under which progress can be asked for.
        Raises:
            UnsuitableInputError: as :func:`.nash_job.predict_nash`.
        """
        settings = {key: value for key, value in params.items() if key not in CLIENT_KEYS}
        with tempfile.TemporaryDirectory(prefix="liverlabel-maps-") as temporary:
            folder = Path(temporary)
            job = source, roi, settings, folder, self._weights_folder
            result = self._worker.run(nash_job.predict_nash, *job, request_id=request_id)
            files = {name: folder / f"{name}.nii.gz" for name in self.fields}
            maps = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
        reply = {
            "task": self.name,
            "model": {"name": nash_job.ARCHITECTURE, "version": result["version"], "trained_on": result["trained_on"]},
            "notice": RESEARCH_NOTICE,
            "is_simulated": result["is_simulated"],
            "result": result,
        }
        return MapSet(reply, maps)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """MONAI Label's way to run a task: the map as a file the caller removes, if there is one, and the result."""
        settings = {key: value for key, value in request.items() if key not in ("image", "save_label", "label_tag")}
        answer = self.measure(Path(request["image"]), settings)
        for content in answer.maps.values():
            with tempfile.NamedTemporaryFile(suffix=".nii.gz", delete=False) as target:
                target.write(content)
            return target.name, answer.reply
        return None, answer.reply
