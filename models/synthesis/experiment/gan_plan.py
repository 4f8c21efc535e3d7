"""Which units the experiment on the stacked GAN consists of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ...learning.splits import split_by_patient
from ...ultrasound.frames import FrameSet
from ..gan_options import GanOptions
from .gan_options import ORIGINAL, TEST_SHARE, GanExperimentOptions
from .options import REAL
from .units import Unit, in_order

BALANCED_SHARE = 500 / 310
"""Images of each class in the expanded set, for each real image of the larger class: 500 for the paper's 310."""


@dataclass(frozen=True)
class GanPlan:
    """The units by what they are to the tables."""

    classifiers: dict[tuple[str, int], Unit]
    """(variant or original, repeat) -> training."""
    judges: dict[tuple[str, int], Unit]
    """(variant, repeat) -> how good its images are."""
    splits: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Training and tested frames of each repeat."""

    @property
    def units(self) -> list[Unit]:
        """All, with what they need."""
        return in_order([*self.classifiers.values(), *self.judges.values()])


def split_of_repeat(frames: FrameSet, seed: int, repeat: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and tested frames: as many tested patients of each class, none of them trained on.

    Raises:
        UnsuitableInputError: too few patients of a class.
    """
    answers = {patient: bool(answer) for patient, answer in zip(frames.patient_ids, frames.is_fatty, strict=True)}
    n_of = Counter(answers.values())
    n_tested = max(1, round(TEST_SHARE * min(n_of[False], n_of[True]))) if min(n_of[False], n_of[True]) else 0
    tested: list[int] = []
    for answer in (False, True):
        indices = np.flatnonzero(frames.is_fatty == answer)
        share = min(max(n_tested / max(n_of[answer], 1), 1e-9), 1 - 1e-9)
        patients = [frames.patient_ids[k] for k in indices]
        parts = split_by_patient(patients, {"train": 1 - share, "test": share}, 1000 * seed + repeat)
        tested += list(indices[parts["test"]])
    tested = np.sort(np.array(tested, np.intp))
    return np.setdiff1d(np.arange(len(frames)), tested), tested


def plan_gan(options: GanExperimentOptions, frames: FrameSet) -> GanPlan:
    """Lay down every unit.

    Args:
        options: What is compared.
        frames: The cohort's.
    """
    GanOptions(size=options.size, **options.generator_options)
    splits = tuple(split_of_repeat(frames, options.seed, repeat) for repeat in range(options.repeats))
    classifiers, judges = {}, {}
    for repeat, (train, _) in enumerate(splits):
        split = ["repeat", options.seed, repeat]
        counts = Counter(bool(frames.is_fatty[k]) for k in train)
        target = round(BALANCED_SHARE * max(counts.values()))
        added = {answer: max(target - counts[answer], 0) for answer in (False, True)}
        common = {"split": split, "size": options.size, "device": options.device, "seed": options.seed + repeat}
        classifier = {**common, "model": options.network, "options": options.classifier}
        original = Unit(
            "classifier",
            f"{ORIGINAL}_repeat{repeat}",
            {**classifier, "variant": "default", "data": REAL, "rate": 0.0, "is_kept": True},
        )
        classifiers[ORIGINAL, repeat] = original
        for gan in options.gans:
            generator = Unit(
                "generator",
                f"{gan}_repeat{repeat}",
                {**common, "kind": "stacked_gan", "options": {"variant": gan, **options.generator_options}},
            )
            drawn = Unit(
                "draw",
                f"{gan}_repeat{repeat}",
                {
                    "split": split,
                    "n_healthy": max(added[False], options.judged),
                    "n_fatty": max(added[True], options.judged),
                    "seed": options.seed + repeat,
                    "device": options.device,
                    "sampler": {},
                },
                {"generator": generator},
            )
            classifiers[gan, repeat] = Unit(
                "classifier",
                f"{gan}_repeat{repeat}",
                {
                    **classifier,
                    "variant": "default",
                    "data": "images",
                    "n_added": [added[False], added[True]],
                    "is_kept": False,
                },
                {"images": drawn},
            )
            judges[gan, repeat] = Unit(
                "judge",
                f"{gan}_repeat{repeat}",
                {"split": split, "seed": options.seed, "n_resamples": options.n_resamples, "n_judged": options.judged},
                {"images": drawn, "classifier": original},
            )
    return GanPlan(classifiers, judges, splits)
