"""Which unlabelled case the reader should be asked for next.

| symbol | here |
|---|---|
| p, probability of each class by the mean model | ``Candidates.class_probability`` |
| p_m, by member m of an ensemble or a dropout draw | ``Candidates.member_probability`` |
| H, entropy in nats | ``_entropy`` |

Every strategy gives each candidate a score, higher is asked first; :func:`choose` picks a batch one by one, and each
pick counts as labelled for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import UnsuitableInputError

DIVERSITY_WEIGHT, COVERAGE_WEIGHT = 0.5, 0.8
"""Share in the score of ``default`` of the distance, where there are classes, or of the coverage, where there is one
number a case; the rest is what the model does not know."""
N_REFERENCES = 200
"""Candidates at most that coverage is counted over, drawn at random: time grows linearly with the candidates."""


@dataclass(frozen=True)
class Candidates:
    """Unlabelled cases, what a model says of each, and what is labelled already.

    Raises:
        UnsuitableInputError: a number that is not finite.
        ValueError: shapes that do not belong together.
    """

    case_ids: Sequence[str]
    """Of the unlabelled cases."""
    patient_ids: Sequence[str]
    """Patient of each; compared as text."""
    probability: np.ndarray | None = None
    """Of each class, shape (n, n_classes), fractions; None: the model gives none."""
    member_probability: np.ndarray | None = None
    """By each member of an ensemble or dropout draw, shape (n_members, n, n_classes)."""
    uncertainty: np.ndarray | None = None
    """One number a case, higher is less certain, shape (n,): mean stated variance of the PDFF in the liver, or 1 less
    the predicted quality of a region."""
    features: np.ndarray | None = None
    """What distances are taken in, of comparable scale, shape (n, d)."""
    labelled_patients: Sequence[str] = ()
    """Patients of the labelled cases; one may occur several times."""
    labelled_features: np.ndarray | None = None
    """Of the labelled cases, shape (n_labelled, d)."""
    distance: np.ndarray | None = None
    """To the nearest labelled case, shape (n,); None: found from the features. Infinite where nothing is labelled."""

    def __post_init__(self):
        n = len(self.case_ids)
        shapes = {"patient_ids": (len(self.patient_ids),), "probability": None, "uncertainty": None, "features": None}
        for name in ("probability", "member_probability", "uncertainty", "features", "labelled_features", "distance"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), float))
                shapes[name] = getattr(self, name).shape
        wanted = {
            "patient_ids": (n,),
            "probability": (n, None),
            "member_probability": (None, n, None),
            "uncertainty": (n,),
            "features": (n, None),
            "distance": (n,),
        }
        for name, shape in wanted.items():
            found = shapes.get(name)
            if found is not None and (
                len(found) != len(shape) or any(w not in (None, f) for w, f in zip(shape, found, strict=True))
            ):
                raise ValueError(f"Candidates need '{name}' for {n} cases; found the shape {found}.")
        for name in ("probability", "member_probability", "uncertainty", "features", "labelled_features"):
            values = getattr(self, name)
            if values is not None and not np.isfinite(values).all():
                raise UnsuitableInputError(
                    f"Choosing a case needs finite numbers; {int((~np.isfinite(values)).sum())} of {values.size} "
                    f"values of '{name}' are not. Leave out these cases, or the strategy that reads them."
                )
        if self.features is not None and self.distance is None:
            known = self.labelled_features
            has_any = known is not None and len(known)
            if has_any and known.shape[1:] != self.features.shape[1:]:
                raise ValueError(f"Features need one length; found {self.features.shape} and {known.shape}.")
            distance = nearest_distance(self.features, known) if has_any else np.full(n, np.inf)
            object.__setattr__(self, "distance", distance)

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def class_probability(self) -> np.ndarray | None:
        """``probability``, or the mean of the members; shape (n, n_classes)."""
        if self.probability is None and self.member_probability is not None:
            return self.member_probability.mean(axis=0)
        return self.probability

    def without(self, k: int) -> Candidates:
        """The others, when candidate ``k`` counts as labelled."""
        keep = np.arange(len(self)) != k
        distance = self.distance
        if self.features is not None:
            distance = np.minimum(distance, np.linalg.norm(self.features - self.features[k], axis=1))
        rows = {
            name: None if getattr(self, name) is None else getattr(self, name)[keep]
            for name in ("probability", "uncertainty", "features")
        }
        return replace(
            self,
            case_ids=[name for name, kept in zip(self.case_ids, keep, strict=True) if kept],
            patient_ids=[name for name, kept in zip(self.patient_ids, keep, strict=True) if kept],
            member_probability=None if self.member_probability is None else self.member_probability[:, keep],
            labelled_patients=[*self.labelled_patients, self.patient_ids[k]],
            distance=None if distance is None else distance[keep],
            **rows,
        )


def nearest_distance(features: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row, shape (n, d), to the nearest labelled one, shape (n_labelled, d)."""
    nearest = np.full(len(features), np.inf)
    for row in labelled:
        np.minimum(nearest, np.linalg.norm(features - row, axis=1), out=nearest)
    return nearest


