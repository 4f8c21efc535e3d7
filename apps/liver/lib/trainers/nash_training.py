"""What the training process does for ``fibrotic_nash``: learn from the cases whose answer a reader has stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from liver_models.weights import load_weights, pretrained_path

from ..nash_job import ARCHITECTURE
from .answered_cases import ADVICE, ANSWERED, METRIC, hold_out, log_loss, read_answered
from .job import Progress, Trained, TrainingRequest
from .site_cases import usable

SETTINGS = ("epochs", "max_minutes", "seed", "device", "validation_fraction")
"""Settings of a training that are passed on."""


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
    from liver_models.ultrasound.fusion import predict_logits
    from liver_models.ultrasound.fusion_options import FusionOptions
    from liver_models.ultrasound.fusion_training import train_fusion

    start = load_weights(request.start or pretrained_path(ARCHITECTURE), ARCHITECTURE)
    options = FusionOptions(**{"device": "auto", **request.options})
    subjects = usable(
        request.sources,
        request.is_every_case_needed,
        progress,
        lambda source: [read_answered(source, "fibrotic_nash", "is_fibrotic_nash")],
        ANSWERED,
        ADVICE,
    )
    labels = [bool(subject.is_fibrotic_nash) for subject in subjects]
    patients = [subject.patient_id for subject in subjects]
    parts = hold_out(patients, labels, options.validation_fraction, options.seed, "with fibrotic NASH")
    learnt, held_out = ([subjects[k] for k in part] for part in parts)
    truth = np.array(labels)[parts[1]]

    def loss(weights) -> float:
        return log_loss(predict_logits(held_out, weights), truth)

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
