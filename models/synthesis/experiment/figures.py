"""Figures of the experiment on NAFLD: AUC against mixing rate, ROC, pictures, and what a network looks at."""

from __future__ import annotations

import numpy as np

from ...learning.roc import auc, roc_curve
from ...reports.figures import Picture, grid, png_of
from ...reports.tables import row_of
from .options import DATA, DATA_LABELS, REAL, Arm
from .results import NafldResults

N_GRID = 41
"""Points at which seeds' ROC curves are averaged."""
_COLOURS = dict(zip(DATA, ("#5b6875", "#56b4e9", "#d55e00", "#0072b2", "#009e73"), strict=True))


def rate_figure(results: NafldResults) -> Picture | None:
    """AUC against the mixing rate (the paper's figure 5A), of images and of patients."""
    first, variant = results.options.all_models[0], results.options.all_variants[0]
    arms = [arm for arm in results.arms if (arm.model, arm.variant) == (first, variant)]
    if len(arms) < 2:
        return None
    figure, axes = grid(2, width=4.6, height=3.4, sharey=True)
    rows = []
    shown = [data for data in DATA if any(arm.data == data for arm in arms)]
    for axis, per in zip(axes, ("image", "patient"), strict=True):
        for arm in arms:
            place = arm.rate + 0.07 * (shown.index(arm.data) - (len(shown) - 1) / 2) * (arm.data != REAL)
            one = results.performances[arm]
            pooled, seeds = (one.image, one.image_seeds) if per == "image" else (one.patient, one.patient_seeds)
            colour = _COLOURS[arm.data]
            line = {"color": colour, "linewidth": 1}
            axis.boxplot(
                seeds, positions=[place], widths=0.055, manage_ticks=False, showfliers=True, patch_artist=True,
                boxprops={"facecolor": "white", **line}, medianprops=line, whiskerprops=line, capprops=line,
                flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
            )  # fmt: skip
            axis.plot([place, place], [pooled.bootstrap_low, pooled.bootstrap_high], color=colour, alpha=0.35)
            axis.plot(place, pooled.value, "D", color=colour, markersize=4)
            rows.append(
                row_of(
                    per=per, data=arm.data, rate=arm.rate, auc=pooled.value, low=pooled.bootstrap_low,
                    high=pooled.bootstrap_high, seeds_mean=seeds.mean(), seeds_lowest=seeds.min(),
                    seeds_highest=seeds.max(),
                )
            )  # fmt: skip
        axis.set_title("Images" if per == "image" else "Patients", loc="left")
        axis.set_xlabel("Mixing rate r")
    axes[0].set_ylabel("AUC, out of fold")
    for data in shown:
        axes[1].plot([], [], "D", color=_COLOURS[data], markersize=4, label=DATA_LABELS[data])
    axes[1].legend(loc="lower right")
    return Picture(
        f"figure1_auc_by_rate_{results.data}",
        "Figure 1 · AUC against the mixing rate",
        f"Model {first}. Boxes: the seeds' own AUC. Diamonds: answers averaged over seeds, with the 95 % interval by "
        "resampling patients, which is what other patients would vary by.",
        png_of(figure, results.frames.is_simulated),
        tuple(rows),
    )


def roc_figure(results: NafldResults) -> Picture:
    """ROC of each model on real images only and with the leading data (the paper's figure 5B)."""
    options = results.options
    models = list(dict.fromkeys(arm.model for arm in results.arms))
    figure, axes = grid(len(models), sharex=True, sharey=True, width=3.6, height=3.4)
    grid_x, rows = np.linspace(0, 1, N_GRID), []
    for axis, model in zip(axes, models, strict=True):
        axis.plot([0, 1], [0, 1], color="#c5ccd3", linewidth=0.8)
        pair = [Arm(REAL, 0.0, model, options.all_variants[0])]
        if options.leading:
            pair.append(Arm(options.leading, options.main_rate, model, options.all_variants[0]))
        for arm in pair:
            if arm not in results.logits:
                continue
            colour, curves = _COLOURS[arm.data], []
            for logits in results.logits[arm]:
                curve = roc_curve(logits, results.cohort.is_fatty)
                axis.plot(curve.false_positive_rate, curve.sensitivity, color=colour, linewidth=0.5, alpha=0.3)
                curves.append(np.interp(grid_x, curve.false_positive_rate, curve.sensitivity))
            mean = np.mean(curves, axis=0)
            areas = [auc(logits, results.cohort.is_fatty).value for logits in results.logits[arm]]
            label = f"{DATA_LABELS[arm.data]}, r = {arm.rate:g}: {np.mean(areas):.3f}"
            axis.plot(grid_x, mean, color=colour, linewidth=1.8, label=label)
            rows += [
                row_of(model=model, data=arm.data, rate=arm.rate, false_positive_rate=x, sensitivity=y)
                for x, y in zip(grid_x, mean, strict=True)
            ]
        axis.set_title(model, loc="left")
        axis.legend(loc="lower right")
    figure.supxlabel("1 - specificity", fontsize=9)
    figure.supylabel("Sensitivity", fontsize=9)
    return Picture(
        f"figure2_roc_{results.data}",
        "Figure 2 · ROC over images",
        "Thin: each seed, all folds pooled; thick: mean over seeds at equal specificity, with the mean of their AUC.",
        png_of(figure, results.frames.is_simulated),
        tuple(rows),
    )