def random(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """No preference; what the others are compared with."""
    return rng.random(len(candidates))


def least_confidence(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """1 - max p. Source: Lewis DD, Gale WA, SIGIR 1994, 10.1007/978-1-4471-2099-5_1."""
    return 1 - candidates.class_probability.max(axis=1)


def entropy(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """H(p), nats. Source: Shannon CE, Bell Syst Tech J 1948, 10.1002/j.1538-7305.1948.tb01338.x."""
    return _entropy(candidates.class_probability)


def bald(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """Mutual information of answer and model, H(mean p_m) - mean H(p_m), nats: what the members disagree about.

    Source: Houlsby N et al., 2011, 10.48550/arXiv.1112.5745, equation 2.
    """
    members = candidates.member_probability
    return np.maximum(_entropy(members.mean(axis=0)) - _entropy(members).mean(axis=0), 0)


def core_set(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """Distance to the nearest labelled case: greedy k-centre.

    Source: Sener O, Savarese S, ICLR 2018, 10.48550/arXiv.1708.00489, algorithm 1.
    """
    return candidates.distance


def coverage(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """By how much a case brings the others nearer to a labelled one, mean over them: the typical before the odd.

    Source: facility location, Wei K, Iyer R, Bilmes J, ICML 2015, section 3.
    """
    c, n = candidates, len(candidates)
    picked = np.arange(n) if n <= N_REFERENCES else rng.choice(n, N_REFERENCES, replace=False)
    squares = (c.features**2).sum(axis=1)
    between = squares[:, None] + squares[picked] - 2 * c.features @ c.features[picked].T
    between = np.sqrt(np.maximum(between, 0))
    nearest = c.distance[picked]
    nearest = np.where(np.isfinite(nearest), nearest, between.max())  # Nothing is labelled.
    return np.maximum(nearest - between, 0).mean(axis=1)


def variance(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """The stated uncertainty itself."""
    return candidates.uncertainty


def default(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """What the model does not know and what the labelled cases do not show, each as a rank; unseen patients first.

    (1 - w)·rank(informativeness) + w·rank(diversity), plus 1 for a patient without label: no patient is asked twice
    before every other was seen. With classes, informativeness is BALD where there are members, else entropy, and
    diversity the distance; else they are the stated uncertainty and the coverage. What is not there is left out.
    """
    parts, c = [], candidates
    has_classes = c.member_probability is not None or c.probability is not None
    is_one_number = not has_classes and c.uncertainty is not None
    weight = COVERAGE_WEIGHT if is_one_number else DIVERSITY_WEIGHT
    if has_classes or is_one_number:
        informs = bald if c.member_probability is not None else entropy if has_classes else variance
        parts.append((1 - weight, _rank(informs(c, rng))))
    if c.features is not None:
        parts.append((weight, _rank(coverage(c, rng) if is_one_number else c.distance)))
    score = sum(weight * rank for weight, rank in parts) / sum(weight for weight, _ in parts)
    seen = {str(patient) for patient in c.labelled_patients}
    return score + np.array([str(patient) not in seen for patient in c.patient_ids])


@dataclass(frozen=True)
class Strategy:
    """One way to choose."""

    score: Callable[[Candidates, np.random.Generator], np.ndarray]
    """Of each candidate, shape (n,); higher is asked first."""
    needs: tuple[tuple[str, ...], ...] = ()
    """Fields of :class:`Candidates`; of each group one at least."""


STRATEGIES = {
    "random": Strategy(random),
    "least_confidence": Strategy(least_confidence, (("probability", "member_probability"),)),
    "entropy": Strategy(entropy, (("probability", "member_probability"),)),
    "bald": Strategy(bald, (("member_probability",),)),
    "core_set": Strategy(core_set, (("features",),)),
    "coverage": Strategy(coverage, (("features",),)),
    "variance": Strategy(variance, (("uncertainty",),)),
    "default": Strategy(default, (("probability", "member_probability", "uncertainty", "features"),)),
}
"""Name -> strategy."""
INPUTS = ("probability", "member_probability", "uncertainty", "features")
"""What strategies may read of a candidate."""


def usable_strategies(candidates: Candidates) -> tuple[str, ...]:
    """Names of the strategies whose inputs are there."""
    return tuple(name for name, one in STRATEGIES.items() if not _lacking(one, candidates))


def strategy_named(name: str) -> Strategy:
    """A strategy of the table.

    Raises:
        UnsuitableInputError: an unknown name.
    """
    if name not in STRATEGIES:
        raise UnsuitableInputError(
            f"The strategy needs to be one of {', '.join(STRATEGIES)}; found {name!r}. Choose of these."
        )
    return STRATEGIES[name]


def scores(candidates: Candidates, strategy: str, rng: np.random.Generator) -> np.ndarray:
    """Score of each candidate by a named strategy, shape (n,); higher is asked first.

    Raises:
        UnsuitableInputError: an unknown strategy, or one whose inputs are not there.
    """
    chosen = strategy_named(strategy)
    for group in _lacking(chosen, candidates):
        there = [name for name in INPUTS if getattr(candidates, name) is not None]
        raise UnsuitableInputError(
            f"The strategy '{strategy}' needs {' or '.join(group)} of each case; found "
            f"{', '.join(there) or 'none of what strategies read'}. Choose another strategy, or a model that gives it."
        )
    return np.asarray(chosen.score(candidates, rng), float)


def choose(candidates: Candidates, strategy: str = "default", n: int = 1, seed: int = 0) -> list[str]:
    """Pick a batch of cases one by one; a pick counts as labelled for the next.

    Args:
        candidates: The unlabelled cases.
        strategy: Of :data:`STRATEGIES`.
        n: Cases of the batch; fewer when fewer are left.
        seed: Of random scores and of ties.
    Returns:
        Ids in the order in which to ask; empty when every case is labelled.
    Raises:
        UnsuitableInputError: an unknown strategy, one whose inputs are not there, or a batch without cases.
    """
    if n < 1:
        raise UnsuitableInputError(f"A batch needs 1 case at least; found {n}. Ask for more.")
    strategy_named(strategy)
    rng, picked = np.random.default_rng(seed), []
    while len(candidates) and len(picked) < n:
        score = scores(candidates, strategy, rng)
        tied = np.flatnonzero(score == score.max())
        # By name, so that the order in which the cases come does not matter among equals.
        tied = sorted(tied, key=lambda k: str(candidates.case_ids[k]))
        k = int(tied[rng.integers(len(tied))])
        picked.append(candidates.case_ids[k])
        candidates = candidates.without(k)
    return picked


def _lacking(strategy: Strategy, candidates: Candidates) -> list[tuple[str, ...]]:
    """Groups of inputs of which none is there."""
    return [group for group in strategy.needs if all(getattr(candidates, name) is None for name in group)]


def _entropy(probability: np.ndarray) -> np.ndarray:
    """-Σ p·log p over the last axis, nats."""
    return -(probability * np.log(np.where(probability > 0, probability, 1))).sum(axis=-1)


def _rank(values: np.ndarray) -> np.ndarray:
    """Mean rank of each value from 0 to 1; equal values share theirs, 0.5 when all are equal."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return (middle / (len(values) - 1) if len(values) > 1 else middle + 0.5)[inverse]
