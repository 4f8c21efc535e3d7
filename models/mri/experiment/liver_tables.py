"""Tables of livers: bias, uncertainty, whole slices, refusals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...learning.intervals import bootstrap_interval
from ...reports.tables import Column, Table, row_of
from .results import Results, lobe_groups, values_of
from .statistics import bland_altman, multiple_regression, quartiles
from .units import NOT_APPLICABLE

LARGE_ERROR_POINTS = 25.0
"""Error of PDFF that only a swap of water and fat, or a failure as bad, brings."""


def bias_table(results: Results, rows: Sequence[dict], data: str) -> Table:
    """Bias in the lobes (Table 2 of the paper)."""
    patients = {case.name: case.patient for case in results.cases}
    found = []
    for (kind, reference, region, method), members in lobe_groups(results, rows).items():
        if kind != data:
            continue
        measured, known = values_of(members, "pdff_median_percent"), values_of(members, "reference_median_percent")
        agreement = bland_altman(measured, known)
        groups = [patients[row["case"]] for row in members]
        low, high = bootstrap_interval(measured - known, np.mean, groups=groups, seed=results.options.seed)
        rate = bland_altman(
            values_of(members, "r2_star_mean_per_s"), values_of(members, "reference_r2_star_mean_per_s")
        )
        found.append(
            row_of(
                data=data,
                reference=reference,
                region=region,
                method=method,
                n_cases=agreement.n,
                n_patients=len(set(groups)),
                bias_points=agreement.mean,
                bias_std_points=agreement.std,
                bias_low_points=low,
                bias_high_points=high,
                limit_low_points=agreement.low,
                limit_high_points=agreement.high,
                r2_star_bias_per_s=rate.mean,
                r2_star_bias_std_per_s=rate.std,
            )
        )
    return Table(
        f"bias_{data}",
        f"Bias in the lobes · {data}",
        "Difference of a region's median PDFF from that of the reference, over cases. In brackets the 95 % interval of "
        "the mean, patients drawn with replacement; limits of agreement are mean ± 1.96 SD.",
        (
            Column("Region", "{region}"),
            Column("Method", "{method}"),
            Column("Reference", "{reference}"),
            Column("Cases", "{n_cases}"),
            Column("PDFF bias ± SD, points", "{bias_points} ± {bias_std_points}"),
            Column("95 % interval", "[{bias_low_points}, {bias_high_points}]"),
            Column("Limits of agreement", "{limit_low_points} to {limit_high_points}"),
            Column("R2* bias ± SD, 1/s", "{r2_star_bias_per_s} ± {r2_star_bias_std_per_s}", 1),
        ),
        tuple(found),
    )


def regression_table(results: Results, rows: Sequence[dict], data: str) -> Table:
    """Stated variance against |error| and interquartile range, by multiple regression (Fig. 6 of the paper)."""
    found = []
    for (kind, reference, region, method), members in lobe_groups(results, rows).items():
        variance = values_of(members, "stated_variance_mean_points2")
        if kind != data or not np.isfinite(variance).any():
            continue
        fit = multiple_regression(
            variance, values_of(members, "absolute_error_median_points"), values_of(members, "pdff_iqr_points")
        )
        found.append(
            row_of(
                data=data,
                reference=reference,
                region=region,
                method=method,
                n_cases=fit.n,
                r_squared=fit.r_squared,
                p_value=fit.p_value,
                intercept=fit.coefficients[0],
                by_absolute_error=fit.coefficients[1],
                by_iqr=fit.coefficients[2],
            )
        )
    return Table(
        f"uncertainty_regression_{data}",
        f"Stated variance explained by the error · {data}",
        "Multiple regression of a region's mean stated variance of PDFF on its median absolute error and its "
        "interquartile range of PDFF; p of the overall F test. No value: too few cases, or nothing varies.",
        (
            Column("Region", "{region}"),
            Column("Method", "{method}"),
            Column("Reference", "{reference}"),
            Column("Cases", "{n_cases}"),
            Column("R²", "{r_squared}"),
            Column("p", "{p_value}", 4),
            Column("By |error|, points", "{by_absolute_error}"),
            Column("By IQR, points", "{by_iqr}"),
        ),
        tuple(found),
    )


def failure_shares(pdff: np.ndarray, known: np.ndarray) -> dict:
    """How much of an image is grossly wrong or not estimated; columns of a row.

    Args:
        pdff: Estimate, percent, any shape.
        known: Reference, the same shape; NaN where there is none.
    """
    counted = np.isfinite(known)
    n = max(int(counted.sum()), 1)
    difference = np.abs(pdff - known)[counted]
    return row_of(
        n_image_voxels=int(counted.sum()),
        large_error_percent=100 * float((difference > LARGE_ERROR_POINTS).sum()) / n,
        without_estimate_percent=100 * float((~np.isfinite(difference)).sum()) / n,
    )


def image_table(results: Results, data: str) -> Table:
    """How much of each slice differs grossly from the reference, and of all of them together."""
    found, pooled = [], {}
    for case in results.cases:
        reference = results.reference_name(case)
        for method in results.options.methods:
            unit = results.unit(case, method)
            if unit is None or case.data != data or case.part not in ("given", "livers", "critical"):
                continue
            pdff, known = unit.planes.get("regions/pdff_percent"), results.reference_plane(case, "regions")
            if pdff is None or known is None or reference == method:
                continue
            row = _image_row(data, case.name, method, reference, pdff, known, unit.fallback_percent)
            found.append(row)
            pooled.setdefault((reference, method), []).append((pdff.ravel(), known.ravel(), unit.fallback_percent))
    for (reference, method), members in pooled.items():
        pdffs, knowns, fallbacks = zip(*members, strict=True)
        fallback = None if None in fallbacks else float(np.mean(fallbacks))
        if len(members) > 1:
            case = f"all {len(members)} cases"
            planes = np.concatenate(pdffs), np.concatenate(knowns)
            found.append(_image_row(data, case, method, reference, *planes, fallback))
    return Table(
        f"images_{data}",
        f"Whole slices · {data}",
        f"One slice a case (that with the regions, else with most tissue), every voxel of the reference: median "
        f"difference, and below the share whose difference exceeds {LARGE_ERROR_POINTS:g} points (swaps) and the share "
        "without an estimate; where a method has a fallback, the share of the whole study that it decided.",
        (Column("Case", "{case}"), Column("Reference", "{reference}"), Column("Voxels", "{n_image_voxels}")),
        tuple(found),
        Column(
            "",
            "{median_difference_points} points\n{large_error_percent} % large\n{without_estimate_percent} % none\n"
            "{fallback_percent} % fallback",
        ),
    )


def _image_row(data, case, method, reference, pdff, known, fallback_percent) -> dict:
    return row_of(
        data=data,
        case=case,
        method=method,
        reference=reference,
        **failure_shares(pdff, known),
        fallback_percent=fallback_percent,
        median_difference_points=quartiles(pdff - known)[1],
        median_absolute_difference_points=quartiles(np.abs(pdff - known))[1],
    )


def refusal_table(results: Results) -> Table:
    """Which methods refused which cases, and why."""
    groups = {}
    for unit in results.units.values():
        if unit.status == NOT_APPLICABLE:
            groups.setdefault((unit.method, unit.reason), []).append(unit.case.name)
    found = [
        row_of(method=method, reason=reason, n_cases=len(names), cases=" ".join(names))
        for (method, reason), names in sorted(groups.items())
    ]
    return Table(
        "not_applicable",
        "Methods that refused cases",
        "The sentences are the methods' own; the names of the cases stand in the file.",
        (Column("Method", "{method}"), Column("Reason", "{reason}"), Column("Cases", "{n_cases}")),
        tuple(found),
    )
