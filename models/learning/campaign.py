"""Annotation campaigns replayed on a labelled pool: how fast a model learns when a strategy chooses what is labelled.

For each seed patients are divided into pool and held-out test. Every strategy begins with the same labelled cases, gets
``batch`` labels a round from the pool, and the model's quality on the held-out patients is taken after each round.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import UnsuitableInputError
from .acquisition import Candidates, choose, strategy_named, usable_strategies
from .splits import split_by_patient

BASELINE = "random"
"""What every strategy is compared with; it is always replayed."""


class Learner(Protocol):
    """A labelled pool and a model that learns from part of it."""

    n_cases: int
    """Of the pool and the test together."""
    case_ids: Sequence[str]
    """Of all cases."""
    patient_ids: Sequence[str]
    """Patient of each."""
    quality_name: str
    """What the quality is, such as "AUC"; higher is better."""
    labels: Sequence[Any] | None
    """Class of each case, which balances the split and the start; None, or no such attribute: there are no classes."""
    chance: float | None
    """Quality of a model that knows nothing; None, or no such attribute: not known."""
    data: str
    """"simulated", "partly_simulated" or "measured": what reports say."""

    def fit(self, indices: np.ndarray, seed: int) -> Any:
        """A model that saw the answers of these cases only."""

    def candidates(self, model: Any, indices: np.ndarray, labelled: np.ndarray) -> Candidates:
        """What the model says of unlabelled cases, whose answers it must not use; ``labelled`` are the others'."""

    def quality(self, model: Any, test_indices: np.ndarray) -> float:
        """On cases of patients that the model never saw."""


class Records(Protocol):
    """Keeps what was computed, such as :class:`..io.json_records.JsonRecords`."""

    def load(self, name: str) -> dict | None:
        """What was kept, None without."""

    def save(self, name: str, value: dict) -> None:
        """Keep it."""


@dataclass(frozen=True)
class CampaignOptions:
    """One campaign.

    Raises:
        UnsuitableInputError: a value out of range, or an unknown strategy.
    """

    strategies: tuple[str, ...] | None = None
    """Of :data:`.acquisition.STRATEGIES`; None: all whose inputs the learner gives. "random" is always among them."""
    n_seeds: int = 10
    """Repetitions, each with its own split and start."""
    first_seed: int = 0
    """Seed of the first; the others follow."""
    n_start: int = 6
    """Labelled cases at the start, drawn at random; few, since what chance gives cannot tell strategies apart."""
    batch: int = 2
    """Labels a round: the grain of what is counted."""
    max_labels: int | None = None
    """The last round has so many; None: until the pool is labelled."""
    test_fraction: float = 1 / 3
    """Share of the patients held out."""
    n_reference: int = 3
    """Trainings on the whole pool, whose mean quality is the reference."""

    def __post_init__(self):
        for name, low, high in (("n_seeds", 1, 1000), ("n_start", 2, 100_000), ("batch", 1, 100_000)):
            if not low <= getattr(self, name) <= high:
                raise UnsuitableInputError(
                    f"A campaign needs {name} from {low} to {high}; found {getattr(self, name)}."
                )
        if self.first_seed < 0:
            raise UnsuitableInputError(f"A campaign needs a seed from 0; found {self.first_seed}.")
        if not 0.1 <= self.test_fraction <= 0.9:
            raise UnsuitableInputError(f"The share held out needs to be 0.1 to 0.9; found {self.test_fraction:g}.")
        if self.max_labels is not None and self.max_labels <= self.n_start:
            raise UnsuitableInputError(
                f"A campaign needs more labels than the {self.n_start} of its start; found {self.max_labels}. Ask for "
                "more."
            )
        for name in self.strategies or ():
            strategy_named(name)

    @property
    def seeds(self) -> range:
        """Of the repetitions."""
        return range(self.first_seed, self.first_seed + self.n_seeds)


@dataclass(frozen=True)
class Unit:
    """One strategy in one repetition."""

    seed: int
    """Of split, start and training."""
    strategy: str
    """Its name."""
    n_labels: tuple[int, ...]
    """Labelled cases after each round, the start first."""
    quality: tuple[float, ...]
    """On the held-out patients then."""
    asked: tuple[str, ...]
    """Cases in the order in which they were labelled, the start first."""
    full_quality: float
    """Mean quality of models that learnt from the whole pool."""
    n_pool: int
    """Cases of the pool."""


@dataclass(frozen=True)
class Split:
    """The parts of one repetition, indices of cases."""

    pool: np.ndarray
    """May be labelled."""
    test: np.ndarray
    """Held out, of other patients."""
    start: np.ndarray
    """Of the pool, labelled at the start; the same for every strategy."""


