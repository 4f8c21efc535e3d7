"""Do real public cases come out without regions of swapped water and fat?

Candidates are (a) regions of at least 20 body pixels (signal > 10 % of the maximum) that a jump of the field cuts off
from the rest, and (b) clusters of at least 20 pixels in which the other solution leaves the smaller residual. For
each, both solutions are fitted from the same start, 3.4 ppm apart, and their residuals compared: the region counts as
swapped if the other one fits better over the region as a whole. The hard case ismrm2012_12 is run again with each
ingredient of the method left out.

The data is found through LIVERLABEL_DATA; see docs/data.md for where to get it. No picture of it is written.
"""

from __future__ import annotations

import os
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

CASES = ("ismrm2012_12", "ismrm2012_16", "bydder_invivo", "bydder_phantom_16echo_bipolar", "b0nice_99")
WATER_FAT_SHIFT_PPM = 3.4
MIN_PIXELS = 20
BODY_FRACTION = 0.1
LIVER_BOX = {"ismrm2012_12": (slice(60, 90), slice(50, 90), 0)}
WITHOUT = {
    "the neighbours (each voxel's best fit)": {
        "field_map.SMOOTHNESS_PER_PPM": 0.0,
        "field_map.MAX_SLICE_COUPLING": 0.0,
    },
    "the lower limit of R2*": {"field_candidates.MIN_TISSUE_R2_STAR": (-200.0, 0.0)},
    "the common phase of water and fat": {"field_candidates.PHASE_LOCK_WEIGHT": 0.0},
    "the dephasing error": {"field_candidates.DEPHASING_ERROR": 0.0},
    "the coupling of slices": {"field_map.MAX_SLICE_COUPLING": 0.0},
}


def examine(study, maps):
    """Candidate regions of a study and which of them are swapped."""
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum(maps.spectrum))
    found = maps.settings["precession"]["sign"]
    signal = study.signal if found == 1 else study.signal.conj()
    if "odd_even_phase" in maps.settings:
        known = maps.settings["odd_even_phase"]
        phase = acquisition.OddEvenPhase(
            known["offset_rad"], tuple(known["slope_rad_per_voxel"]), known["residual_ratio"]
        )
        signal = phase.remove_from(signal)
    period = field_candidates.field_period_hz(study.echo_times_s)
    shift = ppm_to_hz(WATER_FAT_SHIFT_PPM, study.field_strength_t)
    brightness = np.sqrt(signal_energy(signal))
    body = (brightness > BODY_FRACTION * brightness.max()) & maps.valid_mask
    regions = []
    for z in range(signal.shape[3]):
        mask = body[..., z]
        field = maps.field_map_hz[..., z]
        here, other = _both_residuals(
            signal[..., z][:, mask], study, basis, field[mask], maps.r2_star_per_s[..., z][mask], shift
        )
        chosen, alternative = (np.zeros(mask.shape) for _ in range(2))
        chosen[mask], alternative[mask] = here, other
        cut_off = _regions_between_jumps(field, mask, period, shift)
        better, _ = ndimage.label(mask & (alternative < chosen))
        for kind, labels in (("cut off by a jump", cut_off), ("other solution fits better", better)):
            for label in range(1, labels.max() + 1):
                region = labels == label
                if region.sum() >= MIN_PIXELS:
                    place = ndimage.center_of_mass(region)
                    regions.append(
                        {
                            "kind": kind,
                            "slice": z,
                            "centre_xy": [round(p) for p in place],
                            "n_pixels": int(region.sum()),
                            "median_pdff_percent": round(float(np.median(maps.pdff_percent[..., z][region])), 1),
                            "median_r2_star_per_s": round(float(np.median(maps.r2_star_per_s[..., z][region])), 0),
                            "residual_of_other_over_this": round(
                                float(alternative[region].sum() / chosen[region].sum()), 3
                            ),
                        }
                    )
    jumps = [r for r in regions if r["kind"] == "cut off by a jump"]
    swapped = [r for r in regions if r["residual_of_other_over_this"] < 1]
    return {
        "body_pixels": int(body.sum()),
        "candidates_cut_off_by_a_jump": len(jumps),
        "of_these_swapped": sum(r["residual_of_other_over_this"] < 1 for r in jumps),
        "clusters_where_the_other_fits_better": len(regions) - len(jumps),
        "swapped_pixels_by_residual": sum(r["n_pixels"] for r in swapped),
        "regions": sorted(swapped, key=lambda r: -r["n_pixels"]),
    }


def _both_residuals(signal, study, basis, field, r2_star, shift):
    """Residual from the chosen basin and from the better of the two beside it."""

    def refine(start):
        return least_squares.gauss_newton(
            signal, study.echo_times_s, basis, start, np.clip(r2_star, 20, 200), 20
        ).residual

    return refine(field), np.minimum(refine(field - shift), refine(field + shift))


def _regions_between_jumps(field, mask, period, shift):
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
    order = np.argsort(np.bincount(label))[::-1]
    rank = np.argsort(order)
    out = np.zeros(mask.shape, int)
    out[mask] = rank[label]
    return out


def _wrap(difference, period):
    return difference if period is None else difference - period * np.round(difference / period)


def _without(changes):
    modules = {"field_candidates": field_candidates, "field_map": field_map}
    stack = [
        mock.patch.object(modules[name.split(".")[0]], name.split(".")[1], value) for name, value in changes.items()
    ]
    for patch in stack:
        patch.start()
    return stack


def main():
    """Print the figures as JSON."""
    if "LIVERLABEL_DATA" not in os.environ:
        raise SystemExit(
            "Set LIVERLABEL_DATA to the folder that holds mri/ismrm2012_12.mat and the others (docs/data.md)."
        )
    folder = Path(os.environ["LIVERLABEL_DATA"]) / "mri"
    results = {}
    for name in CASES:
        study = read_study(folder / f"{name}.mat")
        maps = pdff.estimate(study)
        results[name] = {"settings": maps.settings, "warnings": list(maps.warnings), **examine(study, maps)}
        if name in LIVER_BOX:
            *box, z = LIVER_BOX[name]
            liver = tuple([*box, z])
            results[name]["liver"] = {
                "median_pdff_percent": round(float(np.nanmedian(maps.pdff_percent[liver])), 2),
                "median_r2_star_per_s": round(float(np.nanmedian(maps.r2_star_per_s[liver])), 1),
            }
    hard = read_study(folder / f"{CASES[0]}.mat")
    tried = {"nothing left out": {k: v for k, v in results[CASES[0]].items() if isinstance(v, int)}}
    for what, changes in WITHOUT.items():
        patches = _without(changes)
        figures = examine(hard, pdff.estimate(hard))
        for patch in patches:
            patch.stop()
        tried[f"without {what}"] = {k: v for k, v in figures.items() if isinstance(v, int)}
    show(
        "Are real public cases free of swapped regions?", {"cases": results, "ismrm2012_12_with_parts_left_out": tried}
    )


if __name__ == "__main__":
    main()
