"""Values of simulated rats: stiffness, fat, texture and blood, drawn so that each group has published medians.

Nothing here was tuned on a trained network: docs/ultrasound-phantom.md holds every number and where it is from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_QUARTILE = 0.674489750196
"""Third quartile of the standard normal distribution."""


@dataclass(frozen=True)
class Quartiles:
    """A skewed quantity: log-linear in the normal score on either side of its median."""

    first: float
    """25th percentile."""
    median: float
    """50th percentile."""
    third: float
    """75th percentile."""

    def value(self, score: np.ndarray) -> np.ndarray:
        """Quantile function of a standard normal score, any shape; unit of the quartiles."""
        below, above = np.log(self.median / self.first), np.log(self.third / self.median)
        return self.median * np.exp(np.where(score < 0, below, above) * score / _QUARTILE)


@dataclass(frozen=True)
class Normal:
    """A symmetric quantity."""

    mean: float
    """Mean."""
    std: float
    """Standard deviation."""

    def value(self, score: np.ndarray) -> np.ndarray:
        """Quantile function of a standard normal score, any shape; unit of the mean."""
        return self.mean + self.std * score


@dataclass(frozen=True)
class Quantity:
    """One value of a subject: its distribution in both groups and what it goes with."""

    not_fibrotic: Quartiles | Normal
    """Distribution without fibrotic NASH."""
    fibrotic: Quartiles | Normal
    """Distribution with fibrotic NASH."""
    limits: tuple[float, float]
    """Draws are clipped to these: no laboratory reports values beyond."""
    loading: float
    """Correlation of its normal score with the severity inside a group."""
    shares: tuple[str, float] | None = None
    """Name of a factor it has in common with others, and the correlation of what severity leaves with it."""


QUANTITIES: Mapping[str, Quantity] = {
    "stiffness_kpa": Quantity(Quartiles(3.8, 4.3, 4.8), Quartiles(5.1, 6.2, 6.8), (2.4, 16.0), 0.35),
    "fat_percent": Quantity(Quartiles(6.0, 11.0, 18.0), Quartiles(11.0, 17.0, 25.0), (0.5, 45.0), 0.35),
    "fibrosis": Quantity(Normal(0.25, 0.15), Normal(0.40, 0.20), (0.0, 1.0), 0.35),
    "weight_g": Quantity(Normal(479.4, 90.2), Normal(583.3, 62.5), (200.0, 900.0), 0.15, ("injury", 0.7)),
    "alt_u_per_l": Quantity(
        Quartiles(30.0, 37.0, 66.5), Quartiles(62.5, 113.0, 302.0), (8.0, 3000.0), 0.35, ("injury", 0.92)
    ),
    "ast_u_per_l": Quantity(
        Quartiles(68.8, 86.0, 200.2), Quartiles(186.0, 440.0, 580.5), (20.0, 5000.0), 0.35, ("injury", 0.92)
    ),
    "ggt_u_per_l": Quantity(Quartiles(1.0, 1.0, 2.0), Quartiles(1.5, 2.0, 11.0), (0.5, 200.0), 0.2, ("injury", 0.8)),
    "chol_mmol_per_l": Quantity(Normal(1.9, 0.4), Normal(1.7, 0.5), (0.5, 5.0), 0.1, ("lipids", 0.5)),
    "tg_mmol_per_l": Quantity(Normal(0.7, 0.3), Normal(0.8, 0.3), (0.1, 4.0), 0.1),
    "hdl_c_mmol_per_l": Quantity(Normal(1.0, 0.4), Normal(0.8, 0.2), (0.15, 3.0), 0.1, ("lipids", 0.5)),
    "ldl_c_mmol_per_l": Quantity(Normal(0.3, 0.1), Normal(0.4, 0.2), (0.04, 2.0), 0.1, ("injury", 0.5)),
}
"""Clinical values and stiffness as published; fat (percent of the liver's volume) and fibrosis (how coarse the texture
is, 0 to 1) by choice. The order is the order of the draws."""
_NOT_CLINICAL = ("stiffness_kpa", "fat_percent", "fibrosis")
_FACTORS = ("injury", "lipids")


@dataclass(frozen=True)
class SubjectValues:
    """What is known of a simulated subject before any image is made."""

    severity: float
    """How advanced it is among its group, standard normal."""
    stiffness_kpa: float
    """Median over its elastograms, but for what differs between them."""
    fat_percent: float
    """Of the liver's volume."""
    fibrosis: float
    """How coarse and clustered the liver's texture is, 0 to 1."""
    clinical: Mapping[str, float]
    """By canonical name with unit."""


def draw_subject(is_fibrotic: bool, rng: np.random.Generator) -> SubjectValues:
    """Values of one subject.

    The normal score of each value is a·s + √(1 - a²)·(b·f + √(1 - b²)·e): severity s, a factor f that it has in common
    with others, and its own e, all standard normal, so that its distribution in the group is exactly the stated one and
    the modalities know partly different things. AST/ALT is the ratio of the two.

    Args:
        is_fibrotic: Its group.
        rng: Where the draws come from; always as many.
    """
    severity = rng.standard_normal()
    factors = dict(zip(_FACTORS, rng.standard_normal(len(_FACTORS)), strict=True))
    drawn = {}
    for (name, quantity), own in zip(QUANTITIES.items(), rng.standard_normal(len(QUANTITIES)), strict=True):
        if quantity.shares is not None:
            factor, weight = quantity.shares
            own = weight * factors[factor] + np.sqrt(1 - weight**2) * own
        score = quantity.loading * severity + np.sqrt(1 - quantity.loading**2) * own
        group = quantity.fibrotic if is_fibrotic else quantity.not_fibrotic
        drawn[name] = float(np.clip(group.value(score), *quantity.limits))
    clinical = {name: value for name, value in drawn.items() if name not in _NOT_CLINICAL}
    clinical["ast_alt_ratio"] = clinical["ast_u_per_l"] / clinical["alt_u_per_l"]
    return SubjectValues(float(severity), clinical=clinical, **{name: drawn[name] for name in _NOT_CLINICAL})
