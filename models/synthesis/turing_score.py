"""How well readers told real frames from generated ones, with intervals.

As in the paper a real image is the positive: sensitivity is the share of real images called real, specificity that of
synthetic images called synthetic. Whoever guesses has both add up to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from ..io.manifest_checks import check_type, checked
from ..learning.diagnostic import Share
from .turing import REAL, TuringKey, read_record
from .turing_page import ANSWERS_SCHEMA

MEASURES = ("accuracy", "sensitivity", "specificity")
SYNTHETIC = "synthetic"
N_RESAMPLES = 4000
CONFIDENCE = 0.95
PAPER = {
    "fatty": ((0.510, 0.332, 0.687), (0.569, 0.339, 0.799), (0.467, 0.164, 0.770)),
    "healthy": ((0.516, 0.461, 0.570), (0.629, 0.240, 1.017), (0.450, 0.170, 0.730)),
    "all": ((0.512, 0.406, 0.618), (0.590, 0.322, 0.858), (0.460, 0.209, 0.711)),
}
"""Group -> value, low, high of each measure. Table 1 of Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z."""


@dataclass(frozen=True)
class Answers:
    """What one reader called each image."""

    study: str
    """Id of the page."""
    reader: str
    """Name."""
    answers: tuple[str, ...]
    """``real`` or ``synthetic``, in the order shown."""
    seconds: tuple[float, ...] = ()
    """Spent on each image; empty: not known."""


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    value: float | None
    """Fraction; None: no image counts."""
    low: float | None
    """Lower end."""
    high: float | None
    """Upper end."""
    n: int
    """Decisions it is a share of."""


@dataclass(frozen=True)
class ReaderScore:
    """One reader, or all together."""

    reader: str
    """Name; of all together ``all readers``."""
    group: str
    """``all``, ``fatty``, ``healthy``, or a source of synthetic images, which has a specificity only."""
    accuracy: Rate
    """Of all images those called what they are."""
    sensitivity: Rate
    """Of real images those called real."""
    specificity: Rate
    """Of synthetic images those called synthetic."""
    p_value: float | None = None
    """Fisher's exact test of whether the answers go with the truth; None for several readers or one kind of image."""
    median_seconds: float | None = None
    """An image; None: not known."""

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


@dataclass(frozen=True)
class TuringResult:
    """All scores of a study."""

    readers: tuple[ReaderScore, ...]
    """Each reader over all images, in the order of their names; intervals by Wilson."""
    pooled: tuple[ReaderScore, ...]
    """All readers together: all images, then each group; intervals by resampling readers and images."""
    agreement: float | None
    """Fleiss' kappa between readers; None for one reader."""
    called_real: tuple[float, ...]
    """Of each image shown the share of readers who called it real."""


def read_answers(path: Path | str) -> Answers:
    """One reader's file.

    Raises:
        UnsuitableInputError: another file, one with a fault, or an image without an answer.
    """
    name = Path(path).name
    values = checked(Answers, read_record(path, ANSWERS_SCHEMA, "A reader's answers"), name)
    for kind, types in (("study", (str,)), ("reader", (str,)), ("answers", (list,)), ("seconds", (list,))):
        check_type(values, kind, types, name)
    missing = sum(one is None for one in values["answers"])
    if missing:
        raise UnsuitableInputError(
            f"A reader's answers need one for every image; '{name}' lacks {missing} of {len(values['answers'])}. Let "
            "the reader finish."
        )
    strange = [one for one in values["answers"] if one not in (REAL, SYNTHETIC)]
    if strange:
        raise UnsuitableInputError(f"In '{name}', an answer needs to be real or synthetic; found {strange[0]!r}.")
    if not all(isinstance(one, (int, float)) for one in values.get("seconds", [])):
        raise UnsuitableInputError(f"In '{name}', seconds need to be numbers. Give the file as it was saved.")
    return Answers(
        values["study"], values["reader"], tuple(values["answers"]), tuple(map(float, values.get("seconds", [])))
    )