def run_campaign(
    learner: Learner,
    options: CampaignOptions,
    records: Records | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Unit]:
    """Replay every strategy in every repetition; what the records hold is not computed again.

    Args:
        learner: Pool and model.
        options: What is replayed.
        records: Keep each unit; None: nothing is kept.
        progress: Called as progress(done, total) in units; it may raise to stop. What was done is kept.
    Returns:
        Units in the order of seeds and strategies, "random" first.
    Raises:
        UnsuitableInputError: too few cases or patients, a class too few, or a strategy whose inputs the learner does
            not give.
    """
    splits = {seed: split_of(learner, options, seed) for seed in options.seeds}
    strategies = _strategies(learner, options, splits)
    total, units = len(splits) * len(strategies), []
    for seed, split in splits.items():
        full = None
        for strategy in strategies:
            if progress:
                progress(len(units), total)
            name = f"{strategy}_seed_{seed:04d}"
            kept = None if records is None else records.load(name)
            if kept is None:
                full = _full_quality(learner, options, seed, split) if full is None else full
                kept = asdict(_replay(learner, options, seed, strategy, split, full))
                if records is not None:
                    records.save(name, kept)
            units.append(Unit(**{key: tuple(v) if isinstance(v, list | tuple) else v for key, v in kept.items()}))
    if progress:
        progress(total, total)
    return units


def digest_of(learner: Learner, options: CampaignOptions) -> str:
    """SHA-256 of what a unit depends on: code, cases, answers and settings.

    A learner adds its own data as attribute ``digest``; of code, this room's and the learner's module are looked at.
    """
    labels = getattr(learner, "labels", None)
    shared = ("strategies", "n_seeds", "first_seed")
    settings = {key: value for key, value in asdict(options).items() if key not in shared}
    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(inspect.getfile(type(learner)))]
    about = [
        [str(name) for name in learner.case_ids],
        [str(name) for name in learner.patient_ids],
        None if labels is None else [str(label) for label in labels],
        learner.quality_name,
        getattr(learner, "digest", ""),
        settings,
        [hashlib.sha256(file.read_bytes()).hexdigest() for file in sources],
    ]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def split_of(learner: Learner, options: CampaignOptions, seed: int) -> Split:
    """Pool, test and start of one repetition; both sides, and the start, hold every class of the pool.

    Raises:
        UnsuitableInputError: too few cases for the start, or fewer than it has classes.
    """
    labels = getattr(learner, "labels", None)
    shares = {"pool": 1 - options.test_fraction, "test": options.test_fraction}
    parts = split_by_patient(learner.patient_ids, shares, seed, labels)
    pool = parts["pool"]
    if len(pool) <= options.n_start:
        raise UnsuitableInputError(
            f"A campaign that starts with {options.n_start} labels needs a larger pool; found {len(pool)} cases beside "
            f"the {len(parts['test'])} held out. Add cases or start with fewer."
        )
    order = np.random.default_rng([seed, 1]).permutation(pool)
    start = list(order[: options.n_start])
    if labels is not None:
        start = _with_every_class(start, order, labels)
    return Split(pool, parts["test"], np.sort(np.array(start, dtype=np.intp)))


def _with_every_class(start: list, order: np.ndarray, labels: Sequence[Any]) -> list:
    """The start, in which the last case of the most frequent class gives way to the first of each that lacks."""
    classes = sorted({str(labels[k]) for k in order})
    if len(start) < len(classes):
        raise UnsuitableInputError(
            f"The start needs a case of each of {len(classes)} classes; found room for {len(start)}. Start with more."
        )
    for name in classes:
        if name not in {str(labels[k]) for k in start}:
            held = [str(labels[k]) for k in start]
            most = max(classes, key=held.count)
            start.pop(len(held) - 1 - held[::-1].index(most))
            start.append(next(k for k in order if str(labels[k]) == name))
    return start


def _strategies(learner, options, splits) -> tuple[str, ...]:
    if options.strategies is not None:
        return tuple(dict.fromkeys([BASELINE, *options.strategies]))
    split = next(iter(splits.values()))
    rest = np.setdiff1d(split.pool, split.start)
    return usable_strategies(learner.candidates(learner.fit(split.start, options.first_seed), rest, split.start))


def _full_quality(learner, options, seed, split) -> float:
    found = [
        learner.quality(learner.fit(split.pool, _seed(seed, 0, k)), split.test) for k in range(options.n_reference)
    ]
    return float(np.mean(found))


def _replay(learner, options, seed, strategy, split, full_quality) -> Unit:
    labelled, asked = split.start, [learner.case_ids[k] for k in split.start]
    index_of = {learner.case_ids[k]: k for k in split.pool}
    counts, qualities, last = [], [], min(options.max_labels or len(split.pool), len(split.pool))
    while True:
        # Training draws by the round and not by the strategy, so that strategies differ by their labels only.
        model = learner.fit(labelled, _seed(seed, 1, len(counts)))
        counts.append(len(labelled))
        qualities.append(float(learner.quality(model, split.test)))
        if len(labelled) >= last:
            break
        rest = np.setdiff1d(split.pool, labelled)
        candidates = learner.candidates(model, rest, labelled)
        picked = choose(candidates, strategy, min(options.batch, last - len(labelled)), _seed(seed, 2, len(counts)))
        asked += picked
        labelled = np.sort(np.append(labelled, [index_of[name] for name in picked]))
    return Unit(seed, strategy, tuple(counts), tuple(qualities), tuple(asked), full_quality, len(split.pool))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
