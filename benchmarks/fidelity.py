"""What do exact FID and the search for copies cost and find?

FID: features of n images against n others, 2048 numbers each, by the singular values of an n x n matrix and by
``scipy.linalg.sqrtm`` of the 2048 x 2048 product of covariances, in one run. The features are positive and correlated,
as an Inception's are. Copies: simulated frames of the patients that were
"trained on", altered in turn, among frames of other patients, altered alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from common import show

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "synthesis"))
from phantom_frames import ALTERATIONS, altered, frames  # noqa: E402

from liver_models.learning.roc import auc  # noqa: E402
from liver_models.synthesis.features import small_network  # noqa: E402
from liver_models.synthesis.memorisation import audit_memorisation  # noqa: E402
from liver_models.synthesis.set_distances import frechet_distance  # noqa: E402

QUESTION = "What does an exact FID cost beside sqrtm's, and are planted copies found (simulated frames)?"
DIMENSION = 2048
MIXING = 64
"""Directions that the features share."""


def draw_features(n, rng, mixing, shift):
    """Rectified, correlated features, shape (n, 2048)."""
    common = rng.standard_normal((n, MIXING)) @ mixing
    return np.maximum(0.2 + shift + 0.3 * common + 0.3 * rng.standard_normal((n, DIMENSION)), 0)


def by_matrix_root(first, second):
    """FID as it is usually computed."""
    from scipy.linalg import sqrtm

    gap = first.mean(axis=0) - second.mean(axis=0)
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    return float(gap @ gap + np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real)


def fid_rows(sizes, repeats):
    """Seconds and values of both ways at each n; ours is the median of ``repeats`` runs."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((MIXING, DIMENSION)) / np.sqrt(MIXING)
    shift = 0.1 * rng.standard_normal(DIMENSION)
    rows = {}
    for n in sizes:
        first, second = draw_features(n, rng, mixing, 0), draw_features(n, rng, mixing, shift)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            ours = frechet_distance(first, second)
            seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        theirs = by_matrix_root(first, second)
        slow = time.perf_counter() - start
        fast = float(np.median(seconds))
        rows[str(n)] = {
            "fid": round(ours, 6),
            "fid_by_sqrtm": round(theirs, 6),
            "difference": float(f"{abs(ours - theirs):.2e}"),
            "seconds": round(fast, 5),
            "seconds_by_sqrtm": round(slow, 2),
            "times_faster": round(slow / fast),
        }
    return rows


def copies(n_patients, n_frames, n_fresh):
    """How well the audit tells altered copies from other patients' frames, by alteration and in all."""
    rng = np.random.default_rng(0)
    train, fresh = frames(0, n_patients, n_frames), frames(1000, n_fresh, 1).images
    honest = np.stack([*fresh, *(altered(x, ALTERATIONS[k % len(ALTERATIONS)], rng) for k, x in enumerate(fresh))])
    copied = np.arange(0, len(train.images), 2)
    made = np.stack([altered(train.images[k], how, rng) for how in ALTERATIONS for k in copied])
    start = time.perf_counter()
    audit = audit_memorisation(np.concatenate([made, honest]), train, small_network())
    seconds, n = time.perf_counter() - start, len(made)
    table = {}
    for number, how in enumerate((*ALTERATIONS, "any of these")):
        part = np.s_[number * len(copied) : (number + 1) * len(copied)] if how in ALTERATIONS else np.s_[:n]
        scores = np.concatenate([audit.score[part], audit.score[n:]])
        table[how] = {
            "auroc": round(auc(scores, np.arange(len(scores)) < len(audit.score[part])).value, 4),
            "called_copies": round(float(audit.is_copy[part].mean()), 3),
            "right_frame": round(float((audit.nearest[:n] == np.tile(copied, len(ALTERATIONS)))[part].mean()), 3),
        }
    return {
        "training_frames": len(train.images),
        "training_patients": n_patients,
        "planted_copies": n,
        "other_patients_frames": len(honest),
        "of_these_called_copies": round(float(audit.is_copy[n:].mean()), 4),
        "seconds": round(seconds, 1),
        "by_alteration": table,
    }


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patients", type=int, default=30, help="trained on")
    parser.add_argument("--frames", type=int, default=4, help="of each")
    parser.add_argument("--fresh", type=int, default=100, help="other patients")
    arguments = parser.parse_args()
    fid = fid_rows(arguments.sizes, arguments.repeats)
    found = copies(arguments.patients, arguments.frames, arguments.fresh)
    summary = {
        "threads": torch.get_num_threads(),
        "fid": fid,
        "copies": found,
        "must_reach": {
            "FID >= 100 x faster than sqrtm": all(row["times_faster"] >= 100 for row in fid.values()),
            "FID within 1e-3 of sqrtm's": all(row["difference"] <= 1e-3 for row in fid.values()),
            "AUROC of planted copies >= 0.99": found["by_alteration"]["any of these"]["auroc"] >= 0.99,
        },
    }
    show(QUESTION, summary)


if __name__ == "__main__":
    main()
