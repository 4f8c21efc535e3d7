"""What the training process does for ``liver_roi``: learn from the regions that readers stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX
from liver_models.io.regions import region_path
from liver_models.weights import load_weights, pretrained_path

from ..region_job import ARCHITECTURE
from ..verification import check_label
from .job import Progress, Trained, TrainingRequest
from .site_cases import usable

if TYPE_CHECKING:
    from liver_models.segmentation.region_image import RegionExample

METRIC = "Dice of held-out patients"
"""What decides on publishing: patients that neither set of weights learnt from at this site."""
SETTINGS = ("epochs", "max_minutes", "seed", "device", "validation_fraction", "processes")
"""Settings of a training that are passed on."""
MIN_PATIENTS = 6
"""Outlined patients of one kind: four to learn from, two held out."""


def settle(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a training where some are named.

    Raises:
        UnsuitableInputError: a value out of its range.
    """
    found = asdict(_options(options))
    return {key: found[key] for key in SETTINGS} | {"from_scratch": not found["is_warm_start"]}


def _options(options: dict[str, Any]):
    from liver_models.segmentation.region_options import RegionOptions

    named = {key: value for key, value in options.items() if key != "from_scratch"}
    return RegionOptions(**{"device": "auto", **named}, is_warm_start=not options.get("from_scratch", False))


def train_at_site(request: TrainingRequest, progress: Progress) -> Trained:
    """Train on the stored regions and compare with the weights in use.

    Raises:
        UnsuitableInputError: too few outlined patients, a named case or the weights in use cannot be used.
    """
    from liver_models.learning.splits import split_by_patient
    from liver_models.segmentation.region_training import train_region

    start = load_weights(request.start or pretrained_path(ARCHITECTURE), ARCHITECTURE)
    options = _options(dict(request.options))
    examples = outlined(request.sources, request.is_every_case_needed, progress)
    kinds = {e.kind: {o.patient_id for o in examples if o.kind == e.kind} for e in examples}
    kept = [kind for kind, patients in kinds.items() if len(patients) >= MIN_PATIENTS]
    if not kept:
        found = " and ".join(f"{len(patients)} with {kind} images" for kind, patients in kinds.items())
        raise UnsuitableInputError(
            f"Training needs outlines of {MIN_PATIENTS} patients of one kind of image, some to hold out; found {found}."
            " Outline more cases."
        )
    learnt, held_out = [], []
    for kind in kept:
        mine = [example for example in examples if example.kind == kind]
        share = max(options.validation_fraction, 2 / len(kinds[kind]))
        shares = {"training": 1 - share, "held out": share}
        parts = split_by_patient([e.patient_id for e in mine], shares, options.seed)
        learnt += [mine[k] for k in parts["training"]]
        held_out += [mine[k] for k in parts["held out"]]
    before = mean_dice(start, held_out)
    weights = train_region(
        learnt, options, start=start, folder=request.folder, progress=lambda told: progress(asdict(told))
    )
    after = mean_dice(weights, held_out)
    weights.card["compared_with"] = start.card.get("version")
    weights.card["held_out"] = {"metric": METRIC, "before": round(before, 6), "after": round(after, 6)}
    facts = {
        "n_cases": len({example.case_id for example in examples}),
        "is_simulated": any(example.is_simulated for example in examples),
        "n_training_subjects": len({example.patient_id for example in learnt}),
        "n_held_out_subjects": len({example.patient_id for example in held_out}),
    }
    return Trained(weights, METRIC, before, after, after > before, facts)


def mean_dice(weights, examples: list[RegionExample]) -> float:
    """Mean over the patients of the mean over their images that show the liver; 0 for kinds the weights lack."""
    import numpy as np
    from liver_models.segmentation.region_model import RegionModel
    from liver_models.learning.overlap import dice

    model, found = RegionModel(weights), {}
    for example in examples:
        if example.region.any():
            is_known = example.kind in model.networks
            value = dice(model.propose(example.image, example.kind).region, example.region) if is_known else 0.0
            found.setdefault(example.patient_id, []).append(value)
    return float(np.mean([np.mean(values) for values in found.values()]))


def outlined(
    sources: tuple[Path, ...], is_every_case_needed: bool, progress: Callable[[dict], None]
) -> list[RegionExample]:
    """The images of the cases that have a region; of named cases each needs one.

    Raises:
        UnsuitableInputError: a named case cannot be used, or there is none.
    """
    from liver_models.segmentation.region_reading import read_region, read_region_case

    def read(source: Path) -> list[RegionExample]:
        path = region_path(source.parent, source.name.removesuffix(CASE_SUFFIX))
        if path is None:
            raise UnsuitableInputError(
                f"Training needs the region of a case; '{source.name}' has none under the tag final. Store one."
            )
        check_label(path)
        case = read_region_case(source)
        examples = case.examples(read_region(path, case))
        return [example for example in examples if case.view is None or example.region.any()]

    what, advice = "stored cases with a region", "Outline the liver in some."
    return usable(sources, is_every_case_needed, progress, read, what, advice)
