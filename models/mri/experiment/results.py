"""Every unit of an experiment beside what it is compared with, region by region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...learning.calibration import coverage
from ...reports.tables import row_of
from .cases import ExperimentCase
from .options import ExperimentOptions, label
from .statistics import bland_altman, quartiles
from .units import ESTIMATED, RegionSample, Unit

LOBES = {"right_lobe": "Right lobe", "left_lobe": "Left lobe"}
"""Regions of the lobes and their headings, in the paper's order."""


class Results:
    """Every unit of an experiment, and what each is compared with."""

    def __init__(self, units: Iterable[Unit], options: ExperimentOptions):
        self.units = {(unit.case.name, unit.method): unit for unit in units}
        self.options = options
        self.cases = list({unit.case.name: unit.case for unit in self.units.values()}.values())

    def unit(self, case: ExperimentCase, method: str) -> Unit | None:
        """A unit with maps; None if the method refused the case or was not run on it."""
        unit = self.units.get((case.name, method))
        return unit if unit is not None and unit.status == ESTIMATED else None

    def reference_name(self, case: ExperimentCase) -> str:
        """ "truth" or "graph_cut"; what the methods of a case are compared with."""
        is_known = case.part != "given" and not (self.options.reference == "graph_cut" and case.part == "livers")
        return "truth" if is_known else "graph_cut"

    def reference_voxels(self, case: ExperimentCase, sample: RegionSample) -> np.ndarray | None:
        """PDFF of the reference in the voxels of a sample, percent; None where the reference has none."""
        if self.reference_name(case) == "truth":
            return sample.truth_percent
        unit = self.unit(case, "graph_cut")
        other = unit and unit.region(sample.name)
        return other.pdff_percent if other else None

    def reference_r2_star(self, case: ExperimentCase, sample: RegionSample) -> float:
        """Mean R2* of the reference in a region, 1/s."""
        if self.reference_name(case) == "truth":
            return sample.truth_r2_star_mean_per_s
        unit = self.unit(case, "graph_cut")
        other = unit and unit.region(sample.name)
        return other.r2_star_mean_per_s if other else float("nan")

    def reference_plane(self, case: ExperimentCase, role: str, name: str = "pdff_percent") -> np.ndarray | None:
        """A slice of the reference, shape (x, y)."""
        is_truth = self.reference_name(case) == "truth"
        unit = self.unit(case, "graph_cut")
        units = [self.unit(case, method) for method in self.options.methods] if is_truth else [unit]
        unit = next((one for one in units if one is not None), None)
        return unit.planes.get(f"{role}/{'truth_' if is_truth else ''}{name}") if unit else None


def region_rows(results: Results) -> list[dict]:
    """One row for each case, method and region: what every other table of regions is made of."""
    rows = []
    for unit in (results.units[case.name, method] for case in results.cases for method in results.options.methods):
        for sample in unit.regions:
            reference = results.reference_voxels(unit.case, sample)
            missing = np.full(sample.pdff_percent.shape, np.nan)
            error = sample.pdff_percent - (missing if reference is None else reference)
            q1, median, q3 = quartiles(sample.pdff_percent)
            e1, e2, e3 = quartiles(np.abs(error))
            variance = np.square(sample.pdff_std_percent.astype(np.float64))
            rows.append(
                row_of(
                    data=unit.case.data,
                    part=unit.case.part,
                    case=unit.case.name,
                    snr=unit.case.about["snr"],
                    method=unit.method,
                    region=sample.name,
                    n_voxels=int(sample.pdff_percent.size),
                    n_without_estimate=int((~np.isfinite(sample.pdff_percent)).sum()),
                    pdff_median_percent=median,
                    pdff_iqr_points=q3 - q1,
                    r2_star_mean_per_s=sample.r2_star_mean_per_s,
                    reference=results.reference_name(unit.case),
                    reference_median_percent=quartiles(missing if reference is None else reference)[1],
                    reference_r2_star_mean_per_s=results.reference_r2_star(unit.case, sample),
                    absolute_error_q1_points=e1,
                    absolute_error_median_points=e2,
                    absolute_error_q3_points=e3,
                    error_std_points=bland_altman(error, np.zeros(error.shape)).std,
                    stated_variance_mean_points2=float(variance[np.isfinite(variance)].mean())
                    if np.isfinite(variance).any()
                    else float("nan"),
                    coverage_percent=100 * coverage(error, sample.pdff_std_percent),
                )
            )
    return rows


def lobe_groups(results: Results, rows: Sequence[dict]) -> dict[tuple[str, str, str, str], list[dict]]:
    """Rows of the lobes that have a reference, by data, reference, region and method, in the order of the tables."""
    groups = {}
    for region in LOBES:
        for method in results.options.methods:
            for row in rows:
                if row["part"] not in ("given", "livers") or (row["region"], row["method"]) != (region, method):
                    continue
                if row["reference"] != method and None not in (
                    row["pdff_median_percent"],
                    row["reference_median_percent"],
                ):
                    groups.setdefault((row["data"], row["reference"], region, method), []).append(row)
    return groups


def values_of(rows: Sequence[dict], key: str) -> np.ndarray:
    """One column as numbers, NaN for None."""
    return np.array([np.nan if row[key] is None else row[key] for row in rows], np.float64)


def named(row: Mapping) -> dict:
    """A row with the headings of its method, region and reference."""
    changes = {"method": label(row["method"])} if "method" in row else {}
    if "region" in row:
        changes["region"] = LOBES.get(row["region"], row["region"])
    if "reference" in row:
        changes["reference"] = "truth" if row["reference"] == "truth" else label(row["reference"])
    return {**row, **changes}
