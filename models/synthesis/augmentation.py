"""Synthetic images for one training of the classifier of fatty liver: by a generator bound to that training's fold.

1. Whoever calibrates the classifier is set aside by its own rule; a generator learns from the others only, or one that
   is given has to have seen nobody else.
2. As many images as the training mixes in are drawn, of both classes in the shares of the real frames.

Everything lies in the training's work folder, beside its checkpoint: stopped anywhere, the same call goes on.
Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnsuitableInputError

if TYPE_CHECKING:
    from ..learning.training_progress import TrainingProgress
    from ..ultrasound.frames import FrameSet
    from ..ultrasound.nafld_options import NafldOptions
    from ..weights import Weights

GENERATOR = "generator.safetensors"
"""In the work folder: the generator that is drawn from, trained for this training or given to it."""
CHECKPOINTS = "generator"
"""In the work folder: the folder of its own training."""
IMAGES = "synthetic"
"""In the work folder: the set of the drawn images."""
PLAN = "augmentation.json"
"""In the work folder: what was begun there."""
METRIC = "images drawn"
NOT_BOUND = ("device", "max_minutes", "cache")
"""Options of a generator's training that its result does not depend on."""


@dataclass(frozen=True)
class Drawn:
    """Synthetic images and where they come from."""

    images: FrameSet
    """Of the side that networks see."""
    seen_patients: tuple[str, ...]
    """Whose images the generator saw."""
    note: Mapping[str, Any]
    """For the card and the reply, JSON-ready: kind, whether it was trained for this training, digest, version."""


def generator_options(kind: str, **named: Any) -> Any:
    """Options of a generator's training where some are named; ``steps`` is of every network that it trains.

    Raises:
        UnsuitableInputError: a value out of its range.
    """
    named = {key: value for key, value in named.items() if value is not None}
    if kind == "stacked_gan":
        from .gan_options import STEPS_PER_ROUND, GanOptions

        options = GanOptions(**named)
        if options.steps is None or options.steps_per_round is not None:
            return options
        return replace(options, steps_per_round=min(STEPS_PER_ROUND[options.size], options.steps))
    from .ldm_options import LdmOptions

    options = LdmOptions(**named)
    if options.steps is None or options.autoencoder_steps is not None:
        return options
    standard = options.configuration(kind).autoencoder.steps
    return replace(options, autoencoder_steps=min(standard, options.steps))


def architecture_of(kind: str) -> str:
    """What the card of a generator names."""
    return "stacked_gan" if kind == "stacked_gan" else "ldm"


def check_generator(
    weights: Weights,
    kind: str,
    size: str,
    fold_patients: Collection[str],
    held_out_patients: Collection[str],
    what: str = "The generator's images",
) -> None:
    """Refuse a generator that a training may not draw from.

    Args:
        weights: Its.
        kind: That was asked for.
        size: Of the classifier's frames.
        fold_patients: Who is learnt from.
        held_out_patients: Who calibrates or is reported on.
        what: Subject of the sentences.
    Raises:
        UnsuitableInputError: of another kind or size, or one that saw anybody else.
    """
    from ..io.synthetic_set import check_fold
    from ..ultrasound.frames import sides_of
    from .generator import load_generator

    generator = load_generator(weights)
    if generator.kind != kind:
        raise UnsuitableInputError(f"A generator {kind} is needed; found one of {generator.kind}. Give another.")
    side = sides_of(size)[1]
    if generator.side != side:
        raise UnsuitableInputError(
            f"{what} need {side} pixels a side at the size '{size}'; they have {generator.side}. Train a generator of "
            "this size."
        )
    check_fold(generator.training_patients, fold_patients, held_out_patients, what)


def begun(folder: Path) -> tuple[bool, Weights | None]:
    """Whether drawing for a training was begun in a work folder, and the generator that was given to it, if any.

    Raises:
        UnsuitableInputError: what is kept there was damaged.
    """
    from ..weights import load_weights

    plan = _plan_in(folder)
    if plan is None:
        return False, None
    return True, load_weights(folder / GENERATOR) if plan.get("generator_sha256") else None


