"""Do the stated deviation and the swap probability rise where the data leaves what AI-DEAL was made for?

The reference is a simulated liver below the dome at SNR 50. Each condition changes one thing of it, seed by seed: the
dome, the liver's R2* (at the field of the scan), the fat spectrum of the data (it is fitted with the default one), the
echo times that are stated, or the noise. Figures are means over voxels of the liver and of the body, and their ratios
to the reference with 95 % bootstrap intervals over seeds. A ratio *rises* if its interval lies above 1. z is error over
stated deviation; an SD far above 1 says that the stated deviation does not hold. Nothing is asked of a condition whose
error is not larger than the reference's: "error_rises" tells which they are.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import show
from side_by_side import answer, in_processes, judge, methods_at_hand

from liver_models.learning.intervals import bootstrap_interval
from liver_models.mri.phantom import REFERENCE_FIELD_T, make_phantom

METHODS = ("ai_deal", "ai_deal_one_shot")
REFERENCE = "reference"
SHIFT_S = 2e-4
CONDITIONS = {
    REFERENCE: {},
    "dome": {"dome": True},
    "R2* 200/s": {"r2_star": 200.0},
    "R2* 300/s": {"r2_star": 300.0},
    "spectrum of Ren 2008": {"spectrum": "ren_2008"},
    "spectrum of a single peak": {"spectrum": "single_peak"},
    "every echo stated 0.2 ms late": {"stated_late_s": SHIFT_S},
    "every second echo stated 0.2 ms late": {"stated_late_s": SHIFT_S * np.array([0, 1, 0, 1, 0, 1])},
    "SNR 10": {"snr": 10.0},
}
"""Name -> what is changed."""
REGIONS = ("liver", "body")


def make(condition, field_strength_t, seed):
    """The study as it is stated, and its truth."""
    change = {"snr": 50.0, **CONDITIONS[condition]}
    late_s = change.pop("stated_late_s", 0.0)
    if "r2_star" in change:
        change["r2_star_per_s"] = change.pop("r2_star") * REFERENCE_FIELD_T / field_strength_t
    study, truth = make_phantom("liver", field_strength_t=field_strength_t, seed=seed, **change)
    return study.with_fields(echo_times_s=study.echo_times_s + late_s), truth


def measure(job):
    """(Method, region) -> means of one slice, and sums for the deviation of z."""
    condition, b0, seed, methods = job
    study, truth = make(condition, b0, seed)
    found = {}
    for method in methods:
        maps = answer(method, study)
        judged = judge(maps, study, truth)
        for region, mask in zip(REGIONS, (truth.liver_mask, truth.body_mask), strict=True):
            inside = mask & judged.known
            error, std = judged.error[inside].astype(np.float64), maps.pdff_std_percent[inside].astype(np.float64)
            z = error / std
            found[method, region] = {
                "absolute_error": float(np.abs(error).mean()),
                "std": float(std.mean()),
                "median_std": float(np.median(std)),
                "swap_probability": float(maps.swap_probability[inside].mean(dtype=np.float64)),
                "z": (float(z.sum()), float(z @ z), z.size),
                "swapped": int((judged.swapped & inside).sum()),
                "masked": int((mask & ~judged.known).sum()),
            }
    return found


def ratio(slices, reference, name):
    """Ratio of two means over the same seeds, and its interval."""
    pairs = np.array([[a[name], b[name]] for a, b in zip(slices, reference, strict=True)])

    def statistic(rows):
        return float(rows[:, 0].mean() / rows[:, 1].mean())

    interval = bootstrap_interval(pairs, statistic)
    bounds = [float(f"{bound:.4g}") for bound in interval] if np.isfinite(interval).all() else None
    return {
        "ratio": float(f"{statistic(pairs):.4g}"),
        "interval": bounds,
        "rises": bounds is not None and bounds[0] > 1,
    }


def figures_of(slices, reference):
    """Figures of one method, region and condition; JSON-ready."""
    total, square, n = np.sum([s["z"] for s in slices], axis=0)
    row = {
        "mean_absolute_error_points": round(float(np.mean([s["absolute_error"] for s in slices])), 3),
        "mean_stated_deviation_points": round(float(np.mean([s["std"] for s in slices])), 3),
        "median_stated_deviation_points": round(float(np.mean([s["median_std"] for s in slices])), 3),
        "mean_swap_probability": float(f"{np.mean([s['swap_probability'] for s in slices]):.3g}"),
        "z_sd": round(float(np.sqrt(square / n - (total / n) ** 2)), 3),
        "swapped_voxels": sum(s["swapped"] for s in slices),
        "masked_voxels": sum(s["masked"] for s in slices),
    }
    if slices is reference:
        return row
    names = {"error": "absolute_error", "stated_deviation": "std", "swap_probability": "swap_probability"}
    return row | {f"{name}_to_reference": ratio(slices, reference, key) for name, key in names.items()}


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=2000)
    parser.add_argument("--field", type=float, nargs="+", default=[1.5, 3.0], help="tesla")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    methods, said = methods_at_hand(METHODS)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    jobs = [(what, b0, seed, methods) for b0 in arguments.field for what in CONDITIONS for seed in seeds]
    name = "{0[1]:g} T, {0[0]}, seed {0[2]}".format
    found = dict(zip([job[:3] for job in jobs], in_processes(measure, jobs, arguments.processes, name), strict=True))
    results, silent, must_reach = [], [], {}
    for method in methods:
        for b0 in arguments.field:
            for region in REGIONS:
                slices = {what: [found[what, b0, s][method, region] for s in seeds] for what in CONDITIONS}
                for what, mine in slices.items():
                    row = figures_of(mine, slices[REFERENCE])
                    group = {"method": method, "field_strength_t": b0, "region": region, "condition": what}
                    results.append(group | row)
                    if what == REFERENCE:
                        continue
                    error = row["error_to_reference"]
                    for figure in ("stated_deviation", "swap_probability"):
                        change = row[f"{figure}_to_reference"]
                        if not change["rises"]:
                            silent.append(
                                {**group, "figure": figure, "ratio": change["ratio"], "error_rises": error["rises"]}
                            )
                        if region == "body" and error["rises"]:
                            must_reach[f"{method}, {b0:g} T, {what}: {figure.replace('_', ' ')} rises"] = change[
                                "rises"
                            ]
    show(
        "Do the stated deviation and the swap probability rise out of distribution?",
        {
            "data": "simulated livers",
            "methods": said,
            "summary": {"does_not_rise": silent, "must_reach": must_reach},
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
