"""What each segment of a map holds, and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import UnsuitableInputError
from .geometry import voxel_volume_ml


@dataclass(frozen=True)
class SegmentRow:
    """Statistics of one segment; NaN where no voxel is left."""

    name: str
    """Of the segment."""
    n_voxels: int
    """Voxels the statistics are of: finite and sure enough."""
    mean: float
    """Mean, unit of the map."""
    weighted_mean: float
    """Mean weighted by 1/variance of each voxel, unit of the map."""
    weighted_mean_std: float
    """Standard error of the weighted mean by noise alone, voxels independent, unit of the map."""
    median: float
    """Median, unit of the map."""
    std: float
    """Standard deviation among the voxels (n - 1), unit of the map; NaN for one voxel."""
    volume_ml: float
    """Volume of the whole segment, ml."""
    fraction_masked: float
    """Share of the estimated voxels left out for their uncertainty, 0 to 1."""
    n_not_estimated: int
    """Voxels of the segment without an estimate."""


def segment_table(
    values: np.ndarray,
    std: np.ndarray | None,
    segments: Mapping[str, np.ndarray],
    affine: np.ndarray,
    max_std: float | None = None,
) -> list[SegmentRow]:
    """Statistics of several segments.

    μ = Σ x/σ² / Σ 1/σ²,  σ_μ = (Σ 1/σ²)^-½: the best linear estimate if the voxels share one true value and their
    errors are independent.

    Args:
        values: A map, shape (x, y, z), NaN where nothing was estimated.
        std: One standard deviation of each voxel, the same shape; None: the map has none.
        segments: Name -> mask of the same shape. They may overlap.
        affine: Index to world millimetres, shape (4, 4).
        max_std: Voxels that are less sure are left out, and those whose uncertainty is not known; None: none is.
    Returns:
        One row a segment, in the order given.
    Raises:
        UnsuitableInputError: a segment is empty or of another shape, or a threshold without a map of uncertainty.
    """
    if max_std is not None and std is None:
        raise UnsuitableInputError(
            "Masking by uncertainty needs a map of the standard deviation; there is none. Ask again."
        )
    if std is not None and std.shape != values.shape:
        raise UnsuitableInputError(f"The uncertainty needs the matrix of the map, {values.shape}; found {std.shape}.")
    return [_row(name, np.asarray(mask) != 0, values, std, affine, max_std) for name, mask in segments.items()]


def _row(name, mask, values, std, affine, max_std) -> SegmentRow:
    if mask.shape != values.shape:
        raise UnsuitableInputError(
            f"The segment '{name}' needs the matrix of the map, {values.shape}; found {mask.shape}. Draw it there."
        )
    if not mask.any():
        raise UnsuitableInputError(f"The segment '{name}' needs at least 1 voxel; it is empty. Draw it, or remove it.")
    estimated = mask & np.isfinite(values)
    used = estimated
    if max_std is not None:
        with np.errstate(invalid="ignore"):
            used = estimated & (std <= max_std)
    x = values[used].astype(np.float64)
    weighted_mean = weighted_mean_std = np.nan
    if std is not None:
        sigma = std[used].astype(np.float64)
        is_usable = np.isfinite(sigma) & (sigma > 0)
        if is_usable.any():
            weight = 1 / sigma[is_usable] ** 2
            weighted_mean, weighted_mean_std = weight @ x[is_usable] / weight.sum(), weight.sum() ** -0.5
    n_estimated = int(estimated.sum())
    return SegmentRow(
        name=name,
        n_voxels=x.size,
        mean=float(x.mean()) if x.size else np.nan,
        weighted_mean=float(weighted_mean),
        weighted_mean_std=float(weighted_mean_std),
        median=float(np.median(x)) if x.size else np.nan,
        std=float(x.std(ddof=1)) if x.size > 1 else np.nan,
        volume_ml=float(mask.sum() * voxel_volume_ml(affine)),
        fraction_masked=1 - x.size / n_estimated if n_estimated else np.nan,
        n_not_estimated=int(mask.sum()) - n_estimated,
    )


def table_csv(rows: Sequence[SegmentRow], quantity: str, unit: str, separator: str = ",") -> str:
    """A table as CSV: units in its header, a point in its numbers, nothing where there is no value.

    Args:
        rows: Of :func:`segment_table`.
        quantity: Such as PDFF.
        unit: Of the map.
        separator: Between columns; a tab for the clipboard.
    """
    columns = {
        "Segment": "name",
        "Voxels": "n_voxels",
        f"{quantity} mean ({unit})": "mean",
        f"{quantity} mean weighted by 1/variance ({unit})": "weighted_mean",
        f"Standard error of the weighted mean ({unit})": "weighted_mean_std",
        f"{quantity} median ({unit})": "median",
        f"{quantity} standard deviation ({unit})": "std",
        "Volume (ml)": "volume_ml",
        "Masked by uncertainty (fraction)": "fraction_masked",
        "Voxels not estimated": "n_not_estimated",
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", delimiter=separator)
    writer.writerow(columns)
    writer.writerows([_cell(getattr(row, field)) for field in columns.values()] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    text = str(value)
    # A spreadsheet would run a name that begins so as a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
