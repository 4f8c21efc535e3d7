"""Does adapting AI-DEAL to unlabelled scans leave less of another patient's signal unexplained?

Leave one patient out over the five public cases: the networks are adapted to the other four, one of which the training
itself holds out to decide on publishing, and then answer the case that was left out. Its unexplained signal is the root
mean square of what the one-shot answer leaves, as a fraction of the signal, over the tissue. Nothing is chosen on the
case that was left out: epochs and rates are fixed before, and the last weights count, published or not. What
Gauss-Newton leaves from the unadapted answer is given beside: noise and what the model cannot explain, no network can.
The change of PDFF is that of the median over voxels brighter than a tenth of the brightest.

The cases differ in anatomy, field strength and protocol; no site's scans do. The data is found through LIVERLABEL_DATA;
docs/data.md says where it comes from.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from common import show
from real_cases import CASES, body_of
from side_by_side import in_processes, methods_at_hand

from liver_models.io.reading import read_study
from liver_models.mri.adaptation import SPECTRUM, AdaptOptions, ResolvedStudy, adapt, unexplained_signal
from liver_models.mri.ai_deal import AiDeal
from liver_models.mri.ai_deal_networks import ARCHITECTURE
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import assumed_r2_star
from liver_models.mri.least_squares import gauss_newton
from liver_models.mri.noise import signal_energy
from liver_models.mri.pdff import estimate
from liver_models.mri.pdff_methods import AI_DEAL_REFINEMENTS
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.slice_problem import slice_problems
from liver_models.weights import load_weights, pretrained_path

QUESTION = "Does adapting to unlabelled scans help on another patient?"
PDFF_METHODS = ("ai_deal", "ai_deal_one_shot")


def leave_out(job):
    """Adapt to the other cases and look at one."""
    held_out, epochs, seed = job
    folder = Path(os.environ["LIVERLABEL_DATA"]) / "mri"
    studies = {name: read_study(folder / f"{name}.mat").with_fields(patient_id=name) for name in CASES}
    study = studies.pop(held_out)
    start = load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE)
    options = AdaptOptions(epochs=epochs, seed=seed, device="cpu")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as checkpoint:
        result = adapt(list(studies.values()), start=start, folder=Path(checkpoint), options=options)
    seconds = time.perf_counter() - started
    resolved = ResolvedStudy.of(study)
    before, after = (unexplained_signal(AiDeal(weights), [resolved]) for weights in (start, result.weights))
    return {
        "held_out_case": held_out,
        "unexplained_percent_before": round(100 * before, 4),
        "unexplained_percent_after": round(100 * after, 4),
        "unexplained_percent_by_gauss_newton": round(100 * left_by_gauss_newton(AiDeal(start), resolved), 4),
        "relative_change_percent": round(100 * (after / before - 1), 3),
        "is_improved": after < before,
        "n_training_slices": result.n_training_slices,
        "validation_percent_before": round(100 * result.validation_before, 4),
        "validation_percent_after": round(100 * result.validation_after, 4),
        "would_be_published": result.is_better,
        "median_pdff": {method: pdff_change(method, study, start, result.weights) for method in PDFF_METHODS},
        "seconds_to_adapt": round(seconds, 1),
    }


def left_by_gauss_newton(ai_deal, resolved):
    """What the refined answer leaves of a study, measured as :func:`unexplained_signal` does."""
    times, b0 = resolved.echo_times_s, resolved.field_strength_t
    basis = design_matrix(times, b0, get_spectrum(SPECTRUM))
    fixed, shares = assumed_r2_star(times, b0), []
    for problem in slice_problems(resolved.study, basis, resolved.noise_std**2, fixed):
        if problem.mask.any():
            found = ai_deal.answer(problem)
            start = found.field_map_hz, found.r2_star_per_s, AI_DEAL_REFINEMENTS
            fit = gauss_newton(problem.voxels, times, basis, *start, fixed_r2_star=fixed is not None)
            shares.append(np.clip(fit.residual / signal_energy(problem.voxels), 0, 1))
    return float(np.sqrt(np.concatenate(shares).mean()))


def pdff_change(method, study, start, adapted):
    """Median PDFF of the body before and after, and how far single voxels move."""
    before, after = (estimate(study, method=method, network=weights) for weights in (start, adapted))
    both = body_of(study.signal) & before.valid_mask & after.valid_mask
    old, new = before.pdff_percent[both], after.pdff_percent[both]
    return {
        "before_percent": round(float(np.median(old)), 3),
        "change_points": round(float(np.median(new) - np.median(old)), 3),
        "median_absolute_change_points": round(float(np.median(np.abs(new - old))), 3),
        "change_by_more_than_25_points_percent": round(100 * float((np.abs(new - old) > 25).mean()), 3),
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="left out in turn")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if "LIVERLABEL_DATA" not in os.environ:
        raise SystemExit("Set LIVERLABEL_DATA to the folder that holds mri/ismrm2012_12.mat and others (docs/data.md).")
    if not methods_at_hand([ARCHITECTURE])[0]:
        show(QUESTION, {"methods": {ARCHITECTURE: "no weights"}})
        return
    jobs = [(name, arguments.epochs, arguments.seed) for name in arguments.cases]
    cases = list(in_processes(leave_out, jobs, arguments.processes, lambda job: job[0]))
    change = [case["relative_change_percent"] for case in cases]
    summary = {
        "n_cases": len(cases),
        "n_improved": sum(case["is_improved"] for case in cases),
        "not_improved": [case["held_out_case"] for case in cases if not case["is_improved"]],
        "mean_relative_change_percent": round(float(np.mean(change)), 3),
        "must_reach": {"less is unexplained, mean over the cases that were left out": float(np.mean(change)) < 0},
    }
    show(QUESTION, {"summary": summary, "cases": cases})


if __name__ == "__main__":
    main()
