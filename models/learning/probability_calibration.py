"""Whether stated probabilities come true, and corrections of their log-odds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from .intervals import wilson_interval

MIN_GROUPS = 3
"""A Hosmer-Lemeshow test of fewer groups has no degree of freedom."""
TEMPERATURES = (0.05, 20.0)
"""Range in which a temperature is sought: a perfect separation would make it 0."""


@dataclass(frozen=True)
class CalibrationBin:
    """Cases of similar stated probability."""

    mean_probability: float
    """What was stated, mean."""
    observed: float
    """Share that was true."""
    low: float
    """Lower end of its 95 % interval by Wilson."""
    high: float
    """Upper end."""
    n: int
    """Cases."""


@dataclass(frozen=True)
class HosmerLemeshow:
    """The test that observed and expected counts agree group by group."""

    statistic: float
    """χ²."""
    degrees: int
    """Groups less 2."""
    p_value: float
    """Small where stated probabilities are wrong; NaN without a degree of freedom."""
    n_groups: int
    """Of equally many cases; fewer than asked for while one would be empty."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration: logit P = slope·stated logit + intercept."""

    slope: float
    """1 when right; smaller: too extreme."""
    intercept: float
    """At the fitted slope; 0 when right."""
    in_the_large: float
    """Intercept at slope 1: above 0 where too little was stated."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


def calibration_curve(
    probability: Sequence[float], is_true: Sequence[bool], n_bins: int = 10
) -> tuple[CalibrationBin, ...]:
    """Observed share against stated probability in bins of equally many cases.

    Args:
        probability: Within [0, 1], shape (n,).
        is_true: Shape (n,).
        n_bins: At most; equal probabilities stay together.
    """
    probability, is_true = _checked(probability, is_true)
    bins = []
    for members in _groups(probability, n_bins):
        low, high = wilson_interval(int(is_true[members].sum()), members.size)
        bins.append(
            CalibrationBin(
                float(probability[members].mean()), float(is_true[members].mean()), low, high, int(members.size)
            )
        )
    return tuple(bins)


def brier_score(probability: Sequence[float], is_true: Sequence[bool]) -> float:
    """Mean squared distance of probability and answer; 0 is perfect, 0.25 a coin.

    Source: Brier GW, Mon Weather Rev 1950, 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    probability, is_true = _checked(probability, is_true)
    return float(np.mean((probability - is_true) ** 2))


def hosmer_lemeshow(probability: Sequence[float], is_true: Sequence[bool], n_groups: int = 10) -> HosmerLemeshow:
    """Compare observed and expected positives over groups of similar probability.

    χ² = Σ_g (O_g - E_g)²/(E_g·(1 - E_g/n_g)), with g - 2 degrees of freedom, as for a model fitted on these cases.

    Args:
        probability: Within [0, 1], shape (n,).
        is_true: Shape (n,).
        n_groups: Asked for; fewer while ties or few cases would leave one empty.
    Source: Hosmer DW, Lemeshow S, Commun Stat 1980, 10.1080/03610928008827941.
    """
    from scipy.stats import chi2

    probability, is_true = _checked(probability, is_true)
    groups = _groups(probability, n_groups)
    statistic = 0.0
    for members in groups:
        expected, n = probability[members].sum(), members.size
        spread = max(expected * (1 - expected / n), np.finfo(float).tiny)
        difference = is_true[members].sum() - expected
        # A certain group that came true as stated says nothing; one that did not says everything.
        statistic += 0.0 if abs(difference) < 1e-12 else difference**2 / spread
    degrees = len(groups) - 2
    p_value = float(chi2.sf(statistic, degrees)) if len(groups) >= MIN_GROUPS else float("nan")
    return HosmerLemeshow(float(statistic), max(degrees, 0), p_value, len(groups))


