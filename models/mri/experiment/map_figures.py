"""The experiment's map figures: all methods on one case, all maps of one method, the critical regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ...reports.figures import DOTS_PER_INCH, Picture, png_of
from ...reports.tables import row_of
from ...units import ppm_to_hz
from ..map_pictures import MISSING_RGBA, View, choose_view
from .cases import ExperimentCase
from .liver_tables import failure_shares
from .options import label
from .results import Results
from .statistics import quartiles
from .units import Unit

PANEL_INCHES, SHEET_INCHES = 2.05, 10.0
"""Largest width of a panel and of all panels of a line, inches."""


@dataclass(frozen=True)
class Scale:
    """How a map is shown."""

    title: str
    """What it is, with its unit."""
    low: float
    """Value at the dark end."""
    high: float
    """Value at the bright end; what lies beyond is shown alike."""
    colours: str
    """Matplotlib colour map."""


PDFF = Scale("PDFF, %", 0, 50, "viridis")
FULL_PDFF = Scale("PDFF, %", 0, 100, "viridis")
ERROR = Scale("Difference, points", -10, 10, "RdBu_r")
STATED = Scale("Stated SD, points", 0, 5, "magma")
SWAP = Scale("Swap probability", 0, 1, "inferno")
FIELD_PPM = 1.5
"""Half the width of the field map's window, ppm."""


def _quantities(field_strength_t: float) -> tuple:
    """Map, its heading and scale, its standard deviation and that one's scale, and the scale of its difference."""
    half = round(float(ppm_to_hz(FIELD_PPM, field_strength_t)) / 10) * 10
    field = Scale("Field, Hz", -half, half, "RdBu_r")
    field_std, field_error = Scale("Stated SD, Hz", 0, 5, "magma"), Scale("Difference, Hz", -10, 10, "RdBu_r")
    rate = Scale("R2*, 1/s", 0, 150, "inferno")
    rate_std, rate_error = Scale("Stated SD, 1/s", 0, 15, "magma"), Scale("Difference, 1/s", -30, 30, "RdBu_r")
    return (
        ("pdff_percent", "PDFF", PDFF, "pdff_std_percent", STATED, ERROR),
        ("r2_star_per_s", "R2*", rate, "r2_star_std_per_s", rate_std, rate_error),
        ("field_map_hz", "Field", field, "field_map_std_hz", field_std, field_error),
    )


def _view(unit: Unit) -> View:
    geometry = unit.geometry
    return choose_view(
        (*geometry["shape"][:2], 1), np.array(geometry["affine"]), is_orientation_known=geometry["is_orientation_known"]
    )


def _extent(plane: np.ndarray) -> tuple[slice, slice]:
    """The part of a slice that holds estimates, with a rim of 3 %; all of it if none does."""
    known = np.isfinite(plane)
    parts = []
    for axis in (0, 1):
        at = np.flatnonzero(known.any(axis=1 - axis))
        rim = plane.shape[axis] // 33 + 1
        low, high = (at[0], at[-1] + 1) if at.size else (0, plane.shape[axis])
        parts.append(slice(max(int(low) - rim, 0), min(int(high) + rim, plane.shape[axis])))
    return tuple(parts)


