"""Do real public cases come out without regions of swapped water and fat, by each method, and do the methods agree?

Candidates are the regions of at least 20 body pixels (signal > 10 % of the maximum) that a jump of the field cuts off
from the rest. For each, both solutions are fitted from starts 3.4 ppm apart, and their residuals are compared over the
region: freely, and with R2* at least that of tissue, since a swap often fits well with an R2* that no tissue has. A
region counts as swapped if the other solution fits better. Pixels (not regions) where the other one fits better are
counted beside; chance and dephasing are among them. In the hard case ismrm2012_12, boxes inside liver and spleen, which
hold hardly any fat, are checked as well, a swapped region counts as of the liver if it reaches into the liver's boxes,
and the case is run again with each ingredient of the graph cut left out.

AI-DEAL is compared with the graph cut: difference of the medians of PDFF and median of its absolute difference, over
the liver's boxes in the hard case and over the body in the others, which show other anatomy or a phantom.

The data is found through LIVERLABEL_DATA; docs/data.md says where it comes from. With --pictures, one PNG a case is
written; the data may not be redistributed, so keep the pictures to yourself.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from common import show
from real_case_pictures import picture
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from side_by_side import OURS, TRUST_EVERYTHING, methods_at_hand, patched

from liver_models.io.reading import read_study
from liver_models.mri import acquisition, field_candidates, field_map, least_squares
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.noise import signal_energy
from liver_models.mri.pdff import estimate
from liver_models.mri.signal_model import design_matrix
from liver_models.units import ppm_to_hz

HARD_CASE = "ismrm2012_12"
CASES = (HARD_CASE, "ismrm2012_16", "bydder_invivo", "bydder_phantom_16echo_bipolar", "b0nice_99")
WATER_FAT_SHIFT_PPM = 3.4
MIN_PIXELS = 20
BODY_FRACTION = 0.1
LIVER_BOXES = ((40, 120, 45, 95, 0), (40, 110, 40, 95, 1), (50, 105, 50, 95, 2))
"""First and last x and y, and slice, of boxes inside the liver of the hard case."""
SPLEEN_BOXES = ((55, 105, 165, 205, 0), (70, 105, 160, 200, 1))
"""The same for its spleen."""
IN_LIVER = "of_these_that_reach_into_the_liver"
NO_LIMIT = {(field_candidates, "MIN_TISSUE_R2_STAR"): (-200.0, 0.0)}
NO_LOCK = {(field_candidates, "PHASE_LOCK_WEIGHT"): 0.0}
NO_DEPHASING = {(field_candidates, "DEPHASING_ERROR"): 0.0}
NO_COUPLING = {(field_map, "MAX_SLICE_COUPLING"): 0.0}
WITHOUT = {
    "neighbours": {(field_map, "SMOOTHNESS_PER_PPM"): 0.0} | NO_COUPLING,
    "lower limit of R2*": NO_LIMIT,
    "common phase of water and fat": NO_LOCK,
    "dephasing error": NO_DEPHASING,
    "coupling of slices": NO_COUPLING,
    "limit, common phase, dephasing error and coupling": NO_LIMIT | NO_LOCK | NO_DEPHASING | NO_COUPLING,
}


def examine(study, maps, liver=None):
    """Candidate regions of a study and which of them are swapped; with a mask of liver, which reach into it."""
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(maps.spectrum))
    signal = study.signal if maps.settings["precession"]["sign"] == 1 else study.signal.conj()
    if "odd_even_phase" in maps.settings:
        known = maps.settings["odd_even_phase"]
        slope = tuple(known["slope_rad_per_voxel"])
        signal = acquisition.OddEvenPhase(known["offset_rad"], slope, known["residual_ratio"]).remove_from(signal)
    period = field_candidates.field_period_hz(study.echo_times_s)
    shift = ppm_to_hz(WATER_FAT_SHIFT_PPM, study.field_strength_t)
    body = body_of(signal) & maps.valid_mask
    regions, n_better = [], 0
    for z in range(signal.shape[3]):
        mask, field = body[..., z], maps.field_map_hz[..., z]
        start = signal[..., z][:, mask], study, basis, field[mask], maps.r2_star_per_s[..., z][mask], shift
        free = both_residuals(*start, least_squares.MIN_R2_STAR_PER_S)
        tissue = both_residuals(*start, field_candidates.tissue_r2_star_limit(study.field_strength_t))
        n_better += int((free[1] < free[0]).sum())
        labels = regions_between_jumps(field, mask, period, shift)
        for label in range(1, labels.max() + 1):
            region = labels == label
            if region.sum() >= MIN_PIXELS:
                regions.append(
                    {
                        "slice": z,
                        "centre_xy": [round(p) for p in ndimage.center_of_mass(region)],
                        "n_pixels": int(region.sum()),
                        "median_pdff_percent": round(float(np.median(maps.pdff_percent[..., z][region])), 1),
                        "median_pdff_std_percent": round(float(np.median(maps.pdff_std_percent[..., z][region])), 1),
                        "residual_of_other_over_this": _ratio(free, region[mask]),
                        "with_r2_star_of_tissue": _ratio(tissue, region[mask]),
                        **({} if liver is None else {"n_pixels_in_liver": int((region & liver[..., z]).sum())}),
                    }
                )
    swapped = [r for r in regions if r["with_r2_star_of_tissue"] < 1]
    return {
        "body_pixels": int(body.sum()),
        "candidate_regions": len(regions),
        "swapped_regions": sum(r["residual_of_other_over_this"] < 1 for r in regions),
        "swapped_regions_with_r2_star_of_tissue": len(swapped),
        "of_these_with_a_stated_deviation_below_10_points": sum(r["median_pdff_std_percent"] < 10 for r in swapped),
        **({} if liver is None else {IN_LIVER: sum(r["n_pixels_in_liver"] > 0 for r in swapped)}),
        "pixels_where_the_other_fits_better": n_better,
        "regions": sorted(regions, key=lambda r: r["residual_of_other_over_this"]),
    }


def body_of(signal):
    """Voxels brighter than a tenth of the brightest, shape (x, y, z)."""
    brightness = np.sqrt(signal_energy(signal))
    return brightness > BODY_FRACTION * brightness.max()


def _ratio(residuals, members):
    return round(float(residuals[1][members].sum() / residuals[0][members].sum()), 3)


def both_residuals(signal, study, basis, field, r2_star, shift, min_r2_star):
    """Residual from the chosen basin and from the better of the two beside it, each of shape (n_voxels,)."""
    rate = np.clip(r2_star, max(20, min_r2_star), 200)

    def refine(start):
        return least_squares.gauss_newton(
            signal, study.echo_times_s, basis, start, rate, 20, min_r2_star_per_s=min_r2_star
        ).residual

    return refine(field), np.minimum(refine(field - shift), refine(field + shift))


def regions_between_jumps(field, mask, period, shift):
    """Label the parts of a slice between which the field jumps by more than half a swap; 0 for the largest part."""
    jump = 0.5 * abs(_wrap(np.array(shift), period))
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(mask.sum())
    pairs = []
    for axis in (0, 1):
        near, far = (np.take(index, range(k, mask.shape[axis] - 1 + k), axis) for k in (0, 1))
        change = np.abs(_wrap(np.diff(np.where(mask, field, 0), axis=axis), period))
        linked = (near >= 0) & (far >= 0) & (change < jump)
        pairs.append((near[linked], far[linked]))
    first, second = (np.concatenate(part) for part in zip(*pairs, strict=True))
    n = int(mask.sum())
    _, label = connected_components(coo_array((np.ones(first.size), (first, second)), shape=(n, n)), directed=False)
    rank = np.argsort(np.argsort(np.bincount(label))[::-1])
    out = np.zeros(mask.shape, int)
    out[mask] = rank[label]
    return out


def _wrap(difference, period):
    return difference if period is None else difference - period * np.round(difference / period)


def _inside(volume, boxes):
    return np.concatenate([volume[x0:x1, y0:y1, z].ravel() for x0, x1, y0, y1, z in boxes])


def _reads_as_fat_percent(maps, boxes):
    """Share of the voxels of boxes above 50 % PDFF; masked ones count."""
    return round(100 * float((~(_inside(maps.pdff_percent, boxes) < 50)).mean()), 2)


def hard_case_figures(study, maps):
    """What the boxes inside the liver and the spleen of the hard case hold."""
    return {
        **{key: value for key, value in examine(study, maps).items() if isinstance(value, int)},
        "liver_voxels_that_read_as_fat_percent": _reads_as_fat_percent(maps, LIVER_BOXES),
        "spleen_voxels_that_read_as_fat_percent": _reads_as_fat_percent(maps, SPLEEN_BOXES),
        "liver_median_pdff_percent": round(float(np.nanmedian(_inside(maps.pdff_percent, LIVER_BOXES))), 2),
        "liver_median_r2_star_per_s": round(float(np.nanmedian(_inside(maps.r2_star_per_s, LIVER_BOXES))), 1),
    }


def hard_case_without(study, changes, method="graph_cut"):
    """Figures of the hard case with some constants of the method changed."""
    with patched(changes):
        return hard_case_figures(study, estimate(study, method=method))


def compare(maps, reference, where):
    """How far the PDFF of two methods differs, over the voxels that both answer."""
    both = where & maps.valid_mask & reference.valid_mask
    mine, other = maps.pdff_percent[both], reference.pdff_percent[both]
    return {
        "n_voxels": int(both.sum()),
        "median_pdff_percent": round(float(np.median(mine)), 2),
        "difference_of_medians_points": round(float(np.median(mine) - np.median(other)), 3),
        "median_absolute_difference_points": round(float(np.median(np.abs(mine - other))), 3),
        "differ_by_more_than_25_points_percent": round(100 * float((np.abs(mine - other) > 25).mean()), 3),
    }


def what_was_found(maps):
    """Sign of precession, odd/even phase and share of the fallback."""
    phase = maps.settings.get("odd_even_phase")
    return {
        "precession": maps.settings["precession"],
        "odd_even_phase": None if phase is None else {key: phase[key] for key in ("offset_rad", "basis")},
        "decided_by_fallback_percent": _percent(maps.settings.get("fallback_fraction")),
        "median_swap_probability": _finite_median(maps.swap_probability),
        "warnings": list(maps.warnings),
    }


def _percent(fraction):
    return None if fraction is None else round(100 * fraction, 3)


def _finite_median(values):
    values = values[np.isfinite(values)]
    return float(f"{np.median(values):.3g}") if values.size else None


def examine_case(name, study, answers):
    """Figures of one case by each method."""
    liver = None
    if name == HARD_CASE:
        liver = np.zeros(study.signal.shape[1:], bool)
        for x0, x1, y0, y1, z in LIVER_BOXES:
            liver[x0:x1, y0:y1, z] = True
    where = body_of(study.signal) if liver is None else liver
    results = {}
    for method, maps in answers.items():
        results[method] = {**what_was_found(maps), **examine(study, maps, liver)}
        if method != "graph_cut" and "graph_cut" in answers:
            results[method]["against_graph_cut"] = compare(maps, answers["graph_cut"], where)
    return results


def must_be_reached(results):
    """What is asked of AI-DEAL's refined answer in the liver of the hard case."""
    ours = results.get(HARD_CASE, {}).get("ai_deal")
    if ours is None or "against_graph_cut" not in ours:
        return {}
    difference = ours["against_graph_cut"]["difference_of_medians_points"]
    return {
        "no swapped region that reaches into the liver": ours[IN_LIVER] == 0,
        "median PDFF of the liver within 1 point of the graph cut": abs(difference) <= 1,
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--methods", nargs="+", choices=OURS, default=OURS)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write one PNG a case to this folder")
    arguments = parser.parse_args()
    if "LIVERLABEL_DATA" not in os.environ:
        raise SystemExit("Set LIVERLABEL_DATA to the folder that holds mri/ismrm2012_12.mat and others (docs/data.md).")
    folder = Path(os.environ["LIVERLABEL_DATA"]) / "mri"
    methods, said = methods_at_hand(arguments.methods)
    results, without_fallback, hard_case = {}, {}, {}
    for name in arguments.cases:
        study = read_study(folder / f"{name}.mat")
        answers = {method: estimate(study, method=method) for method in methods}
        results[name] = examine_case(name, study, answers)
        if "ai_deal" in methods:
            with patched(TRUST_EVERYTHING):
                found = examine(study, estimate(study, method="ai_deal"))
            without_fallback[name] = {key: value for key, value in found.items() if isinstance(value, int)}
            if arguments.pictures and "graph_cut" in methods:
                picture(name, study, answers, arguments.pictures / f"{name}.png")
        if name == HARD_CASE:
            hard_case = {method: hard_case_figures(study, maps) for method, maps in answers.items()}
            if "graph_cut" in methods:
                hard_case |= {
                    f"graph_cut without {what}": hard_case_without(study, changes) for what, changes in WITHOUT.items()
                }
    show(
        "Are real public cases free of swapped regions?",
        {
            "methods": said,
            "must_reach": must_be_reached(results),
            "cases": results,
            "ai_deal_without_fallback": without_fallback,
            HARD_CASE: hard_case,
        },
    )


if __name__ == "__main__":
    main()
