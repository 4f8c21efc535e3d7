"""What every generator of B-mode images shares: how it is trained, kept, and asked for images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.training_progress import TrainingProgress
from ..ultrasound.frames import FrameSet, apply_crops, centre_cut, draw_crops
from ..weights import Weights
from .kinds import KINDS, draws_cuts

_MODULES = {"ldm_semantic": "latent_diffusion", "ldm_class": "latent_diffusion", "stacked_gan": "stacked_gan"}
"""Kind -> module that trains and loads it, imported when it is first needed."""


class Generator(Protocol):
    """A trained generator, bound to the patients it saw."""

    kind: str
    """Of :data:`KINDS`."""
    side: int
    """Rows, and columns, of its images."""
    training_patients: tuple[str, ...]
    """Everybody whose images it saw, sorted."""
    is_trained_on_simulated_data: bool
    """Whether any of those was computed."""

    def sampler(self) -> Mapping[str, Any]:
        """How images are drawn, JSON-ready: what a manifest says."""

    def sample(
        self,
        is_fatty: np.ndarray,
        seed: int,
        *,
        first: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Draw images.

        Args:
            is_fatty: Which class each image is to be of, shape (n,), bool.
            seed: Of the set.
            first: Number of the first image in the set: image k depends on the seed and k only.
            progress: Called with steps done and steps in all; it may raise to stop.
        Returns:
            Shape (n, side, side), uint8.
        """


def check_kind(kind: str) -> str:
    """The kind, if it is one.

    Raises:
        UnsuitableInputError: it is none.
    """
    if kind not in KINDS:
        raise UnsuitableInputError(f"A generator needs to be one of {', '.join(KINDS)}; found {kind!r}.")
    return kind


def check_frames(frames: FrameSet, least_patients: int = 2) -> None:
    """Refuse frames that a generator of both classes cannot learn from.

    Raises:
        UnsuitableInputError: an empty class, or too few patients of one.
    """
    counts = {
        name: len({patient for patient, one in zip(frames.patient_ids, frames.is_fatty, strict=True) if one == value})
        for name, value in (("healthy", False), ("fatty", True))
    }
    if min(counts.values()) < least_patients:
        raise UnsuitableInputError(
            f"A generator needs frames of at least {least_patients} patients of each class; found {counts['healthy']} "
            f"healthy and {counts['fatty']} fatty. Add patients of the class that lacks."
        )


def frames_as_made(frames: FrameSet, kind: str, side: int, seed: int) -> FrameSet:
    """Real frames as images of a kind show them, to judge the two side by side.

    Diffusion models learn from random crops and draw such; the stacked GAN learns from whole frames.

    Args:
        frames: Prepared.
        kind: Of generator.
        side: Of its images.
        seed: Of the crops.
    """
    if not draws_cuts(kind):
        return replace(frames, images=centre_cut(frames.images, side))
    crops = draw_crops(len(frames), np.random.default_rng([seed, len(frames)]))
    return replace(frames, images=apply_crops(frames.images, crops, side))


def train_generator(
    kind: str,
    frames: FrameSet,
    options: Any,
    *,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Weights:
    """Train a generator on the training frames of one fold, to which it is bound from then on.

    Args:
        kind: Of :data:`KINDS`.
        frames: Of the fold's training patients only.
        options: Of the kind; see its module.
        folder: Keeps a checkpoint; called again with the same input it goes on from there.
        progress: Called before the first and after each epoch; it may raise to stop.
    Returns:
        Weights whose card names the training patients.
    Raises:
        UnsuitableInputError: an unknown kind, or frames or options that it cannot use.
    """
    check_frames(frames)
    module = import_module(f".{_MODULES[check_kind(kind)]}", __package__)
    return module.train(kind, frames, options, folder=folder, progress=progress)


def load_generator(weights: Weights) -> Generator:
    """The generator of trained weights.

    Raises:
        UnsuitableInputError: weights of something else, or a card or tensors that do not fit.
    """
    kind = weights.card.get("config", {}).get("kind")
    if kind not in KINDS:
        raise UnsuitableInputError(
            f"A generator needs weights whose card names one of {', '.join(KINDS)}; these are of "
            f"'{weights.card.get('architecture')}'. Give a generator's weights."
        )
    return import_module(f".{_MODULES[kind]}", __package__).load(weights)
