"""The statistics of the experiment as functions of arrays; values that are not finite are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIMIT_STDS = 1.959964
"""Standard deviations between the mean and a 95 % limit of a normal distribution."""


@dataclass(frozen=True)
class Agreement:
    """How two ways to measure the same thing differ."""

    n: int
    """Pairs."""
    mean: float
    """Mean difference, the bias; NaN without a pair."""
    std: float
    """Standard deviation of the differences (n - 1); NaN below two pairs."""
    low: float
    """Lower limit of agreement, mean - 1.96 SD."""
    high: float
    """Upper limit of agreement, mean + 1.96 SD."""


@dataclass(frozen=True)
class Regression:
    """A linear regression with intercept, by ordinary least squares."""

    n: int
    """Observations."""
    coefficients: tuple[float, ...]
    """Intercept, then one coefficient a predictor."""
    r_squared: float
    """Share of the variance that is explained."""
    p_value: float
    """Of the F test that no predictor matters."""


def bland_altman(measured: np.ndarray, reference: np.ndarray) -> Agreement:
    """Bias and 95 % limits of agreement.

    Args:
        measured: Shape (n,).
        reference: Shape (n,), the same unit.
    Source: Bland JM, Altman DG, Lancet 1986, 10.1016/S0140-6736(86)90837-8.
    """
    difference = np.asarray(measured, np.float64) - np.asarray(reference, np.float64)
    difference = difference[np.isfinite(difference)]
    n = difference.size
    mean = float(difference.mean()) if n else float("nan")
    std = float(difference.std(ddof=1)) if n > 1 else float("nan")
    return Agreement(n, mean, std, mean - LIMIT_STDS * std, mean + LIMIT_STDS * std)


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, linearly interpolated; NaN without a value."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return tuple(float(q) for q in np.percentile(values, (25, 50, 75))) if values.size else (float("nan"),) * 3


def multiple_regression(response: np.ndarray, *predictors: np.ndarray) -> Regression:
    """y = b₀ + Σ b_k·x_k by least squares, with R² and the p value of the overall F test.

    F = (R²/k) / ((1 - R²)/(n - k - 1))

    Args:
        response: y, shape (n,).
        predictors: x_1, x_2 …, each of shape (n,).
    Returns:
        NaN throughout when n <= k + 1, when y does not vary or when the predictors do not determine their coefficients.
    """
    columns = np.array([response, *predictors], np.float64)
    columns = columns[:, np.isfinite(columns).all(axis=0)]
    n, k = columns.shape[1], len(predictors)
    nothing = Regression(n, (float("nan"),) * (k + 1), float("nan"), float("nan"))
    if n <= k + 1:
        return nothing
    y = columns[0]
    # Scaled columns keep the rank test independent of the units.
    scale = np.concatenate([[1.0], np.abs(columns[1:]).max(axis=1)])
    if not scale.all():
        return nothing
    design = np.column_stack([np.ones(n), columns[1:].T]) / scale
    coefficients, _, rank, _ = np.linalg.lstsq(design, y, rcond=1e-10)
    total = float(np.square(y - y.mean()).sum())
    if rank < k + 1 or total <= n * (1e-12 * np.abs(y).max()) ** 2:
        return nothing
    from scipy.stats import f

    left = float(np.square(y - design @ coefficients).sum())
    r_squared = 1 - left / total
    ratio = (r_squared / k) / max((1 - r_squared) / (n - k - 1), np.finfo(np.float64).tiny)
    return Regression(n, tuple(float(c) for c in coefficients / scale), r_squared, float(f.sf(ratio, k, n - k - 1)))


def root_mean_square(values: np.ndarray) -> float:
    """√mean(x²); NaN without a value."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(np.sqrt(np.square(values).mean())) if values.size else float("nan")
