"""The ``liver_roi`` tasks: ultrasound or MRI in, the liver's outline out, refined by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferType

from . import region_job
from .map_task import CLIENT_KEYS, MapTask
from .worker import Worker


class RegionTask(MapTask):
    """The liver's region, its expected quality, and where PDFF is read in it.

    Args:
        worker: The server's one.
        weights_folder: Where weights trained at this site are published.
        type: What stock clients take it for: SEGMENTATION, or DEEPEDIT for those that send clicks.
    """

    name = "liver_roi"
    fields = {region_job.REGION: "label", region_job.MEASUREMENT_ROIS: "label"}
    input = "B-mode ultrasound or multi-echo MRI: a stored case, or its files"
    client_keys = CLIENT_KEYS - {"device"}
    job = staticmethod(region_job.outline_liver)

    def __init__(self, worker: Worker, weights_folder: Path, type: InferType = InferType.SEGMENTATION):
        description = "The liver's outline in ultrasound and MRI; clicks refine it"
        super().__init__(worker, weights_folder, type, ["liver"], 3, description)
        if type == InferType.DEEPEDIT:
            self.name = "liver_roi_clicks"

    def model_of(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The weights, and what they were trained on."""
        return {"name": region_job.ARCHITECTURE, "version": result["version"], "trained_on": result["trained_on"]}