def draw_images(
    kind: str,
    frames: FrameSet,
    options: NafldOptions,
    folder: Path,
    *,
    generator: Weights | None = None,
    training: Any = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Drawn:
    """As many images as a training of the classifier mixes in.

    Args:
        kind: Of generator.
        frames: That the classifier is trained with: those it learns from and those that calibrate it.
        options: Of its training; the seed is the images', too.
        folder: Work folder of the training.
        generator: Trained already, on patients of these who do not calibrate; None: one is trained here.
        training: Options of the new generator's training; None: :func:`generator_options` of the same size, seed and
            device.
        progress: Told the stage; it may raise to stop.
    Raises:
        UnsuitableInputError: frames that neither training can use, a mixing rate of 0, a generator of another kind,
            size or fold, a folder in which something else was begun, or a disk that is full.
    """
    from ..learning.training_progress import TrainingProgress
    from ..ultrasound.nafld_mixing import n_mixed, read_synthetic
    from ..ultrasound.nafld_training import check_training_frames, training_parts
    from ..weights import save_weights
    from .generator import check_kind, load_generator
    from .synthesise import synthesise

    check_kind(kind)
    check_training_frames(frames, options)
    is_new = generator is None
    seen = () if is_new else load_generator(generator).training_patients
    learnt, checked = (frames.subset(part) for part in training_parts(frames, options, seen))
    n = n_mixed(len(learnt), options.mixing_rate)
    if n < 1:
        raise UnsuitableInputError(
            f"Synthetic images need a mixing rate above 0; found {options.mixing_rate:g}. Raise it, or draw none."
        )
    if not is_new:
        check_generator(generator, kind, options.size, learnt.patients, checked.patients)
    elif training is None:
        training = generator_options(kind, size=options.size, seed=options.seed, device=options.device)
    tell = _within(options.max_minutes, progress)
    _begin(folder, kind, frames, options, generator, training)
    if is_new:
        generator = _trained(kind, learnt, training, folder, tell)
    elif not (folder / GENERATOR).exists():
        save_weights(folder / GENERATOR, generator.tensors, generator.card)

    def told(n_drawn: int, n_all: int) -> None:
        tell(TrainingProgress(f"drawing images of {kind}", n_drawn, n_all, None, None, METRIC, None))

    n_fatty = round(n * float(learnt.is_fatty.mean()))
    manifest = synthesise(generator, n - n_fatty, n_fatty, options.seed, folder / IMAGES, progress=told)
    note = {"kind": kind, "is_new": is_new, "sha256": manifest.generator_sha256}
    note["version"] = generator.card.get("version")
    return Drawn(read_synthetic([folder / IMAGES])[0], manifest.training_patients, note)


def _within(max_minutes: float | None, progress) -> Callable[[TrainingProgress], None]:
    """What is told of progress, until the time is over."""
    started = time.monotonic()

    def tell(told: TrainingProgress) -> None:
        if progress:
            progress(told)
        if max_minutes is not None and time.monotonic() - started > 60 * max_minutes:
            raise UnsuitableInputError(
                "The time is over before all synthetic images were drawn; what was made is kept. Start it again to go "
                "on."
            )

    return tell


def _trained(kind, learnt: FrameSet, training, folder: Path, tell) -> Weights:
    """A generator for this training alone, kept beside its checkpoint."""
    from ..weights import load_weights, save_weights
    from .generator import train_generator

    own = folder / GENERATOR
    if own.exists():
        return load_weights(own, architecture_of(kind))
    weights = train_generator(
        kind,
        learnt,
        training,
        folder=folder / CHECKPOINTS,
        progress=lambda told: tell(replace(told, stage=f"{kind}, {told.stage}")),
    )
    save_weights(own, weights.tensors, weights.card)
    return weights


def _plan_in(folder: Path) -> dict | None:
    from ..io.files import read_bytes

    path = folder / PLAN
    if not path.exists():
        return None
    try:
        plan = json.loads(read_bytes(path).decode("utf-8"))
    except ValueError:
        plan = None
    if not isinstance(plan, dict):
        raise UnsuitableInputError(
            f"'{PLAN}' needs to be as it was written; it cannot be read. Remove the folder '{folder.name}' and start "
            "again."
        )
    return plan


def _begin(folder: Path, kind, frames: FrameSet, options, generator, training) -> None:
    """Say what is begun, or check that it is what was begun."""
    from ..io.files import write_atomically
    from ..weights import digest_of_weights

    plan = {
        "kind": kind,
        "frames": frames.digest(),
        "mixing_rate": options.mixing_rate,
        "mode": options.mode,
        "seed": options.seed,
        "validation_fraction": options.validation_fraction,
        "generator_sha256": None if generator is None else digest_of_weights(generator),
        "training": None,
    }
    if generator is None:
        plan["training"] = {key: value for key, value in asdict(training).items() if key not in NOT_BOUND}
    plan = json.loads(json.dumps(plan))
    found = _plan_in(folder)
    if found is None:
        write_atomically(folder / PLAN, (json.dumps(plan, indent=1) + "\n").encode("utf-8"))
    elif found != plan:
        other = next((key for key in plan if found.get(key) != plan[key]), "content")
        raise UnsuitableInputError(
            "Going on needs the same generator, options and cases; what was begun in "
            f"'{folder.name}' has another {other.replace('_', ' ')}. Begin in a new folder, or remove it."
        )
