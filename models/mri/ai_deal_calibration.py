"""How far AI-DEAL's stated uncertainties hold on simulated slices it was not trained on, and the corrections."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..learning.calibration import StdCalibration, auroc
from ..units import ppm_to_hz
from ..weights import Weights
from .ai_deal import AiDeal, weighted_least_squares
from .fat_spectra import get_spectrum
from .field_candidates import assumed_r2_star
from .least_squares import fat_fraction, gauss_newton
from .noise import signal_energy, tissue_mask
from .signal_model import design_matrix
from .slice_problem import SliceProblem
from .swap_safety import SwapModel, check_field, swap_signs, wrapped
from .training_slices import SPECTRUM

SWAP_PDFF_POINTS, SWAP_FIELD_PPM = 25.0, 1.0
"""A voxel is swapped if both its fat fraction and its field are off by more."""
MAX_R2_STAR_OF_THREE_ECHOES = 90.0
"""With three echoes R2* is assumed; voxels above this, 1/s at 1.5 T, break the assumption, which the result says."""
VOXELS_A_SLICE = 1500
"""Voxels kept of each slice for the deviation."""
MAX_PLAIN_RATIO = 2.0
"""Residual of a refined voxel over that of noise up to which its deviation is calibrated on it; edges leave more."""
REFINEMENTS = 5
"""Gauss-Newton steps before a refined voxel is judged."""


@dataclass(frozen=True)
class JudgedSlice:
    """Tissue voxels of a simulated slice against its truth; arrays of shape (n_voxels,)."""

    one_shot_error: np.ndarray
    """PDFF of the one-shot answer minus the truth, points."""
    one_shot_std: np.ndarray
    """Its stated deviation before calibration, points."""
    signs: np.ndarray
    """Signs of a swap after check and refinement, shape (3, n_voxels)."""
    is_swapped: np.ndarray
    """Whether it is in the wrong basin then."""
    is_plain: np.ndarray
    """Whether the model fits it to within the noise, as in the inside of an organ."""


def judge(ai_deal: AiDeal, slice_) -> JudgedSlice | None:
    """Answer a :class:`.training_slices.TrainingSlice` and compare; None without tissue."""
    times, b0 = slice_.echo_times_s, slice_.field_strength_t
    basis = design_matrix(times, b0, get_spectrum(SPECTRUM))
    variance = slice_.noise_std**2
    mask = tissue_mask(signal_energy(slice_.signal), variance, times.size) & slice_.body_mask
    fixed = assumed_r2_star(times, b0)
    if fixed is not None:
        mask &= slice_.r2_star_per_s < MAX_R2_STAR_OF_THREE_ECHOES * b0 / 1.5
    if not mask.any():
        return None
    problem = SliceProblem(slice_.signal, mask, times, b0, basis, variance, fixed)
    total = (slice_.water + slice_.fat)[mask]
    truth = 100 * slice_.fat[mask] / np.where(total > 0, total, np.nan)
    answer = ai_deal.answer(problem)
    safe = check_field(answer, problem)
    fit, spread = weighted_least_squares(problem.voxels, times, basis, answer, variance)
    error = 100 * fat_fraction(fit.water, fit.fat) - truth
    start = safe.field_map_hz, safe.r2_star_per_s, REFINEMENTS
    refined = gauss_newton(problem.voxels, times, basis, *start, fixed_r2_star=fixed is not None)

    off_hz = np.abs(wrapped(refined.field_map_hz - slice_.field_map_hz[mask], problem.period_hz))
    off_points = np.abs(100 * fat_fraction(refined.water, refined.fat) - truth)
    is_swapped = (off_points > SWAP_PDFF_POINTS) & (off_hz > ppm_to_hz(SWAP_FIELD_PPM, b0))
    return JudgedSlice(
        one_shot_error=error,
        one_shot_std=100 * spread.pdff_std,
        signs=swap_signs(problem, answer.hypotheses, refined.field_map_hz, refined.r2_star_per_s),
        is_swapped=is_swapped,
        is_plain=~is_swapped & (refined.residual < MAX_PLAIN_RATIO * variance * max(problem.n_freedom, 1)),
    )


def calibrate(tensors: dict, card: dict, bank, n_draws: int = 160, seed: int = 0, progress=None) -> dict:
    """Corrections for the card.

    Args:
        tensors: Of the networks.
        card: With their config.
        bank: A :class:`.training_slices.SliceBank` of anatomies that were not trained on.
        n_draws: Slices acquired from it.
        seed: Of the draws.
        progress: Called as progress(done, total).
    Returns:
        "one_shot_std" and "swap", with what they were fitted on; JSON-ready.
    """
    ai_deal = AiDeal(Weights(tensors, {k: v for k, v in card.items() if k != "calibration"}))
    rng = np.random.default_rng([seed, 3])
    judged, errors, stds = _judged(ai_deal, bank, ["any"] * n_draws, rng, progress)
    signs = np.concatenate([j.signs for j in judged], axis=1)
    is_swapped = np.concatenate([j.is_swapped for j in judged])
    model = SwapModel.fit(signs, is_swapped)
    return {
        "one_shot_std": StdCalibration.fit(stds, errors).to_json(),
        "swap": asdict(model),
        "fitted_on": {
            "data": "simulated slices that were not trained on, of all protocols and up to 450/s of R2* at 1.5 T",
            "draws": n_draws,
            "voxels": int(is_swapped.size),
            "swapped_percent": round(100 * float(is_swapped.mean()), 4),
            "slices_with_more_than_5_percent_swapped": int(sum(j.is_swapped.mean() > 0.05 for j in judged)),
            "auroc_of_swap_probability": round(auroc(model.log_odds(signs), is_swapped), 4),
        },
    }


def recalibrate_one_shot(tensors: dict, card: dict, bank, protocols, n_draws: int, seed: int = 0) -> dict:
    """The card's calibration for networks that were trained further: new for one-shot deviations, as it was for swaps.

    The signs of a swap are those of hypotheses and of refined answers, which do not change with the networks.

    Args:
        tensors: Of the networks.
        card: With their config, and the calibration of those they came from, if there is one.
        bank: A :class:`.training_slices.SliceBank` of anatomies that were not trained on.
        protocols: Field strength in tesla and echo times in seconds of each scan trained on; they are taken in turn.
        n_draws: Slices acquired.
        seed: Of the draws.
    Returns:
        JSON-ready; without "one_shot_std" when ``n_draws`` is 0: then none is claimed.
    """
    known = {key: value for key, value in card.get("calibration", {}).items() if key != "one_shot_std"}
    if not n_draws:
        return known
    ai_deal = AiDeal(Weights(tensors, {k: v for k, v in card.items() if k != "calibration"}))
    chosen = [protocols[k % len(protocols)] for k in range(n_draws)]
    _, errors, stds = _judged(ai_deal, bank, chosen, np.random.default_rng([seed, 4]))
    fitted_on = {
        "data": "simulated slices, acquired as the scans adapted to",
        "draws": n_draws,
        "voxels": int(stds.size),
    }
    fitted = StdCalibration.fit(stds, errors).to_json()
    return known | {"one_shot_std": fitted, "one_shot_std_fitted_on": fitted_on}


def _judged(ai_deal, bank, protocols, rng, progress=None):
    """Judged slices, and one-shot errors and deviations of some plain voxels of each."""
    judged, errors, stds = [], [], []
    for k, protocol in enumerate(protocols):
        found = judge(ai_deal, bank.draw(rng, protocol))
        if found is not None:
            kept = rng.permutation(np.flatnonzero(found.is_plain))[:VOXELS_A_SLICE]
            errors.append(found.one_shot_error[kept])
            stds.append(found.one_shot_std[kept])
            judged.append(found)
        if progress:
            progress(k + 1, len(protocols))
    return judged, np.concatenate(errors), np.concatenate(stds)