class _Sheet:
    """A figure of map panels on a dark ground, a colour bar at the end of each line or under each column."""

    def __init__(self, n_lines: int, n_columns: int, view: View, shown: np.ndarray):
        self.crop = _extent(shown)
        shape = tuple(part.stop - part.start for part in self.crop)
        columns, rows = (
            shape[axis] * size for axis, size in zip((view.across_axis, view.down_axis), view.pixel_mm, strict=True)
        )
        self.view, self.aspect = view, view.pixel_mm[1] / view.pixel_mm[0]
        width = min(PANEL_INCHES, SHEET_INCHES / n_columns)
        height = width * min(max(rows / columns, 0.5), 1.8)
        self.figure = Figure(
            figsize=(width * n_columns + 1.2, (height + 0.3) * n_lines + 0.5), dpi=DOTS_PER_INCH,
            layout="compressed",
        )  # fmt: skip
        self.axes = self.figure.subplots(n_lines, n_columns, squeeze=False)
        for axis in self.axes.ravel():
            axis.set_axis_off()

    def show(self, line: int, column: int, plane: np.ndarray | None, scale: Scale, title: str = "") -> None:
        """One map, or a dark panel that says it is not there."""
        axis = self.axes[line, column]
        if title:
            axis.set_title(title, fontsize=9)
        if plane is None:
            axis.text(0.5, 0.5, "not given", ha="center", va="center", color="#5b6875", transform=axis.transAxes)
            return
        from matplotlib import colormaps

        colours = colormaps[scale.colours].with_extremes(bad=MISSING_RGBA)
        image = np.ma.masked_invalid(self.view.plane(plane[self.crop][:, :, None], 0))
        axis.imshow(image, cmap=colours, vmin=scale.low, vmax=scale.high, interpolation="nearest", aspect=self.aspect)

    def bar(self, scale: Scale, axes, location: str = "right") -> None:
        """A colour bar with its unit beside some panels."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        shown = ScalarMappable(Normalize(scale.low, scale.high), scale.colours)
        bar = self.figure.colorbar(shown, ax=axes, location=location, shrink=0.85, aspect=18, pad=0.02)
        bar.set_label(scale.title, fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)


def methods_figure(results: Results, case: ExperimentCase) -> Picture | None:
    """PDFF of all methods on one case, and their difference from the reference (Figs. 5 and 9 of the paper)."""
    units = [unit for method in results.options.methods if (unit := results.unit(case, method)) is not None]
    reference = results.reference_plane(case, "regions")
    name = results.reference_name(case)
    units = [unit for unit in units if "regions/pdff_percent" in unit.planes and unit.method != name]
    if not units or reference is None:
        return None
    sheet = _Sheet(2, len(units) + 1, _view(units[0]), reference)
    scale = FULL_PDFF if case.part == "vials" else PDFF
    sheet.show(0, 0, reference, scale, "Truth" if name == "truth" else f"{label(name)} (reference)")
    rows = []
    for column, unit in enumerate(units, start=1):
        pdff = unit.planes["regions/pdff_percent"]
        sheet.show(0, column, pdff, scale, label(unit.method))
        sheet.show(1, column, pdff - reference, ERROR)
        rows.append(
            row_of(
                data=case.data, case=case.name, method=unit.method, reference=name,
                **failure_shares(pdff, reference),
                median_difference_points=quartiles(pdff - reference)[1],
                median_absolute_difference_points=quartiles(np.abs(pdff - reference))[1],
            )
        )  # fmt: skip
    sheet.bar(scale, sheet.axes[0, :])
    sheet.bar(ERROR, sheet.axes[1, :])
    return Picture(
        f"maps_{case.name}" if case.data == "simulated" else f"maps_measured_{case.name}",
        f"PDFF of every method · {case.name}",
        f"Top: PDFF. Bottom: difference from the {'truth' if name == 'truth' else 'reference'}. {_acquisition(case)} "
        "Dark grey: no estimate.",
        png_of(sheet.figure, case.data == "simulated"),
        tuple(rows),
    )


def quantities_figure(results: Results, case: ExperimentCase, method: str) -> Picture | None:
    """PDFF, R2* and field of one method with their stated deviations and differences (Figs. 4 and 8 of the paper)."""
    unit = results.unit(case, method)
    if unit is None or not {"regions/pdff_percent", "regions/r2_star_per_s"} <= set(unit.planes):
        return None
    sheet = _Sheet(3, 3, _view(unit), unit.planes["regions/pdff_percent"])
    rows = []
    for column, (name, heading, scale, std_name, std_scale, error_scale) in enumerate(
        _quantities(case.about["field_strength_t"])
    ):
        values, std = unit.planes.get(f"regions/{name}"), unit.planes.get(f"regions/{std_name}")
        reference = results.reference_plane(case, "regions", name)
        difference = None if values is None or reference is None else values - reference
        if name == "field_map_hz" and difference is not None:
            difference = _without_aliases(difference, case)
        panels = ((values, scale, heading), (std, std_scale, ""), (difference, error_scale, ""))
        for line, (plane, panel_scale, title) in enumerate(panels):
            sheet.show(line, column, plane, panel_scale, title)
            sheet.bar(panel_scale, sheet.axes[line, column])
        rows.append(
            row_of(
                data=case.data, case=case.name, method=method, map=name, reference=results.reference_name(case),
                median=_median(values), median_stated_std=_median(std),
                median_absolute_difference=_median(None if difference is None else np.abs(difference)),
            )
        )  # fmt: skip
    return Picture(
        f"quantities_{case.name}" if case.data == "simulated" else f"quantities_measured_{case.name}",
        f"Every quantity of {label(method)} · {case.name}",
        f"From top: estimate, stated standard deviation, difference from the "
        f"{'truth' if results.reference_name(case) == 'truth' else 'reference'}. {_acquisition(case)}",
        png_of(sheet.figure, case.data == "simulated"),
        tuple(rows),
    )


def critical_figure(results: Results, places: list[tuple[ExperimentCase, str, str]], name: str) -> Picture | None:
    """PDFF and its stated deviation where the field is hard, with the swap probability where a method gives one.

    Args:
        results: Every unit.
        places: Case, role of the slice, heading; at most a few.
        name: Stem of the CSV.
    Source: Fig. 7 of the paper.
    """
    methods = [
        method
        for method in results.options.methods
        if all(
            (unit := results.unit(case, method)) is not None and f"{role}/pdff_percent" in unit.planes
            for case, role, _ in places
        )
    ]
    if not methods or not places:
        return None
    planes = {(m, n): results.unit(case, m).planes for m in methods for n, (case, _, _) in enumerate(places)}
    has_swap = any(f"{role}/swap_probability" in planes[m, n] for m in methods for n, (_, role, _) in enumerate(places))
    kinds = [("pdff_percent", PDFF), ("pdff_std_percent", STATED)] + ([("swap_probability", SWAP)] if has_swap else [])
    first = results.unit(places[0][0], methods[0])
    known = [results.unit(case, methods[0]).planes[f"{role}/pdff_percent"] for case, role, _ in places]
    shown = np.where(np.isfinite(known).any(axis=0), 1.0, np.nan)
    sheet = _Sheet(len(methods), len(kinds) * len(places), _view(first), shown)
    rows = []
    for line, method in enumerate(methods):
        for n, (case, role, heading) in enumerate(places):
            mine = planes[method, n]
            for k, (kind, scale) in enumerate(kinds):
                title = heading if line == 0 and k == 0 else ""
                sheet.show(line, n * len(kinds) + k, mine.get(f"{role}/{kind}"), scale, title)
            pdff, known = mine.get(f"{role}/pdff_percent"), results.reference_plane(case, role)
            shares = {} if pdff is None or known is None else failure_shares(pdff, known)
            rows.append(
                row_of(
                    data=case.data, case=case.name, place=heading, method=method,
                    reference=results.reference_name(case), **shares,
                    median_pdff_percent=_median(pdff),
                    median_stated_std_points=_median(mine.get(f"{role}/pdff_std_percent")),
                    mean_swap_probability=_mean(mine.get(f"{role}/swap_probability")),
                )
            )  # fmt: skip
        sheet.axes[line, 0].text(
            -0.06, 0.5, label(method), rotation=90, ha="center", va="center", transform=sheet.axes[line, 0].transAxes
        )
    for column in range(sheet.axes.shape[1]):
        sheet.bar(kinds[column % len(kinds)][1], sheet.axes[:, column], "bottom")
    is_simulated = places[0][0].data == "simulated"
    return Picture(
        name,
        f"Critical regions · {'simulated' if is_simulated else places[0][0].name}",
        "PDFF beside its stated standard deviation"
        + (" and the probability that water and fat are swapped" if has_swap else "")
        + f", one method a line. {_acquisition(places[0][0])} Dark grey: no estimate.",
        png_of(sheet.figure, is_simulated),
        tuple(rows),
    )


def _without_aliases(difference_hz: np.ndarray, case: ExperimentCase) -> np.ndarray:
    """Field differences less their multiples of 1/ΔTE, which equally spaced echoes do not tell apart."""
    from ..field_candidates import field_period_hz

    period = field_period_hz(np.array(case.about["echo_times_ms"]) / 1e3)
    return difference_hz - period * np.round(difference_hz / period) if period else difference_hz


def _median(values: np.ndarray | None) -> float:
    return float("nan") if values is None else quartiles(values)[1]


def _mean(values: np.ndarray | None) -> float:
    return float("nan") if values is None or not np.isfinite(values).any() else float(np.nanmean(values))


def _acquisition(case: ExperimentCase) -> str:
    about = case.about
    snr = "" if about["snr"] is None else f", SNR {about['snr']:g}"
    return f"{about['field_strength_t']:g} T, {len(about['echo_times_ms'])} echoes{snr}."
