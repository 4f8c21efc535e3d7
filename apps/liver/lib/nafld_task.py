"""The ``nafld`` task: B-mode ultrasound in, a probability of fatty liver out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferType

from . import nafld_job
from .map_task import MapTask
from .worker import Worker


class NafldTask(MapTask):
    """Probability of fatty liver of each frame and of the patient, with interval, conformal set and two maps."""

    name = "nafld"
    fields = {nafld_job.GRAD_CAM: "share of the largest", nafld_job.GRADIENT_SHAP: "share of the largest, signed"}
    input = "B-mode ultrasound of one subject: a stored case, or pictures named bmode_* with ultrasound.json"
    job = staticmethod(nafld_job.predict_nafld)

    def __init__(self, worker: Worker, weights_folder: Path):
        description = "Fatty liver (NAFLD) from B-mode ultrasound"
        super().__init__(worker, weights_folder, InferType.CLASSIFICATION, ["nafld"], 2, description)

    def model_of(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The weights, and what they were trained on."""
        return {"name": nafld_job.ARCHITECTURE, "version": result["version"], "trained_on": result["trained_on"]}
