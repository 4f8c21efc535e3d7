"""The trainer of ``pdff``: the network adapted to this site's own scans, which need no labels."""

from __future__ import annotations

from ..datastore import LiverDatastore
from ..published import PublishedWeights
from . import pdff_adaptation
from .base import Trainer
from .runner import TrainingRunner

CONFIG = {"epochs": 20, "device": ["auto", "cpu", "cuda"], "resume": True}
"""What Slicer's module shows; the epochs are the method's own."""


class PdffTrainer(Trainer):
    """Adapts AI-DEAL's network to the stored multi-echo MRI."""

    def __init__(self, runner: TrainingRunner, published: PublishedWeights, datastore: LiverDatastore):
        super().__init__(
            "pdff",
            "Adapt the network of the fat fraction to the stored multi-echo MRI; needs no labels",
            pdff_adaptation.adapt_to_site,
            pdff_adaptation.settle,
            CONFIG,
            runner,
            published,
            datastore,
        )
