"""What turns a network's log-odds into an answer: prior, temperature, interval and the answers that stay possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .conformal import SplitConformal
from .probability_calibration import TemperatureCalibration, prior_corrected_logit

COVERAGE = 0.9
"""Share of conformal sets that hold the truth."""
INTERVAL = 0.95
"""Confidence of the interval."""
TEMPERATURE_STD = 0.5
"""Prior standard deviation of the logarithm of the temperature: a dozen subjects alone do not determine it."""
N_BOOTSTRAP = 50
"""Temperatures of resampled calibration subjects, for intervals."""
_DRAWS_A_TEMPERATURE = 40


@dataclass(frozen=True)
class AnswerCalibration:
    """What a card keeps of the subjects that calibrated a model."""

    odds_ratio: float = 1.0
    """How many times the training raised the odds."""
    temperature: float = 1.0
    """What log-odds are divided by."""
    bootstrap_temperatures: tuple[float, ...] = ()
    """Of resampled subjects."""
    logits: tuple[float, ...] = ()
    """Calibrated log-odds of the subjects, for conformal sets; empty: nobody calibrated it."""
    labels: tuple[bool, ...] = ()
    """Their answers."""

    @classmethod
    def fit(cls, logits, labels, seed: int, odds_ratio: float = 1.0, has_temperature: bool = True) -> AnswerCalibration:
        """Fit to subjects that were not learnt from.

        Args:
            logits: Log-odds of subjects, prior corrected, shape (n,).
            labels: Shape (n,).
            seed: Of the resamples.
            odds_ratio: As the field.
            has_temperature: False: it stays 1.
        """
        logits, labels = np.asarray(logits, float), np.asarray(labels, bool)

        def temperature(k):
            found = TemperatureCalibration.fit(logits[k], labels[k], TEMPERATURE_STD) if has_temperature else None
            return found.temperature if found else 1.0

        best, rng = temperature(np.arange(labels.size)), np.random.default_rng([seed, 5])
        drawn = tuple(temperature(rng.integers(labels.size, size=labels.size)) for _ in range(N_BOOTSTRAP))
        kept = tuple(float(value) for value in logits / best)
        return cls(float(odds_ratio), best, drawn, kept, tuple(bool(value) for value in labels))

    @classmethod
    def from_card(cls, values: Mapping[str, Any]) -> AnswerCalibration:
        """Of :meth:`to_card`.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or wrong.
        """
        lists = (tuple(kind(one) for one in values.get(name, ())) for name, kind in _LISTS)
        return cls(float(values["odds_ratio"]), float(values["temperature"]), *lists)

    def to_card(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def corrected(self, raw) -> np.ndarray:
        """Log-odds at the real shares of the classes, any shape."""
        return prior_corrected_logit(raw, self.odds_ratio)

    def calibrated(self, logits) -> np.ndarray:
        """Log-odds with the temperature, any shape."""
        return np.asarray(logits, float) / self.temperature

    def interval(self, logits) -> tuple[float, float]:
        """Calibrated log-odds between which a subject's mean lies when images and calibration subjects are redrawn.

        Args:
            logits: Of the subject's images, corrected, not calibrated, shape (n_images,).
        """
        logits = np.asarray(logits, float)
        temperatures = np.array(self.bootstrap_temperatures or (self.temperature,), float)
        drawn = np.random.default_rng(0).integers(
            logits.size, size=(_DRAWS_A_TEMPERATURE * temperatures.size, logits.size)
        )
        found = logits[drawn].mean(axis=1) / np.tile(temperatures, _DRAWS_A_TEMPERATURE)
        low, high = np.quantile(found, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
        mean = float(self.calibrated(logits.mean()))
        return min(float(low), mean), max(float(high), mean)

    def possible(self, logit: float) -> tuple[tuple[bool, ...], bool]:
        """Answers that stay possible at :data:`COVERAGE`, and whether that holds in each class by itself.

        Args:
            logit: Of the subject, calibrated.
        Returns:
            Both answers where nobody calibrated the model.
        """
        if not self.logits:
            return (False, True), False
        conformal = SplitConformal.fit(probability_of(self.logits), np.array(self.labels, bool), COVERAGE)
        return tuple(sorted(conformal.predict([probability_of(logit)])[0])), conformal.is_per_class


_LISTS = (("bootstrap_temperatures", float), ("logits", float), ("labels", bool))


def probability_of(logit):
    """The probability of log-odds, any shape."""
    return 1 / (1 + np.exp(-np.asarray(logit, float)))