def image_figure(name: str, title: str, sets: dict[str, dict[str, np.ndarray]], is_simulated: bool) -> Picture | None:
    """Real and generated images of both classes, and the training frame nearest to each generated one.

    Args:
        name: Of the picture.
        title: Its heading.
        sets: Heading of a generator -> arrays of a judged unit.
        is_simulated: Whether the frames are.
    """
    if not sets:
        return None
    lines = []
    first = next(iter(sets.values()))
    for heading in ("healthy", "fatty"):
        lines.append((f"real, held out\n{heading}", first[f"{heading}/real"]))
        for label, arrays in sets.items():
            lines.append((f"{label}\n{heading}", arrays[f"{heading}/images"]))
            lines.append(("nearest\ntraining frame", arrays[f"{heading}/nearest"]))
    n = max(len(images) for _, images in lines)
    figure, axes = grid(len(lines) * n, width=1.05, height=1.02, n_columns=n)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(False)
        for side in axis.spines.values():
            side.set_visible(False)
    rows = []
    for k, (label, images) in enumerate(lines):
        axes[k * n].set_ylabel(label, fontsize=6, rotation=0, ha="right", va="center")
        for j, image in enumerate(images):
            axes[k * n + j].imshow(image, cmap="gray", vmin=0, vmax=255)
        rows.append(row_of(line=k, what=label.replace("\n", ", "), n_images=len(images)))
    return Picture(
        name,
        title,
        "The first images of each set as they were drawn, not chosen; beneath each the training frame whose features "
        "are nearest, so that a copy would be seen.",
        png_of(figure, is_simulated),
        tuple(rows),
    )


def explanation_figure(results: NafldResults) -> Picture | None:
    """What a network of the leading data looks at in generated images (the paper's figure 6)."""
    unit = results.plan.explanation
    if unit is None:
        return None
    record, arrays = results.found[unit.name]
    images, maps = arrays["images"], {"SHAP, gradient": arrays["shap"], "Grad-CAM": arrays["grad_cam"]}
    figure, axes = grid(3 * len(images), width=1.9, height=1.9, n_columns=len(images))
    for axis in axes:
        axis.set_axis_off()
    rows = []
    for k, image in enumerate(images):
        axes[k].imshow(image, cmap="gray", vmin=0, vmax=255)
        said = "fatty" if record["is_fatty"][k] else "healthy"
        axes[k].set_title(f"asked: {said}\nsaid: {record['probability'][k]:.2f} fatty", loc="left", fontsize=7)
        for line, (name, values) in enumerate(maps.items(), start=1):
            axis = axes[line * len(images) + k]
            axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            reach = float(np.abs(values).max()) or 1.0
            low, colours = (-reach, "RdBu_r") if line == 1 else (0, "inferno")
            axis.imshow(values[k], alpha=0.55, cmap=colours, vmin=low, vmax=reach)
            axis.set_title(name if k == 0 else "", loc="left", fontsize=7)
        rows.append(row_of(image=k, is_fatty=bool(record["is_fatty"][k]), probability=record["probability"][k]))
    return Picture(
        f"figure4_explanation_{results.data}",
        "Figure 4 · What the network looks at in generated images",
        f"A network trained with {DATA_LABELS[results.options.leading]} images at r = {results.options.main_rate:g}, "
        "first fold and seed. Red speaks for fatty liver, blue against it; Grad-CAM shows the last convolution.",
        png_of(figure, results.frames.is_simulated),
        tuple(rows),
    )


def picture_figure(results: NafldResults) -> Picture | None:
    """Generated images of the first fold."""
    sets = {DATA_LABELS[kind]: results.judged[kind, 0][1] for kind in results.options.kinds}
    name = f"figure3_images_{results.data}"
    return image_figure(name, "Figure 3 · Real and generated images, first fold", sets, results.frames.is_simulated)
