"""The trainers of ``nafld`` and of the generators of its synthetic images."""

from __future__ import annotations

from functools import partial

from ..datastore import LiverDatastore
from ..published import PublishedWeights
from . import generator_training, nafld_training
from .base import Trainer
from .runner import TrainingRunner

CONFIG = {
    "steps": 300,
    "device": ["auto", "cpu", "cuda"],
    "augment": list(nafld_training.AUGMENT),
    "mixing_rate": 0.0,
    "resume": True,
}
"""What Slicer's module shows; the numbers are the method's own."""
GENERATOR_CONFIG = {"device": ["auto", "cpu", "cuda"], "resume": True}
TITLES = {
    "ldm_semantic": "the semantic-map latent diffusion model",
    "ldm_class": "the class latent diffusion model",
    "stacked_gan": "the stacked GAN",
}
"""Kind of generator -> its name in sentences."""


class NafldTrainer(Trainer):
    """Trains the classifier of fatty liver on stored ultrasound cases with an answer."""

    def __init__(self, runner: TrainingRunner, published: PublishedWeights, datastore: LiverDatastore):
        super().__init__(
            "nafld",
            "Train the model of fatty liver on the stored ultrasound cases whose answer is known",
            nafld_training.train_at_site,
            nafld_training.settle,
            CONFIG,
            runner,
            published,
            datastore,
            extra_options=("steps", "augment", "mixing_rate", "generator_steps"),
        )


class GeneratorTrainer(Trainer):
    """Trains a generator of B-mode images; its images are for trainings, never a patient's."""

    used_from = "the next training of nafld on"

    def __init__(self, kind: str, runner: TrainingRunner, published: PublishedWeights, datastore: LiverDatastore):
        super().__init__(
            kind,
            f"Train {TITLES[kind]} on the stored ultrasound cases whose answer to nafld is known",
            partial(generator_training.train_at_site, kind),
            partial(generator_training.settle, kind),
            GENERATOR_CONFIG,
            runner,
            published,
            datastore,
            extra_options=("steps",),
        )
