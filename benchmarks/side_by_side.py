"""What the benchmarks of several methods share: which can run, a slice against its truth, and two processes."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from unittest import mock

import numpy as np

from liver_models.errors import UnsuitableInputError
from liver_models.learning.calibration import coverage
from liver_models.mri import swap_safety
from liver_models.mri.cramer_rao import cramer_rao_bound
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import field_period_hz
from liver_models.mri.maps import PdffMaps
from liver_models.mri.pdff import estimate
from liver_models.mri.swap_safety import wrapped
from liver_models.units import ppm_to_hz
from liver_models.weights import pretrained_path

OURS = ("ai_deal", "ai_deal_one_shot", "graph_cut")
"""The methods that take any protocol."""
COMPARED = ("u_net", "mdwf_net", "vet_net")
"""The networks that learned from labels."""
WITHOUT_FALLBACK = "ai_deal_without_fallback"
"""AI-DEAL whose networks are trusted everywhere."""
TRUST_EVERYTHING = {
    (swap_safety, "MAX_TRUSTED_PROBABILITY"): math.inf,
    (swap_safety, "MAX_TRUSTED_JUMP_PPM"): math.inf,
}
"""Constants with which the fallback never decides."""
LARGE_ERROR_POINTS = 25.0
"""An error of PDFF that a swap makes and noise hardly ever does."""
SWAP_FIELD_PPM = 1.0
"""An error of the field that is not one of the same basin."""


def methods_at_hand(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The methods that can run, and what the JSON says of each: "run", or "no weights"."""
    said = {}
    for name in names:
        try:
            if name != "graph_cut":
                pretrained_path("ai_deal" if name.startswith("ai_deal") else name)
            said[name] = "run"
        except UnsuitableInputError:
            said[name] = "no weights"
    return [name for name, what in said.items() if what == "run"], said


def patched(changes: dict) -> ExitStack:
    """A context in which constants, given as (module, name), have other values."""
    stack = ExitStack()
    for (module, name), value in changes.items():
        stack.enter_context(mock.patch.object(module, name, value))
    return stack


def answer(method: str, study) -> PdffMaps | str:
    """Maps of a study, or the sentence with which the method refuses it."""
    try:
        with patched(TRUST_EVERYTHING if method == WITHOUT_FALLBACK else {}):
            return estimate(study, method="ai_deal" if method == WITHOUT_FALLBACK else method)
    except UnsuitableInputError as error:
        return str(error)


def in_processes(function: Callable, jobs: list, n_processes: int, name: Callable = str) -> Iterator:
    """Results of function(job) in the order of the jobs, computed by processes of one thread each.

    Args:
        function: Of a module that can be imported, so that a fresh process finds it.
        jobs: Its arguments.
        n_processes: At once.
        name: Of a job, told on stderr when it is done.
    """
    # A fresh process reads this before its libraries start their threads.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        for job, result in zip(jobs, pool.map(function, jobs), strict=True):
            print(name(job), file=sys.stderr)
            yield result


@dataclass(frozen=True)
class Judged:
    """Maps of simulated slices against the truth; arrays of shape (x, y, z)."""

    error: np.ndarray
    """PDFF minus its truth, points."""
    known: np.ndarray
    """Where PDFF was estimated."""
    large: np.ndarray
    """Body voxels with an error beyond :data:`LARGE_ERROR_POINTS`."""
    swapped: np.ndarray | None
    """Those of them whose field errs beyond :data:`SWAP_FIELD_PPM`, modulo 1/ΔTE; None if the method gives no field."""


def judge(maps, study, truth) -> Judged:
    """Where the maps err, and where because the basin is wrong."""
    error = maps.pdff_percent - truth.pdff_percent
    known = maps.valid_mask
    large = truth.body_mask & known & (np.abs(error) > LARGE_ERROR_POINTS)
    if not np.isfinite(maps.field_map_hz).any():
        return Judged(error, known, large, None)
    off = wrapped(maps.field_map_hz - truth.field_map_hz, field_period_hz(study.echo_times_s))
    swapped = large & (np.abs(off) > ppm_to_hz(SWAP_FIELD_PPM, study.field_strength_t))
    return Judged(error, known, large, swapped)


@dataclass(frozen=True)
class LiverSlice:
    """One method's answer to one simulated liver."""

    body: int
    """Body voxels."""
    swapped: int | None
    """Swapped body voxels; None if the method gives no field."""
    masked: int
    """Body voxels without an answer."""
    liver_masked: int
    """Liver voxels without an answer."""
    large: int
    """Body voxels with a large error, swapped or not."""
    uncovered: int
    """Swapped voxels and large errors beyond three stated deviations."""
    error: np.ndarray
    """PDFF minus its truth in the liver, shape (n_voxels,), points."""
    std: np.ndarray
    """Its stated deviation, same shape; NaN if the method states none."""
    bound: float
    """Cramér-Rao bound at the liver's mean PDFF and R2*, points."""


def liver_slice(method: str, study, truth, snr: float) -> LiverSlice | str:
    """Answer and compare; the sentence of refusal where the method does not take the study."""
    maps = answer(method, study)
    if isinstance(maps, str):
        return maps
    found = judge(maps, study, truth)
    liver = truth.liver_mask
    bound = cramer_rao_bound(
        float(truth.pdff_percent[liver].mean()) / 100,
        float(truth.r2_star_per_s[liver].mean()),
        study.echo_times_s,
        study.field_strength_t,
        get_spectrum("hamilton_2011"),
        snr,
    )["pdff_std_percent"]
    n_swapped = None if found.swapped is None else int(found.swapped.sum())
    inside = liver & found.known
    return LiverSlice(
        body=int(truth.body_mask.sum()),
        swapped=n_swapped,
        masked=int((truth.body_mask & ~found.known).sum()),
        liver_masked=int((liver & ~found.known).sum()),
        large=int(found.large.sum()),
        uncovered=int((found.large & (np.abs(found.error) > 3 * maps.pdff_std_percent)).sum()),
        error=found.error[inside].astype(np.float32),
        std=maps.pdff_std_percent[inside],
        bound=bound,
    )


def count_swapped(slices: list[LiverSlice]) -> int | None:
    """Swapped body voxels of one method; None if it gives no field."""
    return None if slices[0].swapped is None else sum(s.swapped for s in slices)


def liver_row(slices: list[LiverSlice]) -> dict:
    """Liver figures of one method over a group of slices; JSON-ready.

    Bias is the mean of the slices' mean errors; z is error over stated deviation, pooled over voxels.
    """
    bias = np.array([s.error.mean(dtype=np.float64) for s in slices])
    figures = {
        "n_slices": len(slices),
        "liver_bias_points": round(float(bias.mean()), 4),
        "liver_bias_standard_error": round(float(bias.std(ddof=1) / np.sqrt(bias.size)), 4) if bias.size > 1 else None,
        "mean_absolute_slice_bias_points": round(float(np.abs(bias).mean()), 4),
        "largest_slice_bias_points": round(float(np.abs(bias).max()), 3),
        "std_over_bound": round(float(np.mean([s.error.std() / s.bound for s in slices])), 4),
        "bound_points": round(float(np.mean([s.bound for s in slices])), 3),
    }
    error, std = (np.concatenate([getattr(s, name) for s in slices]) for name in ("error", "std"))
    if not np.isfinite(std).any():
        return figures | {"z_sd": None, "coverage_percent": None}
    return figures | {
        "z_sd": round(float((error / std).std(dtype=np.float64)), 4),
        "coverage_percent": round(100 * coverage(error, std), 2),
    }
