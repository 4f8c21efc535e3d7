"""What does combining B-mode, elastography and clinical values gain, and is what is stated true (simulated cohorts)?

For each simulated cohort of the paper's size and ratio, the whole experiment: six models, three folds by patient, the
small networks. Figures that need many subjects (calibration error, conformal coverage) pool the out-of-fold answers of
all cohorts.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
import torch
from common import show
from side_by_side import in_processes

from liver_models.learning.calibration import expected_calibration_error
from liver_models.learning.intervals import wilson_interval
from liver_models.ultrasound.experiment.options import LABELS, SINGLE_MODELS, NashExperimentOptions
from liver_models.ultrasound.experiment.results import expit
from liver_models.ultrasound.experiment.run import run_experiment
from liver_models.ultrasound.phantom import simulate_cohort

PAPER_AUC = {
    "combined": 0.879,
    "b_mode_swe": 0.787,
    "swe": 0.776,
    "b_mode": 0.736,
    "clinical": 0.727,
    "swe_value": 0.515,
}
"""Table 4 of Xia F et al., test cohort."""
QUESTION = "What does combining B-mode, elastography and clinical values gain (simulated cohorts)?"


def one_cohort(job):
    """The experiment on one cohort."""
    seed, n_pairs, size, epochs = job
    torch.set_num_threads(1)
    subjects = list(simulate_cohort(seed=seed, n_pairs=n_pairs, size=size))
    options = NashExperimentOptions(epochs=epochs, n_resamples=1000)
    with tempfile.TemporaryDirectory() as folder:
        tables = run_experiment(folder, subjects, options)["tables"]
    performance = {row["model"]: row for row in tables["table4_performance_simulated"]}
    singles = {model: performance[LABELS[model]]["auc"] for model in SINGLE_MODELS}
    best = max(singles, key=singles.get)
    gain = next(row for row in tables["auc_differences_simulated"] if row["model"] == LABELS[best])
    return {
        "seed": seed,
        "auc": {model: round(performance[label]["auc"], 4) for model, label in LABELS.items()},
        "accuracy": {model: round(performance[label]["accuracy"], 4) for model, label in LABELS.items()},
        "best_single_model": best,
        "gain": [round(gain[key], 4) for key in ("difference", "low", "high")],
        "calibration_error": round(performance[LABELS["combined"]]["calibration_error"], 4),
        "conformal_coverage": round(performance[LABELS["combined"]]["conformal_coverage"], 4),
        "conformal_abstained": round(performance[LABELS["combined"]]["conformal_abstained"], 4),
        "n_subjects": len(subjects),
        "answers": tables["answers_simulated"],
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--size", type=int, default=224, help="pixels of a simulated frame")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.cohorts)
    jobs = [(seed, arguments.pairs, arguments.size, arguments.epochs) for seed in seeds]
    cohorts = list(in_processes(one_cohort, jobs, arguments.processes, lambda job: f"cohort {job[0]}"))
    answers = [row for cohort in cohorts for row in cohort.pop("answers") if row["model"] == "combined"]
    probability = expit([row["logit"] for row in answers])
    truth = np.array([row["is_fibrotic_nash"] for row in answers])
    error = expected_calibration_error(probability, truth, 10)
    n_covered = sum(row["is_covered"] for row in answers)
    n_excluded = sum(cohort["gain"][1] > 0 for cohort in cohorts)
    mean_auc = {model: round(float(np.mean([cohort["auc"][model] for cohort in cohorts])), 4) for model in LABELS}
    coverage = n_covered / len(answers)
    summary = {
        "n_cohorts": len(cohorts),
        "mean_auc": mean_auc,
        "std_auc": {model: round(float(np.std([c["auc"][model] for c in cohorts])), 4) for model in LABELS},
        "order": sorted(LABELS, key=lambda model: -mean_auc[model]),
        "cohorts_in_which_the_combined_model_is_first": sum(
            max(c["auc"], key=c["auc"].get) == "combined" for c in cohorts
        ),
        "mean_abstained": round(float(np.mean([cohort["conformal_abstained"] for cohort in cohorts])), 4),
        "mean_gain_over_the_best_single_model": round(float(np.mean([cohort["gain"][0] for cohort in cohorts])), 4),
        "cohorts_whose_interval_excludes_no_gain": n_excluded,
        "pooled_calibration_error": round(error, 4),
        "pooled_conformal_coverage": round(coverage, 4),
        "pooled_conformal_interval": [round(v, 4) for v in wilson_interval(n_covered, len(answers))],
        "must_reach": {
            "gain's interval excludes 0 in 8 of 10 cohorts": n_excluded >= 0.8 * len(cohorts),
            "the paper's order of the six models": sorted(LABELS, key=lambda m: -mean_auc[m]) == list(PAPER_AUC),
            "calibration error <= 0.05": error <= 0.05,
            "90 % conformal coverage within 3 points": abs(coverage - 0.9) <= 0.03,
        },
    }
    show(QUESTION, {"data": "simulated", "summary": summary, "cohorts": cohorts})


if __name__ == "__main__":
    main()
