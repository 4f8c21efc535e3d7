"""Figures 3 to 6 of the paper for any cohort: Grad-CAM and weights, ROC, decision curve, calibration."""

from __future__ import annotations

import numpy as np

from ...learning.decision_curve import decision_curve
from ...learning.probability_calibration import calibration_curve
from ...learning.roc import auc, roc_curve
from ...reports.figures import METHOD_COLOURS, Picture, grid, png_of
from ...reports.tables import row_of
from .options import LABELS
from .results import Results

N_CALIBRATION_BINS = 5
"""Bins of equally many subjects."""


def explanation_figure(results: Results, data: str) -> Picture | None:
    """Grad-CAM of one subject, and how much each input moved the combined model (Figure 3)."""
    if "combined" not in results.options.models:
        return None
    units = results.fold_units("combined", "default")
    weights = {}
    for unit in units:
        for name, value in unit.contributions.items():
            weights.setdefault(name, []).append(value)
    rows = [row_of(input=name, mean_absolute_contribution_log_odds=np.mean(v)) for name, v in weights.items()]
    example = next((unit.example for unit in units if unit.example), None)
    figure, axes = grid(3 if example else 1, width=3.6, height=3.2)
    if example:
        axes[0].imshow(example["b_mode"], cmap="gray", vmin=0, vmax=255)
        axes[0].set_title("B-mode", loc="left")
        axes[1].imshow(example["b_mode"], cmap="gray", vmin=0, vmax=255)
        shown = axes[1].imshow(example["grad_cam"], cmap="inferno", alpha=0.5, vmin=0, vmax=1)
        axes[1].set_title("Grad-CAM, last convolution", loc="left")
        figure.colorbar(shown, ax=axes[1], label="share of the largest", shrink=0.8)
        for axis in axes[:2]:
            axis.set_axis_off()
    order = np.argsort([row["mean_absolute_contribution_log_odds"] for row in rows])
    axis = axes[-1]
    axis.barh([rows[k]["input"] for k in order], [rows[k]["mean_absolute_contribution_log_odds"] for k in order])
    axis.set_xlabel("mean |contribution|, log-odds")
    axis.set_title("Weight of each input", loc="left")
    return Picture(
        f"figure3_explanation_{data}",
        "Figure 3 · What the combined model looks at",
        "Grad-CAM on a test subject of the first fold. A contribution is how far the log-odds move when the input is "
        "left out (images) or set to the training median (values); mean over all test subjects.",
        png_of(figure, data == "simulated"),
        tuple(rows),
    )


def roc_figure(results: Results, data: str) -> Picture:
    """ROC curves of every fold and pooled (Figure 4)."""
    models = results.options.models
    figure, axes = grid(len(models), sharex=True, sharey=True)
    rows = []
    for axis, model in zip(axes, models, strict=True):
        axis.plot([0, 1], [0, 1], color="#9aa5b0", linewidth=0.8)
        for unit in results.fold_units(model, "default"):
            truth = results.label_of(unit.case_ids)
            curve = roc_curve(unit.logits, truth)
            text = f"fold {unit.place.fold}: {auc(unit.logits, truth).value:.3f}"
            colour = METHOD_COLOURS[unit.place.fold % len(METHOD_COLOURS)]
            axis.plot(curve.false_positive_rate, curve.sensitivity, linewidth=1, color=colour, label=text)
        pooled = results.pooled[model, "default"]
        curve, area = roc_curve(pooled.logits, results.labels), auc(pooled.logits, results.labels)
        axis.plot(
            curve.false_positive_rate,
            curve.sensitivity,
            color="black",
            linewidth=1.6,
            label=f"pooled: {area.value:.3f}",
        )
        rows += [
            row_of(model=model, false_positive_rate=x, sensitivity=y)
            for x, y in zip(curve.false_positive_rate, curve.sensitivity, strict=True)
        ]
        axis.set_title(LABELS[model], loc="left")
        axis.legend(loc="lower right")
    figure.supxlabel("1 - specificity", fontsize=9)
    figure.supylabel("Sensitivity", fontsize=9)
    return Picture(
        f"figure4_roc_{data}",
        "Figure 4 · ROC",
        "Thin: each fold's test subjects; thick: all out-of-fold answers together.",
        png_of(figure, data == "simulated"),
        tuple(rows),
    )


def decision_figure(results: Results, data: str) -> Picture:
    """Net benefit of acting on each model (Figure 5)."""
    figure, (axis,) = grid(1, width=7.2, height=3.6)
    rows = []
    for k, model in enumerate(results.options.models):
        curve = decision_curve(results.pooled[model, "default"].probability, results.labels)
        colour = METHOD_COLOURS[k % len(METHOD_COLOURS)]
        axis.plot(curve.thresholds, curve.net_benefit, color=colour, linewidth=1.3, label=LABELS[model])
        rows += [
            row_of(model=model, threshold=t, net_benefit=b, treat_all=a)
            for t, b, a in zip(curve.thresholds, curve.net_benefit, curve.treat_all, strict=True)
        ]
    axis.plot(curve.thresholds, curve.treat_all, color="#9aa5b0", linewidth=1, label="everybody")
    axis.axhline(0, color="#5b6875", linewidth=1, linestyle="--", label="nobody")
    axis.set_ylim(-0.05, 1.15 * max(results.labels.mean(), 0.05))
    axis.set_xlabel("Threshold probability")
    axis.set_ylabel("Net benefit")
    axis.legend(ncols=2)
    return Picture(
        f"figure5_decision_curve_{data}",
        "Figure 5 · Decision curves",
        "Net benefit of acting above a threshold, from pooled out-of-fold answers, computed once.",
        png_of(figure, data == "simulated"),
        tuple(rows),
    )


def calibration_figure(results: Results, data: str) -> Picture:
    """Stated probability against observed share (Figure 6)."""
    models = results.options.models
    figure, axes = grid(len(models), sharex=True, sharey=True)
    rows = []
    for axis, model in zip(axes, models, strict=True):
        axis.plot([0, 1], [0, 1], color="#9aa5b0", linewidth=0.8)
        curve = calibration_curve(results.pooled[model, "default"].probability, results.labels, N_CALIBRATION_BINS)
        for one in curve:
            axis.plot([one.mean_probability] * 2, [one.low, one.high], color="#0072b2", linewidth=1)
            rows.append(
                row_of(
                    model=model, stated=one.mean_probability, observed=one.observed, low=one.low, high=one.high, n=one.n
                )
            )
        axis.plot([one.mean_probability for one in curve], [one.observed for one in curve], "o-", color="#0072b2", ms=4)
        axis.set_title(LABELS[model], loc="left")
    figure.supxlabel("Stated probability", fontsize=9)
    figure.supylabel("Observed share", fontsize=9)
    return Picture(
        f"figure6_calibration_{data}",
        "Figure 6 · Calibration",
        "Bins of equally many subjects with Wilson's 95 % intervals, pooled out-of-fold answers.",
        png_of(figure, data == "simulated"),
        tuple(rows),
    )
