"""Which units the experiment on NAFLD consists of."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from ...learning.splits import cross_validation
from ...ultrasound.frames import FrameSet
from ..gan_options import GanOptions
from ..ldm_options import LdmOptions
from .options import GEOMETRIC, REAL, Arm, NafldExperimentOptions, arms_of
from .units import Unit, in_order

POOL = {"small": 0, "paper": 2000}
"""Images that are drawn a fold; more where the highest rate asks for them."""
SPARE = 2.0
"""Times as many are drawn when some are to be left out by the filter."""


@dataclass(frozen=True)
class NafldPlan:
    """The units by what they are to the tables."""

    classifiers: dict[tuple[Arm, int, int], Unit]
    """(arm, seed, fold) -> training."""
    judges: dict[tuple[str, int], Unit]
    """(kind, fold) -> how good its images are."""
    forests: dict[int, Unit]
    """Fold -> scores of texture and forest."""
    explanation: Unit | None
    """What a network of the leading data looks at."""
    folds: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Training and held-out frames."""

    @property
    def units(self) -> list[Unit]:
        """All, with what they need; those that tell most come first."""
        wanted = [*self.classifiers.values(), *self.judges.values(), *self.forests.values()]
        return in_order([*wanted, *([self.explanation] if self.explanation else [])])


def plan_nafld(options: NafldExperimentOptions, frames: FrameSet) -> NafldPlan:
    """Lay down every unit.

    Args:
        options: What is compared.
        frames: The cohort's.
    Raises:
        UnsuitableInputError: fewer patients of a class than folds, or options that a part does not know.
    """
    folds = cross_validation(frames.patient_ids, options.n_folds, options.seed, [bool(one) for one in frames.is_fatty])
    arms = arms_of(options)
    sets = {
        (kind, fold): _set(kind, fold, options, frames, folds[fold][0], arms)
        for kind in options.kinds
        for fold in range(options.n_folds)
    }
    classifiers = {
        (arm, seed, fold): _classifier(arm, seed, fold, options, sets)
        for fold in range(options.n_folds)
        for arm, seeds in arms.items()
        for seed in seeds
    }
    first = Arm(REAL, 0.0, options.all_models[0], options.all_variants[0])
    judges = {
        (kind, fold): Unit(
            "judge",
            f"{kind}_fold{fold}",
            {"split": _split(options, fold), "seed": options.seed, "n_resamples": options.n_resamples},
            {"images": sets[kind, fold], "classifier": classifiers[first, options.all_seeds[0], fold]},
        )
        for kind, fold in sets
    }
    forests = {
        fold: Unit("forest", f"fold{fold}", {"split": _split(options, fold), "seed": options.seed})
        for fold in range(options.n_folds)
    }
    return NafldPlan(classifiers, judges, forests, _explanation(options, sets, classifiers), folds)


def _split(options, fold) -> list:
    return ["folds", options.n_folds, options.seed, fold]


def _set(kind, fold, options, frames, train, arms) -> Unit:
    """The images of one generator, filtered if asked for."""
    highest = max((arm.rate for arm in arms if arm.data == kind), default=0.0)
    counts = Counter(bool(frames.is_fatty[k]) for k in train)
    n_all = max(round(highest * len(train)), POOL[options.size])
    wanted = {answer: max(round(n_all * counts[answer] / len(train)), 1) for answer in (False, True)}
    times = SPARE if options.is_filtered else 1.0
    generator = _generator(kind, fold, options)
    drawn = Unit(
        "draw",
        f"{kind}_fold{fold}",
        {
            "split": _split(options, fold),
            "n_healthy": round(times * wanted[False]),
            "n_fatty": round(times * wanted[True]),
            "seed": options.seed,
            "device": options.device,
            "sampler": options.sampler_of(kind),
        },
        {"generator": generator},
    )
    if not options.is_filtered:
        return drawn
    params = {"n_healthy": wanted[False], "n_fatty": wanted[True], "split": _split(options, fold)}
    return Unit("filter", f"{kind}_fold{fold}", params, {"images": drawn})


def _generator(kind, fold, options) -> Unit:
    """A generator; diffusion models of one fold share an autoencoder of the same shape."""
    own, needs = options.generator_of(kind), {}
    common = {"split": _split(options, fold), "size": options.size, "seed": options.seed, "device": options.device}
    if kind == "stacked_gan":
        GanOptions(size=options.size, **own)
    else:
        asked = LdmOptions(size=options.size, **own)
        if asked.autoencoder is None:
            shape = asdict(asked.configuration(kind).autoencoder)
            place = f"{shape['latent_channels']}x{shape['factor']}_fold{fold}"
            needs["autoencoder"] = Unit("autoencoder", place, {**common, "shape": shape})
    return Unit("generator", f"{kind}_fold{fold}", {**common, "kind": kind, "options": own}, needs)


def _classifier(arm: Arm, seed: int, fold: int, options, sets) -> Unit:
    is_first = seed == options.all_seeds[0] and arm.variant == options.all_variants[0]
    params = {
        "split": _split(options, fold),
        "model": arm.model,
        "variant": arm.variant,
        "data": REAL if arm.data == REAL else GEOMETRIC if arm.data == GEOMETRIC else "images",
        "rate": arm.rate,
        "seed": seed,
        "size": options.size,
        "device": options.device,
        "options": options.classifier,
        "imagenet": options.imagenet.get(arm.model),
        "is_kept": is_first and (arm.data == REAL or (arm.data == options.leading and arm.rate == options.main_rate)),
    }
    needs = {} if arm.data in (REAL, GEOMETRIC) else {"images": sets[arm.data, fold]}
    return Unit("classifier", f"{arm.name}_fold{fold}_seed{seed}", params, needs)


def _explanation(options, sets, classifiers) -> Unit | None:
    if options.leading not in options.kinds or not options.main_rate:
        return None
    arm = Arm(options.leading, options.main_rate, options.all_models[0], options.all_variants[0])
    needs = {"images": sets[options.leading, 0], "classifier": classifiers[arm, options.all_seeds[0], 0]}
    return Unit("explanation", f"{arm.name}", {"split": _split(options, 0), "n_of_class": 2}, needs)
