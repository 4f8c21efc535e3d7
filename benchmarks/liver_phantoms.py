"""Does the field ever land in the wrong basin in simulated livers, and is liver PDFF unbiased and at the bound?

A body voxel *failed* if the method masked it, or if it is swapped: its field differs from the truth by more than 1
ppm (modulo 1/ΔTE) and its PDFF by more than 25 points. Voxels whose PDFF errs by more than 25 points at the right
field (noise in dark voxels, dephasing beside air) are counted beside, and so are swaps and large errors that the stated
deviation does not cover. Bias and SD are over the liver voxels of all seeds. PDFF is not clipped.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from common import show

from liver_models.mri.cramer_rao import cramer_rao_bound
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import field_period_hz
from liver_models.mri.pdff import estimate
from liver_models.mri.phantom import make_phantom
from liver_models.units import ppm_to_hz

LARGE_ERROR_POINTS = 25.0
SWAP_FIELD_PPM = 1.0
CONFIDENCE_95 = 1.959964


def measure_one(study, truth, snr):
    """Counts and liver errors of one slice."""
    maps = estimate(study)
    error = maps.pdff_percent - truth.pdff_percent
    period = field_period_hz(study.echo_times_s)
    off = maps.field_map_hz - truth.field_map_hz
    off = off - period * np.round(off / period)
    body, liver, known = truth.body_mask, truth.liver_mask, maps.valid_mask
    large = body & known & (np.abs(error) > LARGE_ERROR_POINTS)
    swapped = large & (np.abs(off) > ppm_to_hz(SWAP_FIELD_PPM, study.field_strength_t))
    bound = cramer_rao_bound(
        float(truth.pdff_percent[liver].mean()) / 100,
        float(truth.r2_star_per_s[liver].mean()),
        study.echo_times_s,
        study.field_strength_t,
        get_spectrum("hamilton_2011"),
        snr,
    )["pdff_std_percent"]
    liver_error = error[liver & known]
    return {
        "body": int(body.sum()),
        "swapped": int(swapped.sum()),
        "masked": int((body & ~known).sum()),
        "liver_masked": int((liver & ~known).sum()),
        "large": int((large & ~swapped).sum()),
        "uncovered": int((large & (np.abs(error) > 3 * maps.pdff_std_percent)).sum()),
        "bias": float(liver_error.mean()),
        "std_over_bound": float(liver_error.std() / bound),
        "covered": float((np.abs(liver_error) < CONFIDENCE_95 * maps.pdff_std_percent[liver & known]).mean()),
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=1000, help="tuning used seeds 100 to 111")
    parser.add_argument("--snr", type=float, nargs="+", default=[20.0, 50.0, 100.0])
    arguments = parser.parse_args()
    groups = {}
    for b0 in (1.5, 3.0):
        for dome in (False, True):
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                for snr in arguments.snr:
                    study, truth = make_phantom("liver", snr=snr, field_strength_t=b0, seed=seed, dome=dome)
                    groups.setdefault((b0, dome, snr), []).append(measure_one(study, truth, snr))
                print(f"{b0:g} T, dome {dome}, seed {seed}", file=sys.stderr)
    rows = [_row(key, slices) for key, slices in groups.items()]
    everything = [s for slices in groups.values() for s in slices]
    body = sum(s["body"] for s in everything)
    summary = {
        "n_slices": len(everything),
        "body_voxels": body,
        "swapped_percent_of_body": round(100 * sum(s["swapped"] for s in everything) / body, 5),
        "masked_percent_of_body": round(100 * sum(s["masked"] for s in everything) / body, 5),
        "failed_percent_of_body": round(100 * sum(s["swapped"] + s["masked"] for s in everything) / body, 5),
        "largest_group_bias_points": max(abs(row["liver_bias_points"]) for row in rows),
        "largest_group_std_over_bound": max(row["std_over_bound"] for row in rows),
        "largest_slice_bias_points": round(max(abs(s["bias"]) for s in everything), 3),
    }
    summary["must_reach"] = {
        "failed voxels <= 0.01 % of the body": summary["failed_percent_of_body"] <= 0.01,
        "|liver bias| <= 0.05 points in every group": summary["largest_group_bias_points"] <= 0.05,
        "SD <= 1.05 x bound in every group": summary["largest_group_std_over_bound"] <= 1.05,
    }
    show("Are simulated livers free of swaps, unbiased and at the bound?", {"summary": summary, "groups": rows})


def _row(key, slices):
    b0, dome, snr = key
    bias = np.array([s["bias"] for s in slices])
    body = sum(s["body"] for s in slices)
    return {
        "data": "simulated livers",
        "field_strength_t": b0,
        "dome": dome,
        "snr": snr,
        "n_slices": len(slices),
        "body_voxels": body,
        "swapped": sum(s["swapped"] for s in slices),
        "masked": sum(s["masked"] for s in slices),
        "liver_masked": sum(s["liver_masked"] for s in slices),
        "large_errors_at_the_right_field": sum(s["large"] for s in slices),
        "swaps_and_large_errors_beyond_3_stated_deviations": sum(s["uncovered"] for s in slices),
        "liver_bias_points": round(float(bias.mean()), 4),
        "liver_bias_standard_error": round(float(bias.std(ddof=1) / np.sqrt(bias.size)), 4) if bias.size > 1 else None,
        "std_over_bound": round(float(np.mean([s["std_over_bound"] for s in slices])), 4),
        "coverage_percent": round(100 * float(np.mean([s["covered"] for s in slices])), 2),
    }


if __name__ == "__main__":
    main()
