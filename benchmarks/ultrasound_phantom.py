"""Does the ultrasound phantom have the statistics it states, how much does each modality tell, and how fast is it?

Read-outs are logistic regressions on stated quantities, fitted to one large cohort and tested on another; no network
is involved. *True* fat and texture are what an ideal reader of the B-mode images would know; *measured* ones are four
plain figures of the liver's pixels. The hepatorenal index is the ratio of mean grey in liver and renal cortex beside
each other.
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np
from common import show
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from liver_models.ultrasound import phantom_anatomy as anatomy
from liver_models.ultrasound.phantom import simulate_cohort, simulate_frame
from liver_models.ultrasound.phantom_scatter import attenuation_db_per_cm_mhz, liver_echo_db

FAT_PERCENT = (0, 5, 10, 20, 30, 40)


def group_figures(cohort):
    """Quartiles, mean and deviation of every value in both groups."""
    rows = []
    named = {name: [v.clinical[name] for v in cohort.values] for name in cohort.values[0].clinical}
    named |= {name: getattr(cohort, name) for name in ("stiffness_kpa", "fat_percent", "fibrosis")}
    for name, values in named.items():
        for is_fibrotic in (False, True):
            group = np.asarray(values)[cohort.labels == is_fibrotic]
            quartiles = [round(float(q), 3) for q in np.percentile(group, (25, 50, 75))]
            moments = {"mean": round(float(group.mean()), 3), "std": round(float(group.std()), 3)}
            rows.append({"value": name, "fibrotic": is_fibrotic, "quartiles": quartiles, **moments})
    return rows


def features(cohort):
    """Modality -> what an ideal reader of it knows, shape (n_subjects, n_features)."""
    clinical = np.log([[v.clinical[name] for name in v.clinical] for v in cohort.values])
    b_mode = np.stack([np.log(cohort.fat_percent), cohort.fibrosis], axis=1)
    stiffness = np.log(cohort.stiffness_kpa)[:, None]
    return {
        "b_mode_true": b_mode,
        "stiffness": stiffness,
        "clinical": clinical,
        "combined": np.hstack([b_mode, stiffness, clinical]),
    }


def auc(train, train_labels, test, test_labels):
    """Of a logistic regression on standardised features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    return round(float(roc_auc_score(test_labels, model.fit(train, train_labels).decision_function(test))), 3)


def measured(cohort):
    """Four figures of the liver's grey levels, averaged over a subject's frames: level, slope, spread, coarseness."""
    rows = []
    for index in range(len(cohort)):
        frames = [cohort.frame(index, pair) for pair in range(cohort.n_pairs)]
        rows.append(np.mean([liver_figures(frame) for frame in frames], axis=0))
    return np.array(rows)


def liver_figures(frame):
    """Mean, slope with depth, spread about it and correlation with the pixel below, of the liver's grey levels."""
    grey, liver = frame.b_mode.astype(float), frame.organ_map == anatomy.LIVER
    depth = np.nonzero(liver)[0]
    slope, level = np.polyfit(depth, grey[liver], 1)
    rest = np.where(liver, grey - level - slope * np.arange(grey.shape[0])[:, None], np.nan)
    below = np.nanmean(rest[4:] * rest[:-4]) / np.nanvar(rest)
    return grey[liver].mean(), slope, np.nanstd(rest), below


def hepatorenal_index(frame):
    """Mean grey of liver over that of renal cortex in the same rows, above the kidney's middle."""
    organs, rows = frame.organ_map, np.arange(frame.organ_map.shape[0])[:, None]
    kidney = organs == anatomy.KIDNEY
    middle = np.nonzero(kidney)[0].mean()
    level = (rows > middle - 12) & (rows < middle)
    return frame.b_mode[(organs == anatomy.LIVER) & level].mean() / frame.b_mode[kidney & level].mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000, help="subjects of a group without images")
    parser.add_argument("--subjects", type=int, default=200, help="subjects with images, for each of fit and test")
    parser.add_argument("--frames", type=int, default=40, help="frames of each fat fraction, and for the time")
    args = parser.parse_args()

    fit, test = (simulate_cohort(2 * args.draws, args.draws, seed=seed) for seed in (100, 101))
    known, asked = features(fit), features(test)
    aucs = {name: auc(known[name], fit.labels, asked[name], test.labels) for name in known}
    cohorts = [simulate_cohort(args.subjects, args.subjects // 2, seed=seed) for seed in (102, 103)]
    seen = [measured(cohort) for cohort in cohorts]
    aucs["b_mode_measured"] = auc(seen[0], cohorts[0].labels, seen[1], cohorts[1].labels)

    by_fat = []
    for fat in FAT_PERCENT:
        index = [hepatorenal_index(simulate_frame(fat, fibrosis=0.25, seed=seed)) for seed in range(args.frames)]
        by_fat.append(
            {
                "fat_percent": fat,
                "attenuation_db_per_cm_mhz": round(attenuation_db_per_cm_mhz(fat), 3),
                "echo_db": round(liver_echo_db(fat), 2),
                "hepatorenal_index": round(float(np.mean(index)), 3),
                "hepatorenal_index_std": round(float(np.std(index)), 3),
            }
        )
    seconds = []
    for seed in range(args.frames):
        start = perf_counter()
        simulate_frame(12, fibrosis=0.3, seed=seed)
        seconds.append(perf_counter() - start)
    median = round(float(np.median(seconds)), 4)
    show(
        "Does the ultrasound phantom have the statistics it states, and how much does each modality tell?",
        {
            "data": "simulated rats' livers",
            "summary": {
                "auc": aucs,
                "seconds_a_frame_at_224": median,
                "must_reach": {
                    "<= 0.15 s a frame at 224": median <= 0.15,
                    "fat and texture: AUC 0.70-0.80": 0.70 <= aucs["b_mode_true"] <= 0.80,
                },
            },
            "by_fat": by_fat,
            "values": group_figures(fit),
        },
    )


if __name__ == "__main__":
    main()
