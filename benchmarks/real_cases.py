"""Do real public cases come out without regions of swapped water and fat?

Candidates are the regions of at least 20 body pixels (signal > 10 % of the maximum) that a jump of the field cuts off
from the rest. For each, both solutions are fitted from starts 3.4 ppm apart, and their residuals are compared over the
region: freely, and with R2* at least that of tissue, since a swap often fits well with an R2* that no tissue has. A
region counts as swapped if the other solution fits better. Pixels (not regions) where the other one fits better are
counted beside; chance and dephasing are among them. In the hard case ismrm2012_12, boxes inside liver and spleen, which
hold hardly any fat, are checked as well, and the case is run again with each ingredient of the method left out.

The data is found through LIVERLABEL_DATA; docs/data.md says where it comes from. No picture of it is written.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
from common import show
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from liver_models.io.reading import read_study
from liver_models.mri import acquisition, field_candidates, field_map, least_squares, pdff
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.noise import signal_energy
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
NO_LIMIT = {(field_candidates, "MIN_TISSUE_R2_STAR"): (-200.0, 0.0)}
NO_LOCK = {(field_candidates, "PHASE_LOCK_WEIGHT"): 0.0}
NO_DEPHASING = {(field_candidates, "DEPHASING_ERROR"): 0.0}
NO_COUPLING = {(field_map, "MAX_SLICE_COUPLING"): 0.0}
WITHOUT = {
    "nothing": {},
    "neighbours": {(field_map, "SMOOTHNESS_PER_PPM"): 0.0} | NO_COUPLING,
    "lower limit of R2*": NO_LIMIT,
    "common phase of water and fat": NO_LOCK,
    "dephasing error": NO_DEPHASING,
    "coupling of slices": NO_COUPLING,
    "limit, common phase, dephasing error and coupling": NO_LIMIT | NO_LOCK | NO_DEPHASING | NO_COUPLING,
}


def examine(study, maps):
    """Candidate regions of a study and which of them are swapped."""
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(maps.spectrum))
    signal = study.signal if maps.settings["precession"]["sign"] == 1 else study.signal.conj()
    if "odd_even_phase" in maps.settings:
        known = maps.settings["odd_even_phase"]
        slope = tuple(known["slope_rad_per_voxel"])
        signal = acquisition.OddEvenPhase(known["offset_rad"], slope, known["residual_ratio"]).remove_from(signal)
    period = field_candidates.field_period_hz(study.echo_times_s)
    shift = ppm_to_hz(WATER_FAT_SHIFT_PPM, study.field_strength_t)
    brightness = np.sqrt(signal_energy(signal))
    body = (brightness > BODY_FRACTION * brightness.max()) & maps.valid_mask
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
                    }
                )
    return {
        "body_pixels": int(body.sum()),
        "candidate_regions": len(regions),
        "swapped_regions": sum(r["residual_of_other_over_this"] < 1 for r in regions),
        "swapped_regions_with_r2_star_of_tissue": sum(r["with_r2_star_of_tissue"] < 1 for r in regions),
        "of_these_with_a_stated_deviation_below_10_points": sum(
            r["with_r2_star_of_tissue"] < 1 and r["median_pdff_std_percent"] < 10 for r in regions
        ),
        "pixels_where_the_other_fits_better": n_better,
        "regions": sorted(regions, key=lambda r: r["residual_of_other_over_this"]),
    }


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


def hard_case_without(study, changes):
    """Figures of the hard case with some constants of the method changed."""
    with ExitStack() as stack:
        for (module, name), value in changes.items():
            stack.enter_context(mock.patch.object(module, name, value))
        maps = pdff.estimate(study)
    return {
        **{key: value for key, value in examine(study, maps).items() if isinstance(value, int)},
        "liver_voxels_that_read_as_fat_percent": _reads_as_fat_percent(maps, LIVER_BOXES),
        "spleen_voxels_that_read_as_fat_percent": _reads_as_fat_percent(maps, SPLEEN_BOXES),
        "liver_median_pdff_percent": round(float(np.nanmedian(_inside(maps.pdff_percent, LIVER_BOXES))), 2),
        "liver_median_r2_star_per_s": round(float(np.nanmedian(_inside(maps.r2_star_per_s, LIVER_BOXES))), 1),
    }


def main():
    """Print the figures as JSON."""
    if "LIVERLABEL_DATA" not in os.environ:
        raise SystemExit("Set LIVERLABEL_DATA to the folder that holds mri/ismrm2012_12.mat and others (docs/data.md).")
    folder = Path(os.environ["LIVERLABEL_DATA"]) / "mri"
    results = {}
    for name in CASES:
        study = read_study(folder / f"{name}.mat")
        maps = pdff.estimate(study)
        results[name] = {"settings": maps.settings, "warnings": list(maps.warnings), **examine(study, maps)}
    hard = read_study(folder / f"{HARD_CASE}.mat")
    without = {what: hard_case_without(hard, changes) for what, changes in WITHOUT.items()}
    show("Are real public cases free of swapped regions?", {"cases": results, f"{HARD_CASE}_without": without})


if __name__ == "__main__":
    main()
