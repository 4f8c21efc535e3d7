"""What the training process does for ``nafld``: learn from the frames of answered cases, with others mixed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.kinds import KINDS
from liver_models.synthesis.augmentation import generator_options
from liver_models.weights import Weights, load_weights

from .answered_cases import METRIC, log_loss
from .augmenting import draw_images
from .job import Progress, Trained, TrainingRequest
from .nafld_cases import read_nafld_cases

SETTINGS = ("steps", "max_minutes", "seed", "device", "validation_fraction", "mixing_rate")
"""Settings of a training that are passed on."""
AUGMENT = ("none", "geometric", *KINDS)
"""What can be mixed into the real images."""
MAX_MIXING_RATE = 4.0
MIXING_RATE = 1.0
"""Of those that mix anything in, where none is named."""


def settle(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a training where some are named.

    Raises:
        UnsuitableInputError: a value out of its range.
    """
    augment = options.get("augment", "none")
    if augment not in AUGMENT:
        raise UnsuitableInputError(f"The option augment needs to be one of {', '.join(AUGMENT)}; found {augment!r}.")
    rate = options.get("mixing_rate", 0.0 if augment == "none" else MIXING_RATE)
    if not 0 <= rate <= MAX_MIXING_RATE:
        raise UnsuitableInputError(
            f"The option mixing_rate needs to be 0 to {MAX_MIXING_RATE:g} images for each real one; found {rate:g}."
        )
    if (rate > 0) != (augment != "none"):
        raise UnsuitableInputError(
            f"The options augment and mixing_rate need to fit; found {augment} at the rate {rate:g}. Name what is to "
            "be mixed in and a rate above 0, or leave both out."
        )
    epochs, generator_steps = options.get("epochs"), options.get("generator_steps")
    if epochs is not None and options.get("steps") is not None:
        raise UnsuitableInputError("A training needs epochs or steps; found both. Leave one out.")
    if epochs is not None and not 1 <= epochs <= 10_000:
        raise UnsuitableInputError(f"A training needs epochs from 1 to 10000; found {epochs}.")
    if generator_steps is not None and augment not in KINDS:
        raise UnsuitableInputError(
            f"The option generator_steps needs a generator as augment; found {augment}. Leave it out, or name one of "
            f"{', '.join(KINDS)}."
        )
    if augment in KINDS:
        generator_options(augment, steps=generator_steps)
    found = _options({**options, "mixing_rate": rate})
    settled = {key: getattr(found, key) for key in SETTINGS} | {"augment": augment}
    named = {"epochs": epochs, "generator_steps": generator_steps}
    settled["steps"] = None if epochs is not None else found.n_steps
    return settled | {key: value for key, value in named.items() if value is not None}


def _options(settings: Mapping[str, Any]):
    from liver_models.ultrasound.nafld_options import NafldOptions

    named = {key: settings[key] for key in SETTINGS if settings.get(key) is not None}
    augment = "geometric" if settings.get("augment") == "geometric" else "none"
    return NafldOptions(**{"device": "auto", **named}, augment=augment)


def train_at_site(request: TrainingRequest, progress: Progress) -> Trained:
    """Train on the stored cases and compare with the weights in use.

    With a generator, synthetic images are drawn first: see :func:`.augmenting.draw_images`. Where no weights are in
    use, the new ones have to beat the share of fatty livers among the training patients, given to everybody.

    Raises:
        UnsuitableInputError: too few answered cases, a named case or the weights in use cannot be used.
    """
    from liver_models.ultrasound.nafld import by_patient, predict_logits
    from liver_models.ultrasound.nafld_mixing import n_mixed
    from liver_models.ultrasound.nafld_training import ARCHITECTURE, train_nafld

    from ..nafld_job import weights_in_package

    settings = dict(request.options)
    options = _options(settings)
    start = load_weights(request.start, ARCHITECTURE) if request.start else weights_in_package()
    cases = read_nafld_cases(request, options, progress)
    if settings.get("epochs"):
        n_images = len(cases.for_generators) * (1 + options.mixing_rate)
        steps = max(1, math.ceil(settings["epochs"] * n_images / options.batch_size))
        options = _options({**settings, "steps": steps})
    n, rate = len(cases.for_generators), options.mixing_rate
    if rate > 0 and n_mixed(n, rate) == 0:
        raise UnsuitableInputError(
            f"The mixing_rate {rate:g} of {n} images is none. Name a higher rate, or augment none."
        )
    drawn = None
    if settings["augment"] in KINDS:
        steps = settings.get("generator_steps")
        drawn = draw_images(settings["augment"], cases, options, request, steps, progress)

    def loss(weights: Weights) -> float:
        logits, truth = by_patient(cases.held_out, predict_logits(cases.held_out, weights))[:2]
        return log_loss(logits, truth)

    before = loss(start) if start is not None else _loss_of_share(cases)
    weights = train_nafld(
        cases.learnt,
        options,
        synthetic=drawn.images if drawn else None,
        seen_patients=drawn.seen_patients if drawn else None,
        folder=request.folder,
        progress=lambda told: progress(asdict(told)),
    )
    after = loss(weights)
    card = weights.card
    card["compared_with"] = start.card.get("version") if start else "the share of fatty livers in training"
    n = len(cases.held_out.patients)
    card["held_out"] = {"metric": METRIC, "before": round(before, 6), "after": round(after, 6), "n": n}
    facts = {**cases.facts, "compared_with": card["compared_with"], "n_mixed_in": card["n_mixed_in"]}
    if drawn:
        card["generator"] = facts["generator"] = dict(drawn.note)
    return Trained(weights, METRIC, before, after, after < before, facts)


def _loss_of_share(cases) -> float:
    import numpy as np

    learnt, truth = (
        np.array(list(dict(zip(part.patient_ids, part.is_fatty.tolist(), strict=True)).values()))
        for part in (cases.learnt, cases.held_out)
    )
    share = learnt.mean()
    return log_loss(np.full(truth.size, np.log(share / (1 - share))), truth)
