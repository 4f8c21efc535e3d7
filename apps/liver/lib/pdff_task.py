"""The ``pdff`` task: a multi-echo study in, maps and a table out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liver_models import __version__
from liver_models.mri.maps import VOLUME_FIELDS
from liver_models.mri.pdff_files import MAP_UNITS
from liver_models.reports.notice import RESEARCH_NOTICE
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from . import pdff_job
from .map_set import CLIENT_KEYS, MapSet
from .worker import Worker


class PdffTask(InferTask):
    """Fat fraction with its uncertainty, R2*, field, water and fat from multi-echo MRI."""

    name = "pdff"
    fields = VOLUME_FIELDS

    def __init__(self, worker: Worker, weights_folder: Path):
        super().__init__(
            type=InferType.OTHERS,
            labels=[],
            dimension=3,
            description="Proton density fat fraction, R2* and field maps of a multi-echo MRI study",
        )
        self._worker = worker
        self._weights_folder = weights_folder

    def is_valid(self) -> bool:
        """Always ready: the method needs no model file."""
        return True

    def describe(self) -> dict[str, Any]:
        """What a client needs to offer this task."""
        return {
            "name": self.name,
            "description": self.description,
            "version": __version__,
            "input": "multi-echo chemical-shift MRI: a stored case, or DICOM, NIfTI with JSON or .mat files",
            "maps": [described_map(name) for name in self.fields],
        }

    def measure(
        self, source: Path, params: Mapping[str, Any], *, roi: Path | None = None, request_id: str | None = None
    ) -> MapSet:
        """Compute in the worker and collect its files.

        Args:
            source: A case or the files of one.
            params: Method and settings; what clients of MONAI Label add is left out.
            roi: Mask in the study's geometry.
            request_id: Name under which progress can be asked for.
        Raises:
            UnsuitableInputError: as :func:`pdff_job.estimate_pdff`.
        """
        settings = {key: value for key, value in params.items() if key not in CLIENT_KEYS}
        with tempfile.TemporaryDirectory(prefix="liverlabel-maps-") as temporary:
            folder = Path(temporary)
            job = source, roi, settings, folder, self._weights_folder
            result = self._worker.run(pdff_job.estimate_pdff, *job, request_id=request_id)
            maps = {name: (folder / f"{name}.nii.gz").read_bytes() for name in self.fields}
        reply = {
            "task": self.name,
            "model": {"name": result["method"], "version": __version__},
            "notice": RESEARCH_NOTICE,
            "is_simulated": result["is_simulated"],
            "result": result,
        }
        return MapSet(reply, maps)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """MONAI Label's way to run a task: the first map as a file the caller removes, and the result."""
        settings = {key: value for key, value in request.items() if key not in ("image", "save_label", "label_tag")}
        answer = self.measure(Path(request["image"]), settings)
        with tempfile.NamedTemporaryFile(suffix=".nii.gz", delete=False) as target:
            target.write(answer.maps[self.fields[0]])
        return target.name, answer.reply


def described_map(name: str) -> dict[str, str]:
    """Name, file and unit of one map; the name is also the tag it is stored under."""
    return {"name": name, "file": f"{name}.nii.gz", "unit": MAP_UNITS[name]}