def calibration_line(logit: Sequence[float], is_true: Sequence[bool]) -> CalibrationLine:
    """Slope and intercept of the truth on the stated log-odds.

    Raises:
        UnsuitableInputError: one class only, constant log-odds, or log-odds that separate both classes.
    Source: Cox DR, Biometrika 1958, 10.1093/biomet/45.3-4.562.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    from .logistic import logistic_regression

    logit, is_true = np.asarray(logit, float), np.asarray(is_true, bool)
    fit = logistic_regression(logit[:, None], is_true, ["stated log-odds"])
    in_the_large = brentq(lambda shift: float((expit(logit + shift) - is_true).sum()), -50, 50)
    return CalibrationLine(fit.terms[0].coefficient, fit.intercept, in_the_large)


@dataclass(frozen=True)
class TemperatureCalibration:
    """Log-odds divided by one number: the order of cases stays."""

    temperature: float
    """Above 1: what was stated was too extreme."""

    @classmethod
    def fit(
        cls, logit: Sequence[float], is_true: Sequence[bool], prior_std: float | None = None
    ) -> TemperatureCalibration:
        """The temperature of largest likelihood, within 0.05 to 20.

        Args:
            logit: Log-odds of cases that were not trained on, shape (n,).
            is_true: Shape (n,).
            prior_std: Of ln T, a normal prior around 0 that holds few cases back; None: none.
        Raises:
            UnsuitableInputError: no case.
        Source: Guo C et al., ICML 2017, 10.48550/arXiv.1706.04599.
        """
        from scipy.optimize import minimize_scalar

        logit, is_true = np.asarray(logit, float), np.asarray(is_true, bool)
        if not logit.size:
            raise UnsuitableInputError("A temperature needs cases with known answers; found none. Add labelled cases.")
        sign = np.where(is_true, -1.0, 1.0)

        def loss(log_temperature):
            likelihood = np.logaddexp(0, sign * logit * np.exp(-log_temperature)).sum()
            return float(likelihood + (0.5 * (log_temperature / prior_std) ** 2 if prior_std else 0.0))

        found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-6})
        return cls(float(np.exp(found.x)))

    def apply(self, logit):
        """Calibrated log-odds, same shape."""
        return np.asarray(logit, float) / self.temperature


def prior_corrected_logit(logit, odds_ratio: float):
    """Undo a change of the classes' shares in training.

    Sampling or weighting positives r times as often as they occur raises the stated odds r times; doing both raises
    them r². With 23 of 87 that is (64/23)² = 7.7.

    Args:
        logit: Log-odds as trained, any shape.
        odds_ratio: How many times the odds were raised.
    Returns:
        Log-odds at the real shares.
    Raises:
        UnsuitableInputError: a ratio that is not positive.
    Source: Saerens M et al., Neural Comput 2002, 10.1162/089976602753284446.
    """
    if not odds_ratio > 0 or not np.isfinite(odds_ratio):
        raise UnsuitableInputError(f"A ratio of odds needs to be positive and finite; found {odds_ratio}.")
    return np.asarray(logit, float) - np.log(odds_ratio)


def _checked(probability, is_true):
    probability, is_true = np.asarray(probability, float), np.asarray(is_true, bool)
    if probability.shape != is_true.shape or probability.ndim != 1:
        raise ValueError(f"One value a case is needed of each; found {probability.shape} and {is_true.shape}.")
    if not probability.size or not ((probability >= 0) & (probability <= 1)).all():
        raise UnsuitableInputError(
            f"Calibration needs cases with a probability from 0 to 1 each; found {probability.size} cases, "
            f"{int((~((probability >= 0) & (probability <= 1))).sum())} without one. Leave these out, and say so."
        )
    return probability, is_true


def _groups(probability, n_groups):
    """Members of groups of about equally many cases by probability; equal ones stay together, none is empty."""
    edges = np.unique(np.quantile(probability, np.arange(1, n_groups) / n_groups)) if n_groups > 1 else np.empty(0)
    group = np.searchsorted(edges, probability, side="left")
    return [np.flatnonzero(group == k) for k in np.unique(group)]
