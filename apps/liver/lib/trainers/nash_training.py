"""What the training process does for ``fibrotic_nash``: learn from the cases whose answer a reader has stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX
from liver_models.io.class_label import class_label_path
from liver_models.weights import load_weights, pretrained_path

from ..nash_job import ARCHITECTURE
from ..verification import check_label
from .job import Progress, Trained, TrainingRequest
from .site_cases import usable

if TYPE_CHECKING:
    from liver_models.ultrasound.subject import UltrasoundSubject

METRIC = "negative log-likelihood of held-out patients"
"""What decides on publishing: patients that neither set of weights learnt from at this site."""
SETTINGS = ("epochs", "max_minutes", "seed", "device", "validation_fraction")
"""Settings of a training that are passed on."""
MIN_HELD_OUT = 4
"""Held-out subjects, both classes among them, without which nothing can be compared."""


def settle(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a training where some are named.

    Raises:
        UnsuitableInputError: a value out of its range.
    """
    from liver_models.ultrasound.fusion_options import EPOCHS, FusionOptions

    found = asdict(FusionOptions(**options))
    return {key: found[key] for key in SETTINGS} | {"epochs": found["epochs"] or EPOCHS[found["size"]]}


def train_at_site(request: TrainingRequest, progress: Progress) -> Trained:
    """Train the combined model on the stored cases and compare it with the weights in use.

    Raises:
        UnsuitableInputError: too few labelled cases, a named case or the weights in use cannot be used.
    """
    import numpy as np
    from liver_models.learning.splits import split_by_patient
    from liver_models.ultrasound.fusion import predict_logits
    from liver_models.ultrasound.fusion_options import FusionOptions
    from liver_models.ultrasound.fusion_training import train_fusion

    start = load_weights(request.start or pretrained_path(ARCHITECTURE), ARCHITECTURE)
    options = FusionOptions(**{"device": "auto", **request.options})
    subjects = labelled_subjects(request.sources, request.is_every_case_needed, progress)
    labels = [bool(subject.is_fibrotic_nash) for subject in subjects]
    patients = [subject.patient_id for subject in subjects]
    shares = {"training": 1 - options.validation_fraction, "held out": options.validation_fraction}
    parts = split_by_patient(patients, shares, options.seed, labels)
    learnt, held_out = ([subjects[k] for k in parts[name]] for name in shares)
    truth = np.array([bool(subject.is_fibrotic_nash) for subject in held_out])
    if len(truth) < MIN_HELD_OUT or truth.all() or not truth.any():
        raise UnsuitableInputError(
            f"Training holds patients out to decide on publishing, at least {MIN_HELD_OUT} of both classes; found "
            f"{int(truth.sum())} with fibrotic NASH of {len(truth)}. Label more cases."
        )

    def loss(weights) -> float:
        logits = predict_logits(held_out, weights)
        return float(np.logaddexp(0, np.where(truth, -1, 1) * logits).mean())

    before = loss(start)
    weights = train_fusion(
        learnt,
        options,
        folder=request.folder,
        progress=lambda told: progress(asdict(told)),
    )
    after = loss(weights)
    weights.card["started_from"] = "nothing"
    weights.card["compared_with"] = start.card.get("version")
    weights.card["held_out"] = {"metric": METRIC, "before": round(before, 6), "after": round(after, 6), "n": len(truth)}
    facts = {
        "n_cases": len(subjects),
        "is_simulated": any(subject.is_simulated for subject in subjects),
        "n_training_subjects": len(learnt),
        "n_held_out_subjects": len(held_out),
    }
    return Trained(weights, METRIC, before, after, after < before, facts)


def labelled_subjects(
    sources: tuple[Path, ...], is_every_case_needed: bool, progress: Callable[[dict], None]
) -> list[UltrasoundSubject]:
    """Read the cases with ultrasound and a stored answer; of named cases each needs both.

    Raises:
        UnsuitableInputError: a named case cannot be used, or there is none.
    """
    from liver_models.ultrasound.reading import read_subject

    def read(source: Path) -> list[UltrasoundSubject]:
        check_label(class_label_path(source.parent, source.name.removesuffix(CASE_SUFFIX)))
        subject = read_subject(source)
        if subject.is_fibrotic_nash is None:
            raise UnsuitableInputError(
                f"Training needs the answer of a case; '{source.name}' has no label under the tag final. Store one."
            )
        return [subject]

    what, advice = "stored cases with ultrasound and an answer", "Answer some."
    return usable(sources, is_every_case_needed, progress, read, what, advice)
