"""Training of the networks that outline the liver, from what readers saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import UnsuitableInputError
from ..learning.overlap import dice
from ..learning.splits import split_by_patient
from ..learning.training_progress import TrainingProgress
from ..weights import Weights
from .region_fit import Fit
from .region_image import RegionExample, Square
from .region_model import agreement_of, member_probabilities, quality_line, tensors_of
from .region_network import build_network
from .region_options import ARCHITECTURE, CHANNELS, KINDS, SIZE, RegionOptions

MIN_PATIENTS = 4
"""Patients with a region, of one kind of image, without which that kind is not trained."""


def train_region(
    examples: Sequence[RegionExample],
    options: RegionOptions,
    *,
    start: Weights | None = None,
    validation: Sequence[RegionExample] | None = None,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Weights:
    """Train a network for each kind of image that has regions enough; the others stay as in ``start``.

    Args:
        examples: With the reader's regions.
        options: See :class:`.RegionOptions`.
        start: Weights to go on from, if ``options.is_warm_start``, and to keep other kinds from.
        validation: Images that stop the training instead of patients of ``examples``.
        folder: Keeps checkpoints; called again with the same input it goes on from there.
        progress: Called before the first and after each epoch; it may raise to stop.
    Returns:
        Weights of :data:`.region_options.ARCHITECTURE`, with their card.
    Raises:
        UnsuitableInputError: no region, too few patients, or no time for all epochs.
    """
    examples = list(examples)
    kinds = trainable_kinds(examples)
    tensors = dict(start.tensors) if start is not None else {}
    told = dict(start.card["config"]["kinds"]) if start is not None else {}
    trained = {}
    for kind in kinds:
        mine = [example for example in examples if example.kind == kind]
        learnt, checked = _parts(mine, validation, kind, options)
        old = tensors_of(start, kind) if start is not None and options.is_warm_start else None
        state, told[kind], trained[kind] = _trained(kind, learnt, checked, options, old or None, folder, progress)
        tensors |= {f"{kind}/{name}": value for name, value in state.items()}
    n_simulated = sum(example.is_simulated for example in examples)
    n_cases = len({example.case_id for example in examples})
    sort = "simulated images only" if n_simulated == len(examples) else f"{n_simulated} of them simulated"
    card = {
        "name": "Outline of the liver",
        "architecture": ARCHITECTURE,
        "config": {"channels": list(CHANNELS), "size": SIZE, "kinds": told},
        "version": __version__,
        "trained_on": f"{len(examples)} images of {n_cases} cases, {sort}",
        "is_trained_on_simulated_data": n_simulated > 0,
        "trained": trained,
        "options": {k: v for k, v in asdict(options).items() if k not in ("device", "max_minutes", "processes")},
        "started_from": start.card.get("version") if start is not None and options.is_warm_start else "nothing",
        "use": "Research tool, not a medical device. A proposal that a reader checks and corrects.",
    }
    return Weights(tensors, card)


def trainable_kinds(examples: Sequence[RegionExample]) -> list[str]:
    """Kinds with regions of :data:`MIN_PATIENTS` patients.

    Raises:
        UnsuitableInputError: there is none.
    """
    if examples and not any(example.region.any() for example in examples):
        raise UnsuitableInputError(
            "Training needs regions; those of all images are empty. Outline the liver in some cases."
        )
    patients = {
        kind: {example.patient_id for example in examples if example.kind == kind and example.region.any()}
        for kind in KINDS
    }
    kinds = [kind for kind in KINDS if len(patients[kind]) >= MIN_PATIENTS]
    if not kinds:
        found = " and ".join(f"{len(patients[kind])} with {kind} images" for kind in KINDS)
        raise UnsuitableInputError(
            f"Training needs outlines of {MIN_PATIENTS} patients of one kind of image; found {found}. Outline more "
            "cases."
        )
    return kinds


def squares_of(examples: Sequence[RegionExample]) -> tuple[np.ndarray, np.ndarray]:
    """Images and regions as the network reads them, both of shape (n, SIZE, SIZE): float32 and bool."""
    images = np.zeros((len(examples), SIZE, SIZE), np.float32)
    regions = np.zeros((len(examples), SIZE, SIZE), bool)
    for k, example in enumerate(examples):
        square = Square.of(example.image, example.kind)
        images[k] = square.values
        regions[k] = square.placement.to_square(example.region) > 0.5
    return images, regions


def _parts(examples, validation, kind, options):
    if validation is not None:
        return examples, [example for example in validation if example.kind == kind]
    shares = {"training": 1 - options.validation_fraction, "validation": options.validation_fraction}
    patients = [example.patient_id for example in examples]
    parts = split_by_patient(patients, shares, options.seed, [bool(example.region.any()) for example in examples])
    return tuple([examples[k] for k in parts[name]] for name in shares)


def _trained(kind, learnt, checked, options, old, folder, progress):
    """State of the best epoch, what the network is used with, and what the card says besides."""
    counts = {case: sum(e.case_id == case for e in learnt) for case in {e.case_id for e in learnt}}
    weights = np.array([1.0 / counts[example.case_id] for example in learnt])
    sets = squares_of(learnt), squares_of(checked)
    place = None if folder is None else Path(folder) / kind
    if options.processes > 1:
        from .region_processes import train_in_processes

        best, curve = train_in_processes(kind, options, *sets, weights, old, place, progress)
    else:
        best, curve = Fit(kind, options, *sets, weights, old).train(place, progress)
    network = build_network()
    import torch

    network.load_state_dict({name: torch.from_numpy(value) for name, value in best.items()})
    members = member_probabilities(network, sets[1][0], kind)
    dices = np.array([dice(m.mean(axis=0) > 0.5, truth) for m, truth in zip(members, sets[1][1], strict=True)])
    line = quality_line(np.array([agreement_of(m) for m in members]), dices)
    facts = {
        "n_training_images": len(learnt),
        "n_training_patients": len({example.patient_id for example in learnt}),
        "n_validation_images": len(checked),
        "n_validation_patients": len({example.patient_id for example in checked}),
        "validation_dice": round(float(dices.mean()), 4),
        "curve": curve,
    }
    used = {
        "quality": {key: round(value, 5) for key, value in line.items()},
        "is_simulated_only": all(example.is_simulated for example in [*learnt, *checked]),
    }
    return best, used, facts
