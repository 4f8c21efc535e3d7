"""The picture of nafld_real.py: derived numbers only, no image of a patient."""

from __future__ import annotations

import matplotlib.style
import numpy as np
from byra_rois import RATERS

from liver_models.learning.roc import roc_curve
from liver_models.reports.figures import METHOD_COLOURS, STYLE, grid, png_of

BLUE, ORANGE, GREEN = METHOD_COLOURS[:3]
_KINDS = (("as_stored", "as stored"), ("without_brightness", "arrangement only"))


def draw(figures, all_rois, path):
    """Write the PNG."""
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = grid(4, width=4.4, height=3.5, n_columns=2)
        _leak(axes[0], figures)
        _roc(axes[1], figures, all_rois)
        _raters(axes[2], all_rois)
        _bland_altman(axes[3], figures, all_rois)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_of(figure, is_simulated=False))


def _leak(axis, figures):
    rows = [(rater, kind, words) for rater in RATERS for kind, words in _KINDS]
    for height, (rater, kind, _) in enumerate(reversed(rows)):
        found = figures["texture"][rater][kind]
        for name, colour, shift in (("split_by_image", ORANGE, 0.14), ("split_by_patient", BLUE, -0.14)):
            value, low, high = found[name]
            axis.plot([low, high], [height + shift] * 2, color=colour, linewidth=1.8)
            axis.plot(value, height + shift, "o", color=colour, markersize=5)
    axis.plot([], [], "o-", color=ORANGE, label="split by image (leaks)")
    axis.plot([], [], "o-", color=BLUE, label="split by patient")
    axis.set_yticks(range(len(rows)), [f"{rater}\n{words}" for rater, _, words in reversed(rows)])
    axis.set_ylim(-0.6, len(rows) + 0.25)
    axis.set_xlabel("AUC over images, 95 % by resampling patients")
    axis.set_title("Texture (GLCM + forest)", loc="left")
    axis.legend(loc="upper left", ncols=2)


def _roc(axis, figures, all_rois):
    axis.plot([0, 1], [0, 1], color="#9aa5b0", linewidth=0.8)
    for rater, colour in zip(RATERS, (GREEN, BLUE), strict=True):
        index, is_fatty = _of_patients(all_rois[rater])
        curve = roc_curve(index, is_fatty)
        value, low, high = figures["hepatorenal_index"][rater]["auc_over_patients"]
        label = f"{rater}, {len(index)}: {value:.3f} ({low:.3f} to {high:.3f})"
        axis.plot(curve.false_positive_rate, curve.sensitivity, color=colour, linewidth=1.6, label=label)
    axis.plot([], [], " ", label=f"literature's, 55: {figures['literature']['hepatorenal_index']:.3f}")
    axis.set_xlabel("1 - specificity")
    axis.set_ylabel("Sensitivity")
    axis.set_title("Hepatorenal index, patients", loc="left")
    axis.legend(loc="lower right")


def _of_patients(rois):
    patients = np.unique(rois.patient_ids)
    rows = [rois.patient_ids == patient for patient in patients]
    return np.array([rois.index[row].mean() for row in rows]), np.array([rois.is_fatty[row][0] for row in rows])


def _of_both(all_rois):
    common = set.intersection(*(set(rois.patient_ids.tolist()) for rois in all_rois.values()))
    (first, is_fatty), (second, _) = (_of_patients(all_rois[rater].of_patients(common)) for rater in RATERS)
    return first, second, is_fatty


def _raters(axis, all_rois):
    first, second, is_fatty = _of_both(all_rois)
    ends = [min(first.min(), second.min()) - 0.05, max(first.max(), second.max()) + 0.05]
    axis.plot(ends, ends, color="#9aa5b0", linewidth=0.8)
    for value, colour, words in ((False, BLUE, "healthy"), (True, ORANGE, "fatty")):
        axis.plot(first[is_fatty == value], second[is_fatty == value], "o", color=colour, markersize=4.5, label=words)
    axis.set_xlabel(f"Hepatorenal index, {RATERS[0]}")
    axis.set_ylabel(f"{RATERS[1]}")
    axis.set_title("Two raters, mean of each patient", loc="left")
    axis.legend(loc="upper left")


def _bland_altman(axis, figures, all_rois):
    first, second, is_fatty = _of_both(all_rois)
    found = figures["raters"]["over_patients"]
    for value, colour in ((False, BLUE), (True, ORANGE)):
        rows = is_fatty == value
        axis.plot((first + second)[rows] / 2, (first - second)[rows], "o", color=colour, markersize=4.5)
    for level, style in ((found["mean_difference"], "-"), *((one, "--") for one in found["limits_of_agreement"])):
        axis.axhline(level, color="#5b6875", linewidth=1, linestyle=style)
    axis.set_xlabel("Mean of both raters")
    axis.set_ylabel(f"{RATERS[0]} less {RATERS[1]}")
    axis.set_title(f"Agreement: ICC {found['icc'][0]:.2f} ({found['icc'][1]:.2f} to {found['icc'][2]:.2f})", loc="left")
