"""Synthetic images for a training of ``nafld``: by this site's generator where it fits the split, else by a new one."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis import augmentation

from ..published import PublishedWeights
from .job import Progress, TrainingRequest
from .nafld_cases import NafldCases

if TYPE_CHECKING:
    from liver_models.ultrasound.nafld_options import NafldOptions
    from liver_models.weights import Weights


def draw_images(
    kind: str,
    cases: NafldCases,
    options: NafldOptions,
    request: TrainingRequest,
    steps: int | None,
    progress: Progress,
) -> augmentation.Drawn:
    """As many images as a training mixes in, of both classes in the shares of the real ones.

    The published generator is taken if it saw nobody but those whom a generator may see in this split, and makes images
    of the right size; else one is trained, for this training alone, and why is told. A training that was begun keeps
    its generator, whatever is published since.

    Args:
        kind: Of generator.
        cases: The split.
        options: Of the training; its seed is the generator's, too.
        request: Its folder keeps what was made; its ``models`` holds published generators.
        steps: Of the training of a new generator; None: its own.
        progress: Told the stage.
    Raises:
        UnsuitableInputError: too few frames to train a generator, or the disk is full.
    """
    is_begun, weights = augmentation.begun(request.folder)
    why = {}
    if not is_begun:
        weights, why = _published(kind, cases, request, options.size)
    named = {"size": options.size, "seed": options.seed, "device": options.device, "steps": steps}
    drawn = augmentation.draw_images(
        kind,
        cases.learnt,
        options,
        request.folder,
        generator=weights,
        training=augmentation.generator_options(kind, **named),
        progress=lambda told: progress(asdict(told)),
    )
    return replace(drawn, note={**drawn.note, **why})


def _published(kind: str, cases: NafldCases, request: TrainingRequest, size: str) -> tuple[Weights | None, dict]:
    """This site's generator if it fits, and why not."""
    published = PublishedWeights(request.models / kind, augmentation.architecture_of(kind)) if request.models else None
    weights = published.load() if published else None
    if weights is None:
        return None, {"why_new": f"No generator {kind} is published here."}
    allowed = cases.for_generators.patients
    others = (cases.learnt.patients | cases.held_out.patients) - allowed
    try:
        augmentation.check_generator(weights, kind, size, allowed, others, "The published generator's images")
    except UnsuitableInputError as error:
        return None, {"why_new": error.unnamed}
    return weights, {}
