"""What the training process does for a generator: learn from the patients that a classifier's training may see.

The split is that of ``nafld``: patients who are held out there, or calibrate there, are not seen here. Images are drawn
to be judged, in memory; no image of a generator is stored, and none is a case.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.augmentation import architecture_of, generator_options
from liver_models.weights import load_weights

from .job import Progress, Trained, TrainingRequest
from .nafld_cases import NafldCases, read_nafld_cases

if TYPE_CHECKING:
    from liver_models.synthesis.fidelity import Fidelity
    from liver_models.weights import Weights

METRIC = "KID of synthetic images to unseen patients"
"""What is measured: the distance of features of random filters; the same of real images is its floor.

The unseen patients are those that calibrate a classifier: those that decide on publishing one have no part in this.
"""
N_JUDGED = 100
"""Images that are drawn to be judged."""


def settle(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a training where some are named.

    Raises:
        UnsuitableInputError: a value out of its range, or one that this training does not know.
    """
    for key in ("epochs", "max_minutes"):
        if options.get(key) is not None:
            raise UnsuitableInputError(f"The training of a generator counts steps; found {key}. Name steps instead.")
    split = _split(options)
    generator_options(kind, **{key: options.get(key) for key in ("steps", "seed", "device")})
    return {
        "steps": options.get("steps"),
        "seed": split.seed,
        "device": split.device,
        "validation_fraction": split.validation_fraction,
    }


def _split(options: dict[str, Any]):
    from liver_models.ultrasound.nafld_options import NafldOptions

    kept = ("seed", "device", "validation_fraction")
    return NafldOptions(**{"device": "auto", **{k: options[k] for k in kept if options.get(k) is not None}})


def train_at_site(kind: str, request: TrainingRequest, progress: Progress) -> Trained:
    """Train a generator on the stored cases and judge its images beside real ones.

    It is published if it beats the one in use; or, where none is in use that may be compared, unless its images repeat
    one another.

    Raises:
        UnsuitableInputError: too few answered cases, or a named case cannot be used.
    """
    from liver_models.synthesis.generator import train_generator

    settings = dict(request.options)
    split = _split(settings)
    cases = read_nafld_cases(request, split, progress)
    named = {"size": split.size, "steps": settings["steps"], "seed": split.seed, "device": split.device}
    weights = train_generator(
        kind,
        cases.for_generators,
        generator_options(kind, **named),
        folder=request.folder,
        progress=lambda told: progress(asdict(told)),
    )
    found = _judged(weights, cases, split.seed, progress)
    after, floor = found.synthetic_at_floor_size.kid.value, found.floor.kid.value
    former, why_none = _former(kind, request, cases)
    before = None
    if former is not None:
        before = _judged(former, cases, split.seed, progress).synthetic_at_floor_size.kid.value
    weights.card["judged"] = {
        "metric": METRIC,
        "network": found.network,
        "value": round(after, 6),
        "of_real_images": round(floor, 6),
        "n_images": found.synthetic_at_floor_size.n_images,
        "is_collapsed": found.is_collapsed,
    }
    seen = cases.for_generators.patients
    facts = {**cases.facts, "n_training_subjects": len(seen), "metric_of_real_images": round(floor, 6)}
    facts |= {"is_collapsed": found.is_collapsed}
    measured = f"{METRIC} {after:.4g}, of real images {floor:.4g}"
    if found.is_collapsed:
        return Trained(weights, METRIC, before, after, False, facts, f"The images repeat one another: {measured}.")
    if before is None:
        return Trained(weights, METRIC, None, after, True, facts, f"{measured[:1].upper()}{measured[1:]}. {why_none}")
    return Trained(weights, METRIC, before, after, after < before, facts)


def _former(kind: str, request: TrainingRequest, cases: NafldCases) -> tuple[Weights | None, str]:
    """The generator in use, if it may be compared, and why not."""
    from liver_models.io.synthetic_set import check_fold
    from liver_models.synthesis.generator import load_generator

    if request.start is None:
        return None, "No generator was in use."
    former = load_weights(request.start, architecture_of(kind))
    try:
        check_fold(load_generator(former).training_patients, cases.for_generators.patients, ())
    except UnsuitableInputError:
        return None, "The one in use saw patients that may not be seen in this split, and was not compared."
    return former, ""


def _judged(weights: Weights, cases: NafldCases, seed: int, progress: Progress) -> Fidelity:
    """Images of both classes in the shares of the real ones, beside frames of patients that were not seen."""
    import numpy as np
    from liver_models.synthesis.features import small_network
    from liver_models.synthesis.fidelity import judge_fidelity
    from liver_models.synthesis.generator import frames_as_made, load_generator

    generator = load_generator(weights)
    parts = (cases.for_generators, cases.calibrating)
    real = [frames_as_made(frames, generator.kind, generator.side, seed) for frames in parts]
    n = min(N_JUDGED, len(cases.for_generators))
    is_fatty = np.arange(n) < round(n * float(cases.for_generators.is_fatty.mean()))

    def told(n_done: int, n_all: int) -> None:
        progress({"stage": "drawing images to judge", "epoch": n_done, "n_epochs": n_all})

    images = generator.sample(is_fatty, seed, progress=told)
    return judge_fidelity(images, *real, small_network(), seed=seed)
