"""Logistic regression with odds ratios, and the comparison of two groups value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError

MAX_STEPS = 50
"""Newton steps; a few suffice unless the classes are separated."""
MAX_STANDARD_COEFFICIENT = 15.0
"""Log-odds per standard deviation beyond which a value is said to separate the classes."""
NORMAL_ALPHA = 0.05
"""Shapiro-Wilk's p below which a value is described by its median."""


@dataclass(frozen=True)
class LogisticTerm:
    """One value's place in a regression."""

    name: str
    """Of the value."""
    coefficient: float
    """Log-odds per unit."""
    std: float
    """Its standard error."""
    odds_ratio: float
    """Per unit."""
    low: float
    """Lower end of Wald's 95 % interval of the odds ratio."""
    high: float
    """Upper end."""
    p_value: float
    """Of Wald's test, two-sided."""


@dataclass(frozen=True)
class LogisticFit:
    """A fitted regression."""

    intercept: float
    """Log-odds where every value is 0."""
    terms: tuple[LogisticTerm, ...]
    """In the order of the values."""
    log_likelihood: float
    """At the maximum, nats."""
    n: int
    """Cases."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


def logistic_regression(x: np.ndarray, is_true: Sequence[bool], names: Sequence[str]) -> LogisticFit:
    """Maximum likelihood by Newton's method, on standardised values and told in the values' own units.

    Args:
        x: Shape (n_cases, n_values), finite.
        is_true: Shape (n_cases,).
        names: Of the values.
    Raises:
        UnsuitableInputError: one class only, fewer cases than coefficients, a value that is constant, missing or
            depends on the others, or values that separate the classes, which is named.
    Source: Wald's interval: Hosmer DW et al., Applied Logistic Regression, 2013, 10.1002/9781118548387.
    """
    x, y = np.asarray(x, float), np.asarray(is_true, bool)
    if x.ndim != 2 or x.shape != (y.size, len(names)):
        raise ValueError(f"Values need the shape ({y.size}, {len(names)}); found {x.shape}.")
    _check(x, y, names)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    design = np.concatenate([np.ones((y.size, 1)), (x - centre) / spread], axis=1)
    beta = np.zeros(design.shape[1])
    for _ in range(MAX_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ beta, -40, 40)))
        weight = np.maximum(probability * (1 - probability), 1e-12)
        information = design.T @ (weight[:, None] * design)
        step = _solve(information, design.T @ (y - probability), names)
        beta = beta + step * min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(beta[1:]).max(initial=0) > MAX_STANDARD_COEFFICIENT:
            worst = names[int(np.abs(beta[1:]).argmax())]
            raise UnsuitableInputError(
                f"A logistic regression needs classes that overlap; '{worst}' (with the others) separates them, and "
                "its odds ratio is infinite. Leave it out, or describe it by a threshold."
            )
        if np.abs(step).max() < 1e-10:
            break
    # Back to the values' units: x·β with β = T·(standardised coefficients).
    back = np.diag(np.append(1.0, 1 / spread))
    back[0, 1:] = -centre / spread
    coefficients, covariance = back @ beta, back @ np.linalg.inv(information) @ back.T
    std = np.sqrt(np.diag(covariance))
    z = NormalDist().inv_cdf(0.975)
    terms = tuple(
        LogisticTerm(
            name, float(b), float(s), float(np.exp(b)), float(np.exp(b - z * s)), float(np.exp(b + z * s)),
            2 * NormalDist().cdf(-abs(b) / s),
        )
        for name, b, s in zip(names, coefficients[1:], std[1:], strict=True)
    )  # fmt: skip
    likelihood = -np.logaddexp(0, np.where(y, -1, 1) * (design @ beta)).sum()
    return LogisticFit(float(coefficients[0]), terms, float(likelihood), int(y.size))


def _check(x, y, names):
    n_true, n_false = int(y.sum()), int((~y).sum())
    if not n_true or not n_false:
        raise UnsuitableInputError(
            f"A logistic regression needs cases of both classes; found {n_true} positive and {n_false} negative."
        )
    if y.size <= len(names) + 1:
        raise UnsuitableInputError(
            f"A logistic regression of {len(names)} values needs more than {len(names) + 1} cases; found {y.size}."
        )
    for k, name in enumerate(names):
        if not np.isfinite(x[:, k]).all():
            raise UnsuitableInputError(
                f"A logistic regression needs every value; '{name}' is missing in {int((~np.isfinite(x[:, k])).sum())} "
                f"of {y.size} cases. Leave these cases out, and say so."
            )
        if x[:, k].std() <= 1e-12 * max(np.abs(x[:, k]).max(), 1e-300):
            raise UnsuitableInputError(f"A logistic regression needs values that vary; '{name}' is constant.")


def _solve(information, gradient, names):
    if np.linalg.cond(information) > 1e12:
        raise UnsuitableInputError(
            f"A logistic regression needs values that do not follow from one another; {', '.join(names)} do. Leave one "
            "out."
        )
    return np.linalg.solve(information, gradient)


def univariate_regressions(columns: Mapping[str, np.ndarray], is_true: Sequence[bool]) -> dict[str, LogisticFit]:
    """Each value alone; missing ones are left out of its own regression.

    Raises:
        UnsuitableInputError: as :func:`logistic_regression`.
    """
    y, found = np.asarray(is_true, bool), {}
    for name, values in columns.items():
        known = np.isfinite(np.asarray(values, float))
        found[name] = logistic_regression(np.asarray(values, float)[known, None], y[known], [name])
    return found


@dataclass(frozen=True)
class GroupSummary:
    """One value in one group."""

    n: int
    """Cases in which it is known."""
    mean: float
    """Of these; NaN without any, as all below."""
    std: float
    """Sample standard deviation."""
    median: float
    """Of these."""
    q1: float
    """First quartile."""
    q3: float
    """Third quartile."""


@dataclass(frozen=True)
class GroupComparison:
    """One value in both groups."""

    name: str
    """Of the value."""
    negative: GroupSummary
    """Where the answer is no."""
    positive: GroupSummary
    """Where it is yes."""
    is_normal: bool
    """Neither group departs from a normal distribution: means are compared, else ranks."""
    p_value: float
    """Of Welch's t, or of Mann-Whitney; NaN where a group has fewer than two."""
    n_missing: int
    """Cases without the value."""


