"""Calibration: how well stated deviations and probabilities hold, and maps that mend them.

Fitting uses scikit-learn; applying needs numpy and scipy only. The JSON forms are plain dicts of numbers and lists,
which live in the card of the weights. Pairs with NaN, as in voxels outside tissue, are left out everywhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError

MIN_PAIRS = 50
"""Pairs of deviation and error from which a factor is taken: its own deviation is then some 13 %."""
PAIRS_PER_BIN = 200
"""Pairs in a bin of the stated deviation: the factor of a bin is then known to 7 %."""
MAX_BINS = 24
"""Bins at most; more pairs than fill them make the factors surer."""

_TINY = float(np.finfo(np.float64).tiny)


def z_scale(error: np.ndarray, std: np.ndarray) -> float:
    """Factor that stated deviations need: the root mean square of error/std, so that bias counts as error.

    Args:
        error: Estimate minus truth, any shape and unit.
        std: Stated standard deviations, same shape and unit.
    Returns:
        1 if the deviations hold, more if they are too small; NaN without pairs.
    """
    error, std = _pairs(error, std, is_positive=True)
    return float(np.sqrt(np.mean(np.square(error / std)))) if error.size else float("nan")


def coverage(error: np.ndarray, std: np.ndarray, confidence: float = 0.95) -> float:
    """Share of errors inside the interval that normal errors of the stated deviations would give.

    Args:
        error: Estimate minus truth, any shape and unit.
        std: Stated standard deviations, same shape and unit.
        confidence: What the share should be.
    Returns:
        Fraction; NaN without pairs.
    """
    error, std = _pairs(error, std)
    return float(np.mean(np.abs(error) <= _normal_quantile(confidence) * std)) if error.size else float("nan")


def auroc(score: np.ndarray, is_true: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a true case scores above a false one, ties counting half.

    Args:
        score: Higher means more likely true, any shape.
        is_true: Same shape, boolean.
    Returns:
        Fraction; NaN if only one kind occurs.
    Source: Hanley JA, McNeil BJ, Radiology 1982, 10.1148/radiology.143.1.7063747.
    """
    from scipy.stats import rankdata

    score, is_true = _pairs(score, is_true)
    is_true = is_true.astype(bool)
    n_true, n_false = int(is_true.sum()), int((~is_true).sum())
    if not n_true or not n_false:
        return float("nan")
    return float((rankdata(score)[is_true].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def expected_calibration_error(probability: np.ndarray, is_true: np.ndarray, n_bins: int = 15) -> float:
    """Mean distance of stated probability and observed share over bins of equal width, weighted by their cases.

    Args:
        probability: In [0, 1], any shape.
        is_true: Same shape, boolean.
        n_bins: Of [0, 1].
    Returns:
        Fraction; 0 is perfect, NaN without pairs.
    Source: Guo C et al., ICML 2017, 10.48550/arXiv.1706.04599, Eq. 3.
    """
    probability, is_true = _pairs(probability, is_true)
    if not probability.size:
        return float("nan")
    bins = np.clip((probability * n_bins).astype(int), 0, n_bins - 1)
    gaps = np.bincount(bins, weights=probability - is_true, minlength=n_bins)
    return float(np.abs(gaps).sum() / probability.size)


@dataclass(frozen=True)
class StdCalibration:
    """A monotone map from stated to calibrated standard deviation, a polyline in the logarithms of both."""

    stated_std: tuple[float, ...]
    """Knots, increasing, in the unit of the quantity."""
    calibrated_std: tuple[float, ...]
    """Their images, never decreasing, same unit."""

    def __post_init__(self):
        stated, calibrated = np.asarray(self.stated_std, float), np.asarray(self.calibrated_std, float)
        is_map = stated.ndim == 1 and stated.size and stated.shape == calibrated.shape
        is_map = is_map and np.isfinite([stated, calibrated]).all() and min(stated[0], calibrated[0]) > 0
        if not is_map or (np.diff(stated) <= 0).any() or (np.diff(calibrated) < 0).any():
            raise UnsuitableInputError(
                "A calibration of deviations needs equally many positive numbers, the stated ones increasing, "
                f"the calibrated ones not decreasing; found {self.stated_std} and {self.calibrated_std}. "
                "Train again."
            )

    @classmethod
    def fit(cls, std: np.ndarray, error: np.ndarray, confidence: float = 0.95) -> StdCalibration:
        """Learn the map from errors that are known.

        1. Bins of the stated deviation with equally many pairs.
        2. In each, the ``confidence`` quantile of |error|/std over that of a normal variable: the factor by which
           the interval covers as stated. A quantile ignores how far the errors beyond it lie: heavy tails or swaps in
           1 % of a bin raise the factor by 5 %, whatever their size; more than 1 - ``confidence`` of a bin decide it.
        3. Isotonic regression of the logarithms: a larger stated deviation never becomes a smaller one.

        Args:
            std: Stated standard deviations, any shape and unit; 0 is left out.
            error: Estimate minus truth, same shape and unit, of data that the network was not trained on.
            confidence: Where coverage is kept; lower values ignore more outliers.
        Raises:
            UnsuitableInputError: fewer than ``MIN_PAIRS`` pairs.
        """
        from sklearn.isotonic import IsotonicRegression

        error, std = _pairs(error, std, is_positive=True)
        if error.size < MIN_PAIRS:
            raise UnsuitableInputError(
                f"A calibration of deviations needs at least {MIN_PAIRS} values with known error; found {error.size}. "
                "Add cases to the validation part."
            )
        n_bins = min(max(error.size // PAIRS_PER_BIN, 1), MAX_BINS)
        inner_edges = np.unique(np.quantile(std, np.arange(1, n_bins) / n_bins))
        bins = np.searchsorted(inner_edges, std, side="right")
        stated, scaled, counts = [], [], []
        for members in (bins == index for index in np.unique(bins)):
            if members.sum() < MIN_PAIRS:  # Happens only where many deviations are equal.
                continue
            factor = np.quantile(np.abs(error[members]) / std[members], confidence) / _normal_quantile(confidence)
            stated.append(np.median(std[members]))
            scaled.append(max(factor * stated[-1], _TINY))
            counts.append(members.sum())
        rising = IsotonicRegression().fit_transform(np.log(stated), np.log(scaled), sample_weight=counts)
        return cls(tuple(map(float, stated)), tuple(map(float, np.exp(rising))))

    def apply(self, std: np.ndarray) -> np.ndarray:
        """Calibrated deviations; beyond the knots the factor is that of the nearest one.

        Args:
            std: Stated deviations, any shape, same unit as in ``fit``; NaN stays NaN, 0 stays 0.
        Returns:
            Same shape; float32 stays float32.
        """
        std = np.asarray(std)
        stated = np.log(self.stated_std)
        with np.errstate(divide="ignore"):
            found = np.log(std.astype(float))
        inside = np.interp(found, stated, np.log(self.calibrated_std))
        outside = np.minimum(found - stated[0], 0) + np.maximum(found - stated[-1], 0)
        return np.exp(inside + outside).astype(np.result_type(std.dtype, np.float32))

    def to_json(self) -> dict[str, Any]:
        """Two lists of numbers."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> StdCalibration:
        """The calibration of :meth:`to_json`.

        Raises:
            UnsuitableInputError: lists that are not such a map.
        """
        return cls(tuple(form["stated_std"]), tuple(form["calibrated_std"]))


@dataclass(frozen=True)
class PlattCalibration:
    """Probability of a score: 1 / (1 + e^-(slope·logit + intercept))."""

    slope: float
    """Per unit of the score; negative if it points the wrong way."""
    intercept: float
    """Log-odds at score 0."""

    @classmethod
    def fit(cls, logit: np.ndarray, is_true: np.ndarray) -> PlattCalibration:
        """Logistic regression on one score, towards Platt's targets (N₊+1)/(N₊+2) and 1/(N₋+2).

        They keep the slope finite when the score separates both kinds.

        Args:
            logit: Score, any shape, finite or NaN; larger should mean more likely true.
            is_true: Same shape, boolean.
        Raises:
            UnsuitableInputError: only one kind occurs.
        Source: Platt 1999; Lin HT, Lin CJ, Weng RC, Mach Learn 2007, 10.1007/s10994-007-5018-6.
        """
        from sklearn.linear_model import LogisticRegression

        logit, is_true = _pairs(logit, is_true)
        is_true = is_true.astype(bool)
        n_true, n_false = int(is_true.sum()), int((~is_true).sum())
        if not n_true or not n_false:
            raise UnsuitableInputError(
                f"A calibration of probabilities needs cases of both kinds; found {n_true} true and {n_false} false. "
                "Add cases of the kind that lacks."
            )
        target = np.where(is_true, (n_true + 1) / (n_true + 2), 1 / (n_false + 2))
        # A soft target is a pair of hard ones with weights. The score is standardised for the solver's sake only.
        centre, spread = logit.mean(), logit.std() or 1.0
        model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
            np.tile((logit - centre) / spread, 2)[:, None],
            np.repeat([1, 0], logit.size),
            sample_weight=np.concatenate([target, 1 - target]),
        )
        slope = float(model.coef_[0, 0] / spread)
        return cls(slope, float(model.intercept_[0] - slope * centre))

    def apply(self, logit: np.ndarray) -> np.ndarray:
        """Probabilities in [0, 1], same shape; NaN stays NaN."""
        from scipy.special import expit

        return expit(self.slope * np.asarray(logit) + self.intercept)

    def to_json(self) -> dict[str, float]:
        """Two numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> PlattCalibration:
        """The calibration of :meth:`to_json`."""
        return cls(float(form["slope"]), float(form["intercept"]))


def _pairs(first, second, is_positive=False):
    """Flat float64 arrays of the pairs without NaN and, if asked, with a positive second."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise ValueError(f"Pairs need arrays of one shape; found {first.shape} and {second.shape}.")
    keep = ~np.isnan(first) & ~np.isnan(second)
    if is_positive:
        keep &= (second > 0) & np.isfinite(second)
    return first[keep], second[keep]


def _normal_quantile(confidence):
    return NormalDist().inv_cdf((1 + confidence) / 2)
