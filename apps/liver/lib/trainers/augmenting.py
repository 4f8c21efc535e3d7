"""Synthetic images for a training of ``nafld``: by this site's generator where it fits the split, else by a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError
from liver_models.weights import Weights, load_weights, save_weights

from ..published import PublishedWeights
from .job import Progress, TrainingRequest
from .nafld_cases import NafldCases

if TYPE_CHECKING:
    from liver_models.ultrasound.frames import FrameSet
    from liver_models.ultrasound.nafld_options import NafldOptions

GENERATOR = "generator.safetensors"
"""Beside the checkpoint: a generator that was trained for this training, kept while that may go on."""
IMAGES = "synthetic"
"""Beside the checkpoint: the folder of the drawn images. They go with the checkpoint and are never a case."""


@dataclass(frozen=True)
class Drawn:
    """Synthetic images and where they come from."""

    images: FrameSet
    """Of the side that networks see."""
    seen_patients: tuple[str, ...]
    """Whose images the generator saw."""
    note: Mapping[str, Any]
    """For the card and the reply, JSON-ready."""


def generator_options(kind: str, **named: Any) -> Any:
    """Options of a generator's training where some are named; ``steps`` is of every network that it trains.

    Raises:
        UnsuitableInputError: a value out of its range.
    """
    named = {key: value for key, value in named.items() if value is not None}
    if kind == "stacked_gan":
        from liver_models.synthesis.gan_options import STEPS_PER_ROUND, GanOptions

        if "steps" in named:
            named["steps_per_round"] = min(STEPS_PER_ROUND[named.get("size", "small")], named["steps"])
        return GanOptions(**named)
    from liver_models.synthesis.ldm_options import LdmOptions

    if "steps" in named:
        standard = LdmOptions(size=named.get("size", "small")).configuration(kind).autoencoder.steps
        named["autoencoder_steps"] = min(standard, named["steps"])
    return LdmOptions(**named)


def architecture_of(kind: str) -> str:
    """What the card of a generator names."""
    return "stacked_gan" if kind == "stacked_gan" else "ldm"


def draw_images(
    kind: str,
    cases: NafldCases,
    options: NafldOptions,
    request: TrainingRequest,
    steps: int | None,
    progress: Progress,
) -> Drawn:
    """As many images as a training mixes in, of both classes in the shares of the real ones.

    The published generator is taken if it saw nobody but those whom a generator may see in this split, and makes images
    of the right size; else one is trained, for this training alone, and why is told.

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
    from liver_models.io.synthetic_set import read_images
    from liver_models.synthesis.generator import load_generator
    from liver_models.synthesis.synthesise import synthesise
    from liver_models.ultrasound.frames import FrameSet
    from liver_models.ultrasound.nafld_mixing import n_mixed
    from liver_models.ultrasound.nafld_training import training_parts

    own = request.folder / GENERATOR
    weights, note = (load_weights(own), {}) if own.exists() else _published(kind, cases, request, options.size)
    if weights is None:
        weights = _trained(kind, cases, options, request, steps, progress)
    note = {"kind": kind, "is_new": own.exists(), **note}
    learnt = training_parts(cases.learnt, options, load_generator(weights).training_patients)[0]
    n = n_mixed(learnt.size, options.mixing_rate)
    n_fatty = round(n * float(cases.learnt.is_fatty[learnt].mean()))
    folder = request.folder / IMAGES

    def told(n_drawn: int, n_all: int) -> None:
        progress({"stage": f"drawing images of {kind}", "epoch": n_drawn, "n_epochs": n_all})

    manifest = synthesise(weights, n - n_fatty, n_fatty, options.seed, folder, progress=told)
    images = FrameSet(
        read_images(manifest, folder),
        _answers(manifest),
        ("synthetic",) * len(manifest.images),
        tuple(one.file for one in manifest.images),
        manifest.is_trained_on_simulated_data,
    )
    note |= {"sha256": manifest.generator_sha256, "version": weights.card.get("version")}
    return Drawn(images, manifest.training_patients, note)


def _answers(manifest):
    import numpy as np

    return np.array([one.is_fatty for one in manifest.images], bool)


def _published(kind: str, cases: NafldCases, request: TrainingRequest, size: str) -> tuple[Weights | None, dict]:
    """This site's generator if it fits, and why not."""
    from liver_models.io.synthetic_set import check_fold
    from liver_models.synthesis.generator import load_generator
    from liver_models.ultrasound.frames import sides_of

    weights = PublishedWeights(request.models / kind, architecture_of(kind)).load() if request.models else None
    if weights is None:
        return None, {"why_new": f"No generator {kind} is published here."}
    generator = load_generator(weights)
    if generator.side != sides_of(size)[1]:
        return None, {"why_new": f"The published generator's images have {generator.side} pixels a side."}
    allowed = cases.for_generators.patients
    others = (cases.learnt.patients | cases.held_out.patients) - allowed
    try:
        check_fold(generator.training_patients, allowed, others, "The published generator's images")
    except UnsuitableInputError as error:
        return None, {"why_new": str(error)}
    return weights, {}


def _trained(
    kind: str,
    cases: NafldCases,
    options: NafldOptions,
    request: TrainingRequest,
    steps: int | None,
    progress: Progress,
) -> Weights:
    """A generator for this training alone, kept beside its checkpoint."""
    from liver_models.synthesis.generator import train_generator

    named = {"size": options.size, "seed": options.seed, "device": options.device, "steps": steps}
    weights = train_generator(
        kind,
        cases.for_generators,
        generator_options(kind, **named),
        folder=request.folder / "generator",
        progress=lambda told: progress({**asdict(told), "stage": f"{kind}, {told.stage}"}),
    )
    save_weights(request.folder / GENERATOR, weights.tensors, weights.card)
    return weights
