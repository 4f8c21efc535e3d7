"""The experiment's diagrams: Bland-Altman, uncertainty, vials, noise, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import LogLocator

from ...reports.figures import METHOD_COLOURS, Picture, grid, png_of
from ...reports.tables import Table, row_of
from .options import label
from .results import LOBES, Results, lobe_groups, values_of
from .sensitivity import FIELD_ERRORS_HZ, PDFFS_PERCENT, R2_STAR_ERRORS_PER_S, R2_STAR_PER_S, sensitivity_maps
from .statistics import bland_altman, multiple_regression

REGION_STYLES = {"right_lobe": ("#0072b2", "o"), "left_lobe": ("#d55e00", "^")}
"""Colour and marker of each lobe (Okabe and Ito)."""
METHOD_MARKERS = "o^sDvP*"
"""Markers of the methods, in their order: lines that coincide stay told apart."""


def _make_room_for_legend(axis) -> None:
    """Two lines of legend above the highest point."""
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.28 * (high - low))


def bland_altman_figure(results: Results, rows: Sequence[dict], data: str) -> Picture | None:
    """Difference against mean, one panel a method."""
    groups = {key: members for key, members in lobe_groups(results, rows).items() if key[0] == data}
    methods = [method for method in results.options.methods if any(key[3] == method for key in groups)]
    if not methods:
        return None
    figure, axes = grid(len(methods), sharex=True, sharey=True)
    points = []
    for axis, method in zip(axes, methods, strict=True):
        axis.axhline(0, color="#9aa5b0", linewidth=0.8)
        for (_, reference, region, name), members in groups.items():
            if name != method:
                continue
            measured, known = values_of(members, "pdff_median_percent"), values_of(members, "reference_median_percent")
            colour, marker = REGION_STYLES[region]
            agreement = bland_altman(measured, known)
            mean, difference = (measured + known) / 2, measured - known
            text = f"{LOBES[region]}: {agreement.mean:+.2f} ± {agreement.std:.2f}"
            axis.scatter(mean, difference, s=16, c=colour, marker=marker, linewidths=0, alpha=0.8, label=text)
            axis.axhline(agreement.mean, color=colour, linewidth=1.2)
            for limit in (agreement.low, agreement.high):
                axis.axhline(limit, color=colour, linewidth=0.9, linestyle="--")
            points += [
                row_of(
                    data=data, case=row["case"], method=method, region=region, reference=reference, mean_percent=m,
                    difference_points=d,
                )
                for row, m, d in zip(members, mean, difference, strict=True)
            ]  # fmt: skip
        axis.set_title(label(method), loc="left")
        axis.legend(loc="upper left", handletextpad=0.1)
    _make_room_for_legend(axes[0])
    figure.supxlabel("Mean of method and reference, % PDFF", fontsize=9)
    figure.supylabel("Method - reference, points", fontsize=9)
    return Picture(
        f"bland_altman_{data}",
        f"Bland-Altman · {data}",
        "Each point is the median PDFF of one region in one case. Solid: bias; dashed: 95 % limits of agreement.",
        png_of(figure, data == "simulated"),
        tuple(points),
    )


def uncertainty_figure(results: Results, rows: Sequence[dict], data: str) -> Picture | None:
    """Stated variance against the quartiles of |error| in the regions (Fig. 6 of the paper)."""
    groups = {
        key: members
        for key, members in lobe_groups(results, rows).items()
        if key[0] == data and np.isfinite(values_of(members, "stated_variance_mean_points2")).any()
    }
    methods = [method for method in results.options.methods if any(key[3] == method for key in groups)]
    if not methods:
        return None
    figure, axes = grid(len(methods))
    points = []
    for axis, method in zip(axes, methods, strict=True):
        for (_, reference, region, name), members in groups.items():
            if name != method:
                continue
            variance, iqr = values_of(members, "stated_variance_mean_points2"), values_of(members, "pdff_iqr_points")
            q1, median, q3 = (values_of(members, f"absolute_error_{q}_points") for q in ("q1", "median", "q3"))
            fit = multiple_regression(variance, median, iqr)
            colour, marker = REGION_STYLES[region]
            found = f"R² {fit.r_squared:.2f}, p {fit.p_value:.2g}" if np.isfinite(fit.r_squared) else "too few"
            axis.errorbar(
                median, variance, xerr=(median - q1, q3 - median), fmt=marker, color=colour, markersize=4,
                elinewidth=0.7, alpha=0.8, label=f"{LOBES[region]}: {found}",
            )  # fmt: skip
            points += [
                row_of(
                    data=data, case=row["case"], method=method, region=region, reference=reference,
                    stated_variance_mean_points2=row["stated_variance_mean_points2"],
                    absolute_error_q1_points=row["absolute_error_q1_points"],
                    absolute_error_median_points=row["absolute_error_median_points"],
                    absolute_error_q3_points=row["absolute_error_q3_points"], pdff_iqr_points=row["pdff_iqr_points"],
                )
                for row in members
            ]  # fmt: skip
        axis.set_title(label(method), loc="left")
        axis.legend(loc="upper left", handletextpad=0.1)
        axis.set_ylim(bottom=0)
        _make_room_for_legend(axis)
    figure.supxlabel("|error| of PDFF in the region: median and quartiles, points", fontsize=9)
    figure.supylabel("Mean stated variance, points²", fontsize=9)
    return Picture(
        f"uncertainty_{data}",
        f"Stated variance against the error · {data}",
        "One point a region and case; bars span the quartiles of |error| among its voxels. R² and p: multiple "
        "regression of the variance on the median |error| and the interquartile range of PDFF.",
        png_of(figure, data == "simulated"),
        tuple(points),
    )


def vial_figure(results: Results, table: Table | None) -> Picture | None:
    """|error| of each vial beside the stated deviation (Figs. 10 and 11 of the paper)."""
    rows = [row for row in table.rows if row["snr"] is not None] if table else []
    methods = [method for method in results.options.methods if any(row["method"] == method for row in rows)]
    if not methods:
        return None
    figure, axes = grid(len(methods), sharex=True, sharey=True)
    for axis, method in zip(axes, methods, strict=True):
        members = [row for row in rows if row["method"] == method]
        place = np.arange(len(members))
        q1, median, q3 = (values_of(members, f"absolute_error_{q}_points") for q in ("q1", "median", "q3"))
        axis.errorbar(
            place, median, yerr=(median - q1, q3 - median), fmt="o", color="#c0392b", markersize=5, capsize=3,
            label="|error|: median, quartiles",
        )  # fmt: skip
        axis.plot(place, values_of(members, "stated_std_points"), "--", color="#0072b2", marker="_", label="Stated SD")
        axis.set_xticks(place, [f"{row['vial_percent']:g}" for row in members])
        axis.set_title(label(method), loc="left")
    axes[0].set_ylim(bottom=0)
    _make_room_for_legend(axes[0])
    axes[0].legend(loc="upper left")
    figure.supxlabel("True PDFF of the vial, %", fontsize=9)
    figure.supylabel("Points", fontsize=9)
    return Picture(
        "vial_errors_simulated",
        f"Vials: error and stated deviation · simulated · {rows[0]['noise']}",
        "For normal errors of the stated SD the median |error| is 0.67 SD.",
        png_of(figure, True),
        tuple(rows),
    )


def noise_figure(results: Results, table: Table | None) -> Picture | None:
    """Bias, spread and coverage against SNR."""
    rows = [row for row in table.rows if row["snr"] is not None] if table else []
    if not rows:
        return None
    figure, axes = grid(3)
    for number, method in enumerate(results.options.methods):
        members = sorted((row for row in rows if row["method"] == method), key=lambda row: row["snr"])
        if not members:
            continue
        snr, colour = values_of(members, "snr"), METHOD_COLOURS[number % len(METHOD_COLOURS)]
        style = {"color": colour, "marker": METHOD_MARKERS[number % len(METHOD_MARKERS)], "markersize": 4.5}
        axes[0].plot(snr, values_of(members, "bias_points"), label=label(method), **style)
        axes[1].plot(snr, values_of(members, "error_std_points"), **style)
        axes[1].plot(snr, values_of(members, "stated_std_points"), "--", color=colour)
        axes[2].plot(snr, values_of(members, "coverage_percent"), **style)
    axes[0].axhline(0, color="#9aa5b0", linewidth=0.8)
    axes[2].axhline(95, color="#9aa5b0", linewidth=0.8)
    for axis, title in zip(
        axes, ("Bias, points", "SD (line) and stated SD (dashes), points", "Coverage, %"), strict=True
    ):
        axis.set_title(title, loc="left")
        axis.set_xlabel("SNR")
    axes[1].set_yscale("log")
    axes[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].yaxis.set_minor_formatter("")
    low, high = axes[2].get_ylim()
    axes[2].set_ylim(min(low, 90), max(high, 100))
    axes[0].legend()
    return Picture(
        "noise_series_simulated",
        "Noise series · simulated",
        "All voxels of the seven vials but their rims. The 95 % interval should cover 95 % (grey).",
        png_of(figure, True),
        tuple(rows),
    )


def sensitivity_figure() -> Picture:
    """Error of PDFF by an error of field or R2* (Fig. 12 of the paper)."""
    figure, axes = grid(4, n_columns=2, width=4.6, height=2.9)
    rows = []
    causes = {
        "field_map_hz": (FIELD_ERRORS_HZ, "Field error, Hz"),
        "r2_star_per_s": (R2_STAR_ERRORS_PER_S, "R2* error, 1/s"),
    }
    for line, field_strength_t in enumerate((1.5, 3.0)):
        for column, (cause, error) in enumerate(sensitivity_maps(field_strength_t).items()):
            axis, (values, title) = axes[2 * line + column], causes[cause]
            top = float(np.abs(error).max())
            shown = axis.pcolormesh(PDFFS_PERCENT, values, error, cmap="RdBu_r", vmin=-top, vmax=top, shading="nearest")
            lines = axis.contour(PDFFS_PERCENT, values, error, levels=_levels(top), colors="#16202a", linewidths=0.5)
            axis.clabel(lines, fontsize=7)
            axis.set(xlabel="True PDFF, %", ylabel=title)
            axis.set_title(f"{field_strength_t:g} T", loc="left")
            axis.grid(False)
            figure.colorbar(shown, ax=axis).set_label("PDFF error, points")
            rows += [
                row_of(
                    field_strength_t=field_strength_t, cause=cause, error_of_cause=value, pdff_percent=pdff,
                    pdff_error_points=error[i, j],
                )
                for i, value in enumerate(values)
                for j, pdff in enumerate(PDFFS_PERCENT)
            ]  # fmt: skip
    return Picture(
        "sensitivity_simulated",
        "What an error of field or R2* does to PDFF · simulated",
        f"Noise-free voxels with R2* {R2_STAR_PER_S:g} 1/s, six echoes; water and fat solved by least squares at a "
        "wrong field or a wrong R2*. Analytic: no method and no network.",
        png_of(figure, True),
        tuple(rows),
    )


def _levels(top: float) -> np.ndarray:
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50) if top / step <= 5 or step == 50)
    return np.arange(-50, 51) * float(step)