def group_comparison(columns: Mapping[str, np.ndarray], is_true: Sequence[bool]) -> tuple[GroupComparison, ...]:
    """Describe and compare two groups value by value, as in the first table of a clinical paper.

    Args:
        columns: Name -> values of all cases, NaN where missing.
        is_true: Shape (n_cases,).
    """
    from scipy import stats

    y, rows = np.asarray(is_true, bool), []
    for name, values in columns.items():
        values = np.asarray(values, float)
        known = np.isfinite(values)
        groups = values[known & ~y], values[known & y]
        is_normal = all(len(g) >= 3 and np.ptp(g) > 0 and stats.shapiro(g).pvalue >= NORMAL_ALPHA for g in groups)
        if min(len(g) for g in groups) < 2:
            p_value = float("nan")
        elif is_normal:
            p_value = stats.ttest_ind(*groups, equal_var=False).pvalue
        else:
            p_value = stats.mannwhitneyu(*groups, alternative="two-sided").pvalue
        summaries = [_summary(group) for group in groups]
        rows.append(GroupComparison(name, *summaries, bool(is_normal), float(p_value), int((~known).sum())))
    return tuple(rows)


def _summary(values):
    if not values.size:
        return GroupSummary(0, *[float("nan")] * 5)
    std = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    median, q1, q3 = map(float, np.quantile(values, [0.5, 0.25, 0.75]))
    return GroupSummary(int(values.size), float(values.mean()), std, median, q1, q3)
