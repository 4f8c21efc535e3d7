"""The ``fibrotic_nash`` task: ultrasound, elastography and clinical values in, a probability out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferType

from . import nash_job
from .map_task import MapTask
from .worker import Worker


class NashTask(MapTask):
    """Probability of fibrotic NASH with its interval, conformal set, contributions and Grad-CAM."""

    name = "fibrotic_nash"
    fields = {nash_job.GRAD_CAM: "share of the largest"}
    input = "ultrasound of one subject: a stored case, or pictures named bmode_* and swe_* with ultrasound.json"
    job = staticmethod(nash_job.predict_nash)

    def __init__(self, worker: Worker, weights_folder: Path):
        description = "Fibrotic NASH from B-mode ultrasound, shear-wave elastography and clinical values"
        super().__init__(worker, weights_folder, InferType.CLASSIFICATION, ["fibrotic_nash"], 2, description)

    def model_of(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The weights, and what they were trained on."""
        return {"name": nash_job.ARCHITECTURE, "version": result["version"], "trained_on": result["trained_on"]}
