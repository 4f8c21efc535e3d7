"""Is PDFF right in simulated vials, without noise and at SNR 20, and is its stated deviation right?

Bias and coverage count every voxel of a vial's ROI over all seeds; a voxel that the method masks counts as not
covered and is listed. The bound is the Cramér-Rao bound of each vial. PDFF is not clipped.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import show

from liver_models.mri.cramer_rao import cramer_rao_bound
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.pdff import estimate
from liver_models.mri.phantom import make_phantom

CONFIDENCE_95 = 1.959964


def measure(field_strength_t, snr, seeds):
    """Figures of each vial, pooled over seeds."""
    pooled = {}
    for seed in range(seeds):
        study, truth = make_phantom("vials", snr=snr, field_strength_t=field_strength_t, seed=seed)
        maps = estimate(study)
        for name, roi in truth.rois.items():
            error = (maps.pdff_percent - truth.pdff_percent)[roi]
            signal = (truth.water + truth.fat)[roi].mean()
            bound = np.nan
            if snr is not None:
                bound = cramer_rao_bound(
                    truth.pdff_percent[roi].mean() / 100,
                    truth.r2_star_per_s[roi].mean(),
                    study.echo_times_s,
                    field_strength_t,
                    get_spectrum("hamilton_2011"),
                    signal / truth.noise_std,
                )["pdff_std_percent"]
            entry = pooled.setdefault(name, {"error": [], "std": [], "bound": []})
            entry["error"].append(error)
            entry["std"].append(maps.pdff_std_percent[roi])
            entry["bound"].append(bound)
    rows = []
    for name, entry in pooled.items():
        error, std = np.concatenate(entry["error"]), np.concatenate(entry["std"])
        known = np.isfinite(error)
        row = {
            "vial": name,
            "n_voxels": int(error.size),
            "n_masked": int((~known).sum()),
            "bias_points": round(float(error[known].mean()), 4),
            "bias_standard_error": round(float(error[known].std() / np.sqrt(known.sum())), 4),
        }
        if snr is not None:
            row["std_points"] = round(float(error[known].std()), 3)
            row["std_over_bound"] = round(float(error[known].std() / np.mean(entry["bound"])), 3)
            row["coverage_percent"] = round(
                100 * float((np.abs(error[known]) < CONFIDENCE_95 * std[known]).sum() / error.size), 1
            )
        rows.append(row)
    return rows


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    settings = [(b0, snr) for b0 in (1.5, 3.0) for snr in (None, 20.0)]
    results = [
        {
            "data": "simulated vials",
            "field_strength_t": b0,
            "snr": snr,
            "vials": measure(b0, snr, 1 if snr is None else arguments.seeds),
        }
        for b0, snr in settings
    ]
    noise_free = [row for r in results if r["snr"] is None for row in r["vials"]]
    noisy = [row for r in results if r["snr"] for row in r["vials"]]
    coverage = [row["coverage_percent"] for row in noisy]
    summary = {
        "largest_bias_noise_free_points": max(abs(row["bias_points"]) for row in noise_free),
        "largest_bias_snr_20_points": max(abs(row["bias_points"]) for row in noisy),
        "largest_std_over_bound": max(row["std_over_bound"] for row in noisy),
        "coverage_percent_range": [min(coverage), max(coverage)],
    }
    summary["must_reach"] = {
        "noise-free bias <= 0.1": summary["largest_bias_noise_free_points"] <= 0.1,
        "SNR 20 bias <= 0.3": summary["largest_bias_snr_20_points"] <= 0.3,
        "SD <= 1.1 x bound": summary["largest_std_over_bound"] <= 1.1,
        "coverage 93-97 %": min(coverage) >= 93 and max(coverage) <= 97,
    }
    show("Is PDFF right in simulated vials?", {"summary": summary, "results": results})


if __name__ == "__main__":
    main()
