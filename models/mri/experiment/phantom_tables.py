"""Tables of vials, noise and echo protocols."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...learning.calibration import coverage
from ...reports.tables import Column, Table, row_of
from .cases import nominal_percent
from .liver_tables import LARGE_ERROR_POINTS, failure_shares
from .options import TABLE_SNRS
from .results import Results
from .statistics import bland_altman, root_mean_square
from .units import RegionSample


def vial_table(results: Results, rows: Sequence[dict]) -> Table:
    """Bias of each simulated vial (Table 3 of the paper)."""
    found = [
        row_of(
            data=row["data"],
            snr=row["snr"],
            noise=_noise(row["snr"]),
            vial_percent=nominal_percent(row["region"]),
            method=row["method"],
            n_voxels=row["n_voxels"] - row["n_without_estimate"],
            bias_points=_difference(row["pdff_median_percent"], row["reference_median_percent"]),
            error_std_points=row["error_std_points"],
            stated_std_points=_root(row["stated_variance_mean_points2"]),
            absolute_error_q1_points=row["absolute_error_q1_points"],
            absolute_error_median_points=row["absolute_error_median_points"],
            absolute_error_q3_points=row["absolute_error_q3_points"],
        )
        for row in rows
        if row["part"] == "vials" and row["snr"] in TABLE_SNRS
    ]
    return Table(
        "vials_simulated",
        "Vials of the numerical phantom · simulated",
        "Bias of a vial's median PDFF from the truth ± the standard deviation that the method states for one voxel, "
        "points. Square regions of 9 mm.",
        (Column("Noise", "{noise}"), Column("Vial, %", "{vial_percent}", 0)),
        tuple(found),
        Column("", "{bias_points} ± {stated_std_points}"),
    )


def given_vial_table(rows: Sequence[dict], data: str) -> Table:
    """Bias of each vial of the cases that were given with vials outlined."""
    found = []
    for row in rows:
        if row["part"] != "given" or row["data"] != data or "vial" not in row["region"].lower():
            continue
        nominal = nominal_percent(row["region"])
        against = "nominal value" if nominal is not None else row["reference"]
        if against == row["method"]:
            continue
        known = row["reference_median_percent"] if nominal is None else nominal
        found.append(
            row_of(
                data=data,
                case=row["case"],
                vial=row["region"],
                method=row["method"],
                compared_with=against,
                known_percent=known,
                pdff_median_percent=row["pdff_median_percent"],
                bias_points=_difference(row["pdff_median_percent"], known),
                stated_std_points=_root(row["stated_variance_mean_points2"]),
            )
        )
    return Table(
        f"vials_{data}_given",
        f"Vials of the given cases · {data}",
        "Difference of a vial's median PDFF from the value that its name states, or from the reference.",
        (
            Column("Case", "{case}"),
            Column("Vial", "{vial}"),
            Column("Method", "{method}"),
            Column("Compared with", "{compared_with}"),
            Column("Known, %", "{known_percent}"),
            Column("Median PDFF, %", "{pdff_median_percent}"),
            Column("Bias, points", "{bias_points}"),
            Column("Stated SD, points", "{stated_std_points}"),
        ),
        tuple(found),
    )


def noise_table(results: Results) -> Table:
    """Bias, spread and coverage of the vials against SNR."""
    found = []
    for case in results.cases:
        for method in results.options.methods:
            unit = results.unit(case, method)
            if unit is None or case.part != "vials":
                continue
            snr = case.about["snr"]
            row = row_of(data=case.data, snr=snr, noise=_noise(snr), method=method) | _spread(unit.region("all_vials"))
            # Without noise the error is rounding: no interval is meant to hold it.
            found.append(row | ({"coverage_percent": None} if snr is None else {}))
    return Table(
        "noise_simulated",
        "Noise series of the vials · simulated",
        "Every voxel of the seven vials but their rims: bias ± SD of the error between voxels, points; below, the root "
        "mean square of the SD that the method states and the share of voxels whose 95 % interval holds the truth.",
        (Column("Noise", "{noise}"),),
        tuple(found),
        Column("", "{bias_points} ± {error_std_points}\nstated {stated_std_points}\ncovers {coverage_percent} %"),
    )


def protocol_table(results: Results) -> Table:
    """One liver at different echo times; a method that refuses some is shown with its sentence."""
    found = []
    for case in results.cases:
        for method in results.options.methods if case.part == "protocols" else ():
            unit = results.units[case.name, method]
            row = row_of(
                data=case.data,
                protocol=case.about["protocol"],
                field_strength_t=case.about["field_strength_t"],
                echo_times_ms=" ".join(f"{t:g}" for t in case.about["echo_times_ms"]),
                method=method,
                status=unit.status,
                reason=unit.reason,
            )
            liver, body = unit.region("liver"), unit.region("body")
            if liver is not None and body is not None:
                row |= _spread(liver) | failure_shares(body.pdff_percent, body.truth_percent)
            found.append(row)
    return Table(
        "protocols_simulated",
        "Echo protocols · simulated",
        "One liver of 15 % fat at SNR 50, all its voxels: bias ± SD of the error, points; below, the share of the body "
        f"whose error exceeds {LARGE_ERROR_POINTS:g} points (swaps).",
        (
            Column("Protocol", "{protocol}"),
            Column("T", "{field_strength_t}", 1),
            Column("Echo times, ms", "{echo_times_ms}"),
        ),
        tuple(found),
        Column("", "{bias_points} ± {error_std_points}\n{large_error_percent} % large"),
    )


def _spread(sample: RegionSample) -> dict:
    error = sample.pdff_percent.astype(np.float64) - sample.truth_percent
    agreement = bland_altman(error, np.zeros(error.shape))
    return row_of(
        n_voxels=int(error.size),
        n_without_estimate=int((~np.isfinite(sample.pdff_percent)).sum()),
        bias_points=agreement.mean,
        error_std_points=agreement.std,
        stated_std_points=root_mean_square(sample.pdff_std_percent),
        coverage_percent=100 * coverage(error, sample.pdff_std_percent),
    )


def _noise(snr: float | None) -> str:
    return "none" if snr is None else f"SNR {snr:g}"


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _root(value: float | None) -> float | None:
    return None if value is None else float(np.sqrt(value))
