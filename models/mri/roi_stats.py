"""What a region of interest holds: its fat, its iron, and how sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import UnsuitableInputError
from .maps import PdffMaps


@dataclass(frozen=True)
class RoiRow:
    """Statistics of one region over its valid voxels; NaN where no voxel is valid.

    PDFF enters as estimated, below 0 % too: clipping it would bias the mean of a lean liver upwards.
    """

    name: str
    """Name of the region."""
    n_voxels: int
    """Voxels the statistics are of."""
    n_excluded: int
    """Voxels of the region that hold no valid estimate and are left out."""
    volume_ml: float
    """Volume of the whole region, millilitres."""
    pdff_mean_percent: float
    """Mean PDFF, percent."""
    pdff_std_percent: float
    """Standard deviation of PDFF among the voxels (n - 1), percentage points; NaN for one voxel."""
    pdff_median_percent: float
    """Median PDFF, percent."""
    pdff_q1_percent: float
    """Lower quartile of PDFF, percent."""
    pdff_q3_percent: float
    """Upper quartile of PDFF, percent."""
    pdff_weighted_mean_percent: float
    """Mean of PDFF weighted by 1/variance of each voxel, percent."""
    pdff_weighted_mean_std_percent: float
    """Standard error of the weighted mean by noise alone, voxels independent, percentage points."""
    r2_star_mean_per_s: float
    """Mean R2*, 1/s."""
    r2_star_std_per_s: float
    """Standard deviation of R2* among the voxels (n - 1), 1/s."""
    r2_star_median_per_s: float
    """Median R2*, 1/s."""

    def as_json(self) -> dict:
        """Fields by name, NaN as None."""
        return {key: None if isinstance(v, float) and not np.isfinite(v) else v for key, v in asdict(self).items()}


def weighted_mean(values: np.ndarray, std: np.ndarray) -> tuple[float, float]:
    """Mean of values of unequal certainty, and its standard error.

    μ = Σ x/σ² / Σ 1/σ²,  σ_μ = (Σ 1/σ²)^-½: the best linear estimate if the voxels share one true value and their
    errors are independent. Interpolated images have fewer independent voxels; then σ_μ is too small.

    Args:
        values: Shape (n,).
        std: One standard deviation of each, shape (n,); values without a positive finite one are left out.
    Returns:
        Mean and standard error; NaN when nothing is left.
    """
    usable = np.isfinite(values) & np.isfinite(std) & (std > 0)
    if not usable.any():
        return float("nan"), float("nan")
    weight = 1.0 / np.square(std[usable].astype(np.float64))
    total = weight.sum()
    return float(weight @ values[usable].astype(np.float64) / total), float(total**-0.5)


def roi_table(maps: PdffMaps, rois: Mapping[str, np.ndarray], affine: np.ndarray) -> list[RoiRow]:
    """Statistics of several regions at once.

    Args:
        maps: The result; voxels outside ``valid_mask`` are counted as excluded.
        rois: Name of a region -> bool mask of shape (x, y, z). Regions may overlap.
        affine: Voxels to world millimetres, shape (4, 4); its determinant is a voxel's volume.
    Returns:
        One row a region, in the order given.
    Raises:
        UnsuitableInputError: a region holds no voxel or has another shape than the maps.
    """
    voxel_ml = abs(float(np.linalg.det(np.asarray(affine, dtype=np.float64)[:3, :3]))) / 1000.0
    return [_row(name, np.asarray(mask, dtype=bool), maps, voxel_ml) for name, mask in rois.items()]


def _row(name: str, mask: np.ndarray, maps: PdffMaps, voxel_ml: float) -> RoiRow:
    if mask.shape != maps.pdff_percent.shape:
        raise UnsuitableInputError(
            f"The region {name!r} needs the shape of the images {maps.pdff_percent.shape}; found {mask.shape}. "
            "Draw it on these images."
        )
    if not mask.any():
        raise UnsuitableInputError(f"The region {name!r} needs at least 1 voxel; it is empty. Draw it again.")
    valid = mask & maps.valid_mask & np.isfinite(maps.pdff_percent)
    pdff = maps.pdff_percent[valid].astype(np.float64)
    rate = maps.r2_star_per_s[valid].astype(np.float64)
    q1, median, q3 = np.percentile(pdff, (25, 50, 75)) if pdff.size else (np.nan,) * 3
    mean, error = weighted_mean(pdff, maps.pdff_std_percent[valid])
    return RoiRow(
        name=name,
        n_voxels=int(valid.sum()),
        n_excluded=int(mask.sum() - valid.sum()),
        volume_ml=float(mask.sum() * voxel_ml),
        pdff_mean_percent=_mean(pdff),
        pdff_std_percent=_std(pdff),
        pdff_median_percent=float(median),
        pdff_q1_percent=float(q1),
        pdff_q3_percent=float(q3),
        pdff_weighted_mean_percent=mean,
        pdff_weighted_mean_std_percent=error,
        r2_star_mean_per_s=_mean(rate),
        r2_star_std_per_s=_std(rate),
        r2_star_median_per_s=float(np.median(rate)) if rate.size else float("nan"),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")
