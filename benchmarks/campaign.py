"""Does the default strategy need at most 60 % of the labels that random choice needs?

On simulated cohorts each repetition has a cohort of its own, its own split and start: fibrotic NASH from clinical
values and stiffness by logistic regression, or the liver's outline by a head on a frozen network. Cohorts 1000 and up
were looked at while the default was settled; those counted here, from 0, were not. With ``--frames`` the outlines are
those of measured frames, each repetition with its own split of them (LIVERLABEL_DATA names the folder of the public
cases).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from common import show

from liver_models.learning.campaign import CampaignOptions, run_campaign
from liver_models.learning.campaign_summary import summarise
from liver_models.segmentation import campaign_region
from liver_models.ultrasound import campaign_nash

QUESTION = "How many labels does each strategy need beside random choice?"
FRAMES = "ultrasound/ussim_real"
LEARNERS = {"fibrotic_nash": campaign_nash.simulated_learner, "liver_roi": campaign_region.simulated_learner}


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=list(LEARNERS), default="fibrotic_nash")
    parser.add_argument("--frames", action="store_true", help="outlines of measured frames")
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first cohort")
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--start", type=int, default=6)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--max-labels", type=int)
    parser.add_argument("--strategies", help="besides random; the default must be among them (default: all)")
    arguments = parser.parse_args()
    strategies = arguments.strategies and tuple(arguments.strategies.split(","))
    started, units = time.monotonic(), []
    for seed in range(arguments.first, arguments.first + arguments.cohorts):
        if not arguments.frames:
            learner = LEARNERS[arguments.task](arguments.subjects, seed)
        elif not units:
            learner = campaign_region.picture_learner(Path(os.environ["LIVERLABEL_DATA"]) / FRAMES)
        options = CampaignOptions(
            strategies, 1, seed, arguments.start, arguments.batch, max_labels=arguments.max_labels
        )
        units += run_campaign(learner, options)
    summary, name = summarise(units, learner.chance), learner.quality_name
    rows = [
        {
            "target": f"95 % of the {name if row.target == 'quality' else 'gain over chance'} of the whole pool",
            "strategy": row.strategy,
            "mean_labels": round(row.mean, 1),
            "ratio_to_random": round(row.ratio, 3),
            "ratio_interval": [round(row.ratio_low, 3), round(row.ratio_high, 3)],
            "median_ratio": round(row.median_ratio, 3),
            "n_never_reached": row.n_not_reached,
            "n_at_start": row.n_at_start,
            "mean_curve_labels": row.mean_curve_labels,
            "mean_curve_ratio": None if row.mean_curve_ratio is None else round(row.mean_curve_ratio, 3),
        }
        for row in summary.needed
    ]
    asked = {row.target: row for row in summary.needed if row.strategy == "default"}
    said = {"quality": f"95 % of the {name}", "gain": "95 % of the gain over chance"}
    reached = {f"default <= 60 % of random's labels, {said[target]}": row.ratio <= 0.6 for target, row in asked.items()}
    reached |= {f"the interval too, {said[target]}": row.ratio_high <= 0.6 for target, row in asked.items()}
    figures = {
        "data": learner.data,
        "n_repetitions": arguments.cohorts,
        "n_cases": learner.n_cases,
        "n_pool": summary.n_pool[0],
        f"full_pool_{name}": [round(v, 3) for v in (summary.full_quality, summary.full_low, summary.full_high)],
        "labels_needed": rows,
        "seconds": round(time.monotonic() - started, 1),
        "must_reach": reached,
    }
    show(QUESTION, figures)


if __name__ == "__main__":
    main()
