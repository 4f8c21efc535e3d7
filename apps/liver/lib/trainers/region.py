"""The trainer of ``liver_roi``: the networks that outline the liver, on the regions that readers stored."""

from __future__ import annotations

from ..datastore import LiverDatastore
from ..published import PublishedWeights
from . import region_training
from .base import Trainer
from .runner import TrainingRunner

CONFIG = {"epochs": 40, "device": ["auto", "cpu", "cuda"], "from_scratch": False, "processes": 1, "resume": True}
"""What Slicer's module shows; the numbers are the method's own."""


class RegionTrainer(Trainer):
    """Trains on stored cases with a region under the tag ``final``."""

    def __init__(self, runner: TrainingRunner, published: PublishedWeights, datastore: LiverDatastore):
        super().__init__(
            "liver_roi",
            "Train the outline of the liver on the stored cases that readers have outlined",
            region_training.train_at_site,
            region_training.settle,
            CONFIG,
            runner,
            published,
            datastore,
            extra_options=("processes", "from_scratch"),
        )
