"""Split conformal prediction for a yes-or-no question: sets of answers that hold the truth as often as asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError

ABSTAIN = frozenset((True, False))
"""Both answers stay possible."""


@dataclass(frozen=True)
class SplitConformal:
    """Which answers stay possible at a probability.

    A set of one answer is a decision; both answers, or none, mean *abstain*: none says that the case is unlike
    those it was fitted on.
    """

    coverage: float
    """Share of sets that hold the truth, at least, for exchangeable cases."""
    threshold_positive: float
    """Largest 1 - probability at which "yes" stays possible."""
    threshold_negative: float
    """Largest probability at which "no" stays possible."""
    is_per_class: bool
    """Whether the coverage holds in each class by itself, or over both only."""

    @classmethod
    def fit(
        cls,
        probability: Sequence[float],
        is_true: Sequence[bool],
        coverage: float = 0.9,
        per_class: bool | None = None,
    ) -> SplitConformal:
        """The quantile ⌈(n+1)·coverage⌉/n of how little was given to the truth, 1 - p(truth).

        Too few cases for the quantile make every answer possible: then no decision is promised.

        Args:
            probability: Of cases that were not trained on, shape (n,).
            is_true: Shape (n,).
            coverage: Asked for, within (0, 1).
            per_class: Hold the coverage in each class by itself, so that a rare one is not paid for by the other, or
                (False) over both. ``None``: in each class where both have cases enough for their quantile (nine for
                90 %), over both otherwise, which a class too small would leave without any decision.
        Raises:
            UnsuitableInputError: no case, values outside their range, or a coverage that is none.
        Source: Vovk V et al., Algorithmic Learning in a Random World, 2005, 10.1007/b106715; Sadinle M et al., JASA
            2019, 10.1080/01621459.2017.1395341.
        """
        probability, is_true = np.asarray(probability, float), np.asarray(is_true, bool)
        if not 0 < coverage < 1:
            raise UnsuitableInputError(f"A coverage needs to lie between 0 and 1; found {coverage:g}.")
        if not probability.size or not ((probability >= 0) & (probability <= 1)).all():
            raise UnsuitableInputError(
                f"Conformal sets need calibration cases with a probability from 0 to 1 each; found {probability.size}, "
                f"{int((~((probability >= 0) & (probability <= 1))).sum())} without one."
            )
        score = np.where(is_true, 1 - probability, probability)
        if per_class is None:
            per_class = min(is_true.sum(), (~is_true).sum()) >= cases_needed(coverage)
        if not per_class:
            both = _quantile(score, coverage)
            return cls(float(coverage), both, both, False)
        return cls(float(coverage), _quantile(score[is_true], coverage), _quantile(score[~is_true], coverage), True)

    def predict(self, probability: Sequence[float]) -> tuple[frozenset, ...]:
        """The answers that stay possible at each probability: {True}, {False}, both, or none."""
        return tuple(
            frozenset(
                answer
                for answer, score, limit in (
                    (True, 1 - p, self.threshold_positive),
                    (False, p, self.threshold_negative),
                )
                if score <= limit
            )
            for p in np.asarray(probability, float)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> SplitConformal:
        """The sets of :meth:`to_json`."""
        limits = (float(form[name]) for name in ("coverage", "threshold_positive", "threshold_negative"))
        return cls(*limits, bool(form["is_per_class"]))


def is_abstention(answers: frozenset) -> bool:
    """Whether a set leaves the decision open."""
    return len(answers) != 1


def cases_needed(coverage: float) -> int:
    """Fewest calibration cases whose quantile exists: nine for 90 %."""
    return int(np.ceil(coverage / (1 - coverage) - 1e-9))


def _quantile(score, coverage):
    rank = int(np.ceil((score.size + 1) * coverage - 1e-12))
    return float(np.sort(score)[rank - 1]) if 1 <= rank <= score.size else 1.0
