"""The methods that :func:`.pdff.estimate` can be asked for; each turns a study into estimates of its slices."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np

from ..errors import UnsuitableInputError
from ..weights import Weights
from .field_map import n_steps, solve_field
from .slice_estimates import SliceEstimate, one_shot, refined
from .slice_problem import SliceProblem, slice_problems

GRAPH_CUT_REFINEMENTS = 8
"""Gauss-Newton steps from a refined minimum of the residual."""
AI_DEAL_REFINEMENTS = 5
"""Gauss-Newton steps from the networks' answer."""
MAX_SLICES_AT_ONCE = 4
"""Slices estimated side by side at most; each takes some 40 MB."""


class Method(Protocol):
    """What every method can do."""

    warnings: list[str]

    def n_steps(self, n_slices: int) -> int:
        """How often :meth:`solve` calls ``on_slice``."""

    def solve(self, study, basis, variance, fixed_r2_star_per_s, on_slice) -> Iterator[SliceEstimate]:
        """Estimate every slice.

        Args:
            study: In the model's sign of precession, without odd/even phase.
            basis: [1, a(t)], shape (n_echoes, 2).
            variance: Of the noise of a real channel.
            fixed_r2_star_per_s: R2* when it is not estimated.
            on_slice: Called after each slice.
        """

    def settings(self, fallback_fraction: float) -> dict:
        """What the result's settings say of the method; JSON-ready."""


def _side_by_side(solve: Callable[[SliceProblem], SliceEstimate], problems, n_slices) -> Iterator[SliceEstimate]:
    """Slices in order, as many at once as there are cores: that is faster than sharing the cores within a slice."""
    import torch
    from threadpoolctl import threadpool_limits

    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n_workers = min(n_cores, MAX_SLICES_AT_ONCE, n_slices)
    if n_workers == 1:
        yield from map(solve, problems)
        return
    n_threads = torch.get_num_threads()
    executor = ThreadPoolExecutor(n_workers, thread_name_prefix="liverlabel-slice")
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1, "blas"):
            yield from executor.map(solve, problems)
    finally:
        executor.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)


def make_method(method: str, network: Weights | None, study, options) -> Method:
    """The method of that name.

    Raises:
        UnsuitableInputError: the weights are not the method's, or it cannot take this study or these options.
    """
    if method == "graph_cut":
        return GraphCut(options)
    if method in ("ai_deal", "ai_deal_one_shot"):
        return AiDealMethod(network, options, is_refined=method == "ai_deal")
    return Compared(method, network, study, options)


class GraphCut:
    """Every basin by graph cuts, then Gauss-Newton: the reference."""

    def __init__(self, options):
        self.options, self.warnings = options, []

    def n_steps(self, n_slices):
        """See :class:`Method`."""
        return n_steps(n_slices)

    def solve(self, study, basis, variance, fixed_r2_star_per_s, on_slice):
        """See :class:`Method`."""
        starts = solve_field(study, basis, variance, fixed_r2_star_per_s, on_slice)
        common = study.echo_times_s, study.field_strength_t, basis, variance, fixed_r2_star_per_s
        for z, start in enumerate(starts):
            problem = SliceProblem(study.signal[..., z], start.mask, *common)
            yield refined(problem, start.field_map_hz, start.r2_star_per_s, GRAPH_CUT_REFINEMENTS, self.options.fit)

    def settings(self, fallback_fraction):
        """See :class:`Method`."""
        return {}


class AiDealMethod:
    """The networks' answer, checked for swaps; refined on the physics, or as it is."""

    def __init__(self, network, options, is_refined):
        from .ai_deal import AiDeal

        if not is_refined and options.fit != "complex":
            raise UnsuitableInputError(
                f"The method ai_deal_one_shot needs the fit complex; found {options.fit!r}. Take the method ai_deal."
            )
        self.ai_deal, self.options, self.is_refined = AiDeal(network), options, is_refined
        self.warnings: list[str] = []

    def n_steps(self, n_slices):
        """See :class:`Method`."""
        return n_slices

    def solve(self, study, basis, variance, fixed_r2_star_per_s, on_slice):
        """See :class:`Method`."""
        problems = slice_problems(study, basis, variance, fixed_r2_star_per_s)
        for found in _side_by_side(self._solve_slice, problems, study.signal.shape[3]):
            yield found
            on_slice()

    def _solve_slice(self, problem):
        from .swap_safety import check_field

        if not problem.mask.any():
            return SliceEstimate(problem.mask, {})
        answer = self.ai_deal.answer(problem)
        judge = partial(self.ai_deal.swap_probability, problem, answer)
        if not self.is_refined:
            return one_shot(problem, answer, self.ai_deal.calibrated_std, judge)
        safe = check_field(answer, problem)
        n_fallback = int(safe.by_fallback.sum())
        start = safe.field_map_hz, safe.r2_star_per_s, AI_DEAL_REFINEMENTS
        return refined(problem, *start, self.options.fit, judge, n_fallback)

    def settings(self, fallback_fraction):
        """See :class:`Method`."""
        card = self.ai_deal.card
        return {
            "network": {
                "architecture": card["architecture"],
                "version": card.get("version"),
                "trained_on": card.get("trained_on"),
                "is_trained_on_simulated_data": card.get("is_trained_on_simulated_data"),
            },
            "fallback_fraction": round(fallback_fraction, 5),
        }


class Compared:
    """A network that learned from labels; it states no uncertainty."""

    def __init__(self, method, network, study, options):
        from ..weights import load_weights, pretrained_path
        from .supervised import TITLES, check_protocol

        if options.fit != "complex":
            raise UnsuitableInputError(
                f"The method {method} needs the fit complex; found {options.fit!r}. Take ai_deal or graph_cut."
            )
        self.method, self.spectrum = method, options.spectrum
        self.weights = load_weights(pretrained_path(method), method) if network is None else network
        stated = f"{TITLES[method]} states no uncertainty: its standard deviations are missing, not 0."
        self.warnings = [stated, *check_protocol(study, method, self.weights.card["config"])]

    def n_steps(self, n_slices):
        """See :class:`Method`."""
        return n_slices

    def solve(self, study, basis, variance, fixed_r2_star_per_s, on_slice):
        """See :class:`Method`."""
        from .supervised import estimate_supervised

        found = estimate_supervised(
            study, self.method, self.weights, spectrum=self.spectrum, progress=lambda done, total: on_slice()
        )
        for z, problem in enumerate(slice_problems(study, basis, variance, fixed_r2_star_per_s)):
            inside = problem.mask & np.isfinite(found.pdff_percent[..., z])
            names = ("pdff_percent", "r2_star_per_s", "field_map_hz", "water", "fat")
            values = {name: getattr(found, name)[..., z][inside] for name in names}
            yield SliceEstimate(inside, values, n_tissue=int(inside.sum()))

    def settings(self, fallback_fraction):
        """See :class:`Method`."""
        return {"network": {"architecture": self.method, "trained_on": self.weights.card.get("trained_on")}}
