"""The trainer of ``fibrotic_nash``: the combined model on the cases that readers have answered."""

from __future__ import annotations

from ..datastore import LiverDatastore
from ..published import PublishedWeights
from . import nash_training
from .base import Trainer
from .runner import TrainingRunner

CONFIG = {"epochs": 25, "device": ["auto", "cpu", "cuda"], "resume": True}
"""What Slicer's module shows; the epochs are the method's own."""


class NashTrainer(Trainer):
    """Trains ResHy-Net on stored ultrasound cases with an answer."""

    def __init__(self, runner: TrainingRunner, published: PublishedWeights, datastore: LiverDatastore):
        super().__init__(
            "fibrotic_nash",
            "Train the model of fibrotic NASH on the stored ultrasound cases whose answer is known",
            nash_training.train_at_site,
            nash_training.settle,
            CONFIG,
            runner,
            published,
            datastore,
        )