def score(key: TuringKey, answers: Sequence[Answers], *, seed: int = 0) -> TuringResult:
    """Compare readers with the key.

    Args:
        key: Of the study.
        answers: One a reader.
        seed: Of the resampling.
    Raises:
        UnsuitableInputError: no reader, one twice, or answers of another study.
    """
    answers = sorted(answers, key=lambda one: one.reader)
    _check(key, answers)
    is_real = key.is_real
    called = np.array([[one == REAL for one in reader.answers] for reader in answers])
    everything = np.ones(is_real.size, bool)
    readers = tuple(_one(reader.reader, called[k], is_real, reader.seconds) for k, reader in enumerate(answers))
    groups = [("all", everything)]
    is_fatty = np.array([one.is_fatty is True for one in key.images])
    if all(one.is_fatty is not None for one in key.images):
        groups += [("fatty", is_fatty), ("healthy", ~is_fatty)]
    sources = np.array([one.source for one in key.images])
    groups += [(name, sources == name) for name in sorted(set(sources) - {REAL})]
    pooled = tuple(
        _pooled(name, called[:, mask], is_real[mask], sources[mask], np.random.default_rng(seed))
        for name, mask in groups
        if mask.any()
    )
    kappa = _fleiss_kappa(called) if len(answers) > 1 else None
    return TuringResult(readers, pooled, kappa, tuple(called.mean(axis=0).tolist()))


def _check(key: TuringKey, answers: Sequence[Answers]) -> None:
    if not answers:
        raise UnsuitableInputError("A score needs the answers of one reader at least; found none. Give their files.")
    names = [one.reader for one in answers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnsuitableInputError(
            f"Each reader's answers count once; '{twice[0]}' is there {names.count(twice[0])} times. Leave one out, or "
            "give different readers different names."
        )
    for one in answers:
        if one.study != key.study or len(one.answers) != len(key.images):
            raise UnsuitableInputError(
                f"Answers need to be of the key's study, {key.study} with {len(key.images)} images; those of "
                f"'{one.reader}' are of {one.study} with {len(one.answers)}. Give the key of that page."
            )


def _one(name: str, called: np.ndarray, is_real: np.ndarray, seconds: tuple[float, ...]) -> ReaderScore:
    from scipy.stats import fisher_exact

    right = called == is_real
    shares = [Share.of(int(right[mask].sum()), int(mask.sum())) for mask in _masks(is_real)]
    table = [[int((called[is_real] == value).sum()), int((called[~is_real] == value).sum())] for value in (True, False)]
    rates = (Rate(share.value, share.low, share.high, share.n) for share in shares)
    median = float(np.median(seconds)) if seconds else None
    return ReaderScore(name, "all", *rates, p_value=float(fisher_exact(table).pvalue), median_seconds=median)


def _masks(is_real: np.ndarray) -> tuple[np.ndarray, ...]:
    return np.ones(is_real.size, bool), is_real, ~is_real


def _pooled(group: str, called: np.ndarray, is_real: np.ndarray, sources: np.ndarray, rng) -> ReaderScore:
    """Means over readers and images. Readers and, within each source, images are drawn with replacement."""
    right = called == is_real
    n_readers, n_images = right.shape
    # How often each reader and each image was drawn.
    readers = rng.multinomial(n_readers, [1 / n_readers] * n_readers, N_RESAMPLES)
    images = np.zeros((N_RESAMPLES, n_images))
    for name in sorted(set(sources)):
        members = np.flatnonzero(sources == name)
        images[:, members] = rng.multinomial(members.size, [1 / members.size] * members.size, N_RESAMPLES)
    hits = (readers @ right) * images / n_readers
    rates = []
    for mask in _masks(is_real):
        n = int(mask.sum())
        if not n:
            rates.append(Rate(None, None, None, 0))
            continue
        ends = np.quantile(hits[:, mask].sum(axis=1) / n, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        rates.append(Rate(float(right[:, mask].mean()), *map(float, ends), n * n_readers))
    return ReaderScore("all readers", group, *rates)


def _fleiss_kappa(called: np.ndarray) -> float | None:
    """Agreement beyond chance, shape (n_readers, n_images); None where all call everything the same.

    Source: Fleiss JL, Psychol Bull 1971, 10.1037/h0031619.
    """
    n = len(called)
    counts = np.stack([called.sum(axis=0), n - called.sum(axis=0)], axis=1)
    observed = float(((counts**2).sum(axis=1) - n).mean() / (n * (n - 1)))
    expected = float(((counts.mean(axis=0) / n) ** 2).sum())
    return None if expected >= 1 else (observed - expected) / (1 - expected)
