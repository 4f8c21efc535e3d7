"""The ``pdff`` task: a multi-echo study in, maps and a table out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liver_models import __version__
from liver_models.mri.maps import VOLUME_FIELDS
from liver_models.mri.pdff_files import MAP_UNITS
from monailabel.interfaces.tasks.infer_v2 import InferType

from . import pdff_job
from .map_task import MapTask
from .worker import Worker


class PdffTask(MapTask):
    """Fat fraction with its uncertainty, R2*, field, water and fat from multi-echo MRI."""

    name = "pdff"
    fields = {name: MAP_UNITS[name] for name in VOLUME_FIELDS}
    input = "multi-echo chemical-shift MRI: a stored case, or DICOM, NIfTI with JSON or .mat files"
    job = staticmethod(pdff_job.estimate_pdff)

    def __init__(self, worker: Worker, weights_folder: Path):
        description = "Proton density fat fraction, R2* and field maps of a multi-echo MRI study"
        super().__init__(worker, weights_folder, InferType.OTHERS, [], 3, description)

    def model_of(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The method."""
        return {"name": result["method"], "version": __version__}
