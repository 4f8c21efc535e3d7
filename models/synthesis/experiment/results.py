"""Every unit of the experiment on NAFLD put together: one out-of-fold answer a frame, seed and way of training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from ...ultrasound.frames import FrameSet
from .options import Arm, NafldExperimentOptions, arms_of
from .plan import NafldPlan
from .statistics import Cohort, Gain, Performance, gain, performance


class NafldResults:
    """What the units say.

    Args:
        frames: The cohort's.
        options: Of the experiment.
        plan: Its units.
        found: Name of a unit -> record and arrays.
        measures: Name -> value of each frame, where regions are known; NaN where it could not be measured.
    """

    def __init__(
        self,
        frames: FrameSet,
        options: NafldExperimentOptions,
        plan: NafldPlan,
        found: Mapping[str, tuple[dict, dict]],
        measures: Mapping[str, np.ndarray],
    ):
        self.frames, self.options, self.plan, self.found = frames, options, plan, found
        self.measures = dict(measures)
        folds = np.zeros(len(frames), int)
        for k, (_, held_out) in enumerate(plan.folds):
            folds[held_out] = k
        self.cohort = Cohort(np.asarray(frames.is_fatty, bool), tuple(frames.patient_ids), folds)
        self.arms = arms_of(options)
        self.logits = {arm: np.stack([self._pooled(arm, seed) for seed in seeds]) for arm, seeds in self.arms.items()}

    @property
    def data(self) -> str:
        """What reports say of the numbers."""
        return "simulated" if self.frames.is_simulated else "measured"

    @property
    def mixed(self) -> list[Arm]:
        """The ways that mix something in."""
        return [arm for arm in self.arms if arm != arm.baseline]

    @property
    def main(self) -> list[Arm]:
        """Those of the first model and variant at the main rate: what is headlined."""
        first, variant = self.options.all_models[0], self.options.all_variants[0]
        return [a for a in self.mixed if (a.model, a.variant, a.rate) == (first, variant, self.options.main_rate)]

    @cached_property
    def performances(self) -> dict[Arm, Performance]:
        """Of every way of training."""
        n, seed = self.options.n_resamples, self.options.seed
        return {arm: performance(logits, self.cohort, n, seed) for arm, logits in self.logits.items()}

    @cached_property
    def gains(self) -> dict[tuple[Arm, str], Gain]:
        """(way, "patient" or "image") -> what it gains over real images only."""
        how = {"n_resamples": self.options.n_resamples, "seed": self.options.seed}
        return {
            (arm, per): gain(self.logits[arm], self.logits[arm.baseline], self.cohort, per=per, **how)
            for arm in self.mixed
            for per in ("patient", "image")
        }

    @cached_property
    def judged(self) -> dict[tuple[str, int], tuple[dict, dict]]:
        """(kind, fold) -> what was found of its images, and pictures."""
        return {key: self.found[unit.name] for key, unit in self.plan.judges.items()}

    @cached_property
    def forest_scores(self) -> np.ndarray:
        """Out-of-fold votes of texture and forest, shape (n_frames,)."""
        scores = np.full(len(self.frames), np.nan)
        for fold, unit in self.plan.forests.items():
            scores[self.plan.folds[fold][1]] = self.found[unit.name][1]["scores"]
        return scores

    def _pooled(self, arm, seed):
        logits = np.full(len(self.frames), np.nan)
        for fold, (_, held_out) in enumerate(self.plan.folds):
            logits[held_out] = self.found[self.plan.classifiers[arm, seed, fold].name][1]["logits"]
        return logits
