"""How far two sets of images are apart, from their features, and what each set holds.

| symbol | here |
|---|---|
| μ₁, S₁; μ₂, S₂ | mean and covariance (divisor n - 1) of the features of either set |
| X, Y | centred features, shapes (n, d) and (m, d) |
| k(x, y) | (x·y/d + 1)³, the kernel of KID |

FID = |μ₁ - μ₂|² + tr S₁ + tr S₂ - 2 tr √(S₁S₂), and tr √(S₁S₂) is the sum of the singular values of XYᵀ over
√((n-1)(m-1)): exact, and of an n x m matrix instead of a d x d one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.intervals import expanded_percentiles

N_SPLITS = 10
"""Of the Inception Score (the papers')."""
N_NEAREST = 3
"""Neighbour whose distance is the radius of an image, for precision and recall (Kynkäänniemi's)."""
N_RESAMPLES = 1000
"""Of KID's interval."""
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class KernelDistance:
    """Kernel Inception Distance: the squared maximum mean discrepancy, without bias."""

    value: float
    """About 0, and as often below as above it, for two sets from one source."""
    low: float
    """Lower end of the interval by resampling patients (images, where a set has no patients) of both sets."""
    high: float
    """Upper end."""
    confidence: float
    """Of the interval."""
    n_groups: tuple[int, int]
    """Patients, or images, that were resampled in either set."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name; an end that cannot be had is None."""
        found = asdict(self) | {"n_groups": list(self.n_groups)}
        return found | {end: None for end in ("low", "high") if np.isnan(found[end])}


@dataclass(frozen=True)
class InceptionScore:
    """How sure a classifier is of each image, and how evenly the images spread over its classes."""

    value: float
    """Mean over splits, from 1 to the number of classes."""
    std: float
    """Between splits."""
    n_splits: int
    """Parts of the set that were scored."""
    n_classes: int
    """Of the classifier."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of the normal distributions of two sets' features (FID with an Inception's), exact.

    Time grows with min(n, d)·min(m, d)·d. It is biased upwards by few images: compare sets of one size only.

    Args:
        first: Shape (n, d), n ≥ 2.
        second: Shape (m, d), m ≥ 2.
    Raises:
        UnsuitableInputError: fewer than two images, features that are not finite.
    Source: Heusel M et al., NeurIPS 2017, 10.48550/arXiv.1706.08500, equation 6; tr √(S₁S₂) as the nuclear norm: the
        eigenvalues of S₁S₂ are the squared singular values of XYᵀ, scaled.
    """
    first, second = _checked(first, second)
    gap = first.mean(axis=0) - second.mean(axis=0)
    roots, traces = [], []
    for features in (first, second):
        centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
        traces.append(float((centred**2).sum()))
        # RᵀR = XᵀX, so that many images cost no more than d of them.
        roots.append(np.linalg.qr(centred, mode="r") if centred.shape[0] > centred.shape[1] else centred)
    cross = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return max(float(gap @ gap) + traces[0] + traces[1] - 2 * cross, 0.0)


def kernel_distance(
    first: np.ndarray,
    second: np.ndarray,
    first_groups: Sequence[Any] | None = None,
    second_groups: Sequence[Any] | None = None,
    confidence: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> KernelDistance:
    """KID of two sets, from all pairs of images, with an interval over patients.

    mean k(x, x') + mean k(y, y') - 2 mean k(x, y), the first two over pairs of different groups. Frames of one patient
    are alike: counted as pairs, they would make two halves of one hospital's patients look different. Resampling draws
    whole groups of both sets; a group drawn twice is no pair with itself.

    Args:
        first: Features, shape (n, d).
        second: Features, shape (m, d).
        first_groups: Patient of each image; None: each image is a group of its own, as synthetic ones are.
        second_groups: Likewise.
        confidence: Of the interval.
        n_resamples: Of the groups; 0: no interval.
        seed: Of the resampling.
    Raises:
        UnsuitableInputError: a set of one group, features that are not finite.
    Source: Bińkowski M et al., ICLR 2018, 10.48550/arXiv.1801.01401, equation 4.
    """
    first, second = _checked(first, second)
    members = [_group_numbers(groups, f) for groups, f in ((first_groups, first), (second_groups, second))]
    a, b = (_membership(number) for number in members)
    within = [_sums_between_groups(f, f, m, m) for f, m in ((first, a), (second, b))]
    between = _sums_between_groups(first, second, a, b)
    sizes = [np.bincount(number).astype(float) for number in members]

    def distances(drawn_a, drawn_b):
        """For numbers of times that each group is drawn, shapes (n_resamples, n_groups)."""
        found = -2 * ((drawn_a @ between) * drawn_b).sum(axis=1) / ((drawn_a @ sizes[0]) * (drawn_b @ sizes[1]))
        for drawn, sums, size in ((drawn_a, within[0], sizes[0]), (drawn_b, within[1], sizes[1])):
            pairs = (drawn @ size) ** 2 - (drawn**2) @ size**2
            total = ((drawn @ sums) * drawn).sum(axis=1) - (drawn**2) @ np.diag(sums)
            found += np.divide(total, pairs, out=np.full(len(drawn), np.nan), where=pairs > 0)
        return found

    counts = a.shape[1], b.shape[1]
    value = float(distances(*(np.ones((1, n)) for n in counts))[0])
    low = high = float("nan")
    if n_resamples:
        rng = np.random.default_rng(seed)
        drawn = [rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float) for n in counts]
        low, high = expanded_percentiles(distances(*drawn), min(counts), confidence)
    return KernelDistance(value, low, high, confidence, counts)


def inception_score(probabilities: np.ndarray, n_splits: int = N_SPLITS, seed: int = 0) -> InceptionScore:
    """exp of the mean divergence of p(class | image) from p(class), over splits of the set.

    Args:
        probabilities: Of each class, shape (n, n_classes); rows sum to 1.
        n_splits: Equal parts, drawn once by ``seed``.
        seed: Of the parts.
    Raises:
        UnsuitableInputError: fewer images than splits, rows that are no probabilities.
    Source: Salimans T et al., NeurIPS 2016, 10.48550/arXiv.1606.03498, section 4.
    """
    p = np.asarray(probabilities, float)
    if p.ndim != 2 or p.shape[1] < 2 or not (np.isfinite(p).all() and (p >= 0).all() and _is_one(p.sum(axis=1))):
        raise UnsuitableInputError(
            f"The Inception Score needs the probabilities of at least 2 classes for each image, that sum to 1; found "
            f"an array of shape {p.shape}. Give a classifier's softmax."
        )
    if n_splits < 1 or len(p) < n_splits:
        raise UnsuitableInputError(
            f"The Inception Score in {n_splits} splits needs at least as many images; found {len(p)}. Make more images."
        )
    scores = []
    for part in np.array_split(np.random.default_rng(seed).permutation(len(p)), n_splits):
        own, mean = p[part], p[part].mean(axis=0)
        ratio = np.divide(own, mean, out=np.ones_like(own), where=own > 0)
        scores.append(np.exp((own * np.log(ratio)).sum(axis=1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), n_splits, p.shape[1])


def precision_and_recall(real: np.ndarray, other: np.ndarray, n_nearest: int = N_NEAREST) -> tuple[float, float]:
    """Share of the other images among the real ones, and share of the real ones among the others.

    An image is among a set if it lies no farther from one of its images than that image's ``n_nearest``-th neighbour
    does within the set. A generator that collapsed keeps its precision and loses its recall.

    Args:
        real: Features, shape (n, d), n > n_nearest.
        other: Features, shape (m, d), m > n_nearest.
        n_nearest: Neighbour that is the radius.
    Raises:
        UnsuitableInputError: a set that is too small, features that are not finite.
    Source: Kynkäänniemi T et al., NeurIPS 2019, 10.48550/arXiv.1904.06991, equations 1 and 2.
    """
    real, other = _checked(real, other)
    if min(len(real), len(other)) <= n_nearest:
        raise UnsuitableInputError(
            f"Precision and recall need more than {n_nearest} images in each set; found {len(real)} and {len(other)}. "
            "Add images."
        )
    radii = [_kth_distance(features, n_nearest) for features in (real, other)]
    among_real = [(block <= radii[0]).any(axis=1) for block in _distance_blocks(other, real)]
    among_other = [(block <= radii[1]).any(axis=1) for block in _distance_blocks(real, other)]
    return float(np.concatenate(among_real).mean()), float(np.concatenate(among_other).mean())


def mean_pairwise_distance(features: np.ndarray, groups: Sequence[Any] | None = None) -> float:
    """Mean distance of two images of different groups.

    Args:
        features: Shape (n, d).
        groups: Patient of each image; None: each image is a group.
    Raises:
        UnsuitableInputError: only one group, features that are not finite.
    """
    features, _ = _checked(features, features)
    number = _group_numbers(groups, features)
    total, pairs = 0.0, 0
    for start, block in zip(range(0, len(features), _ROWS_AT_ONCE), _distance_blocks(features, features), strict=True):
        other = number[start : start + len(block), None] != number[None]
        total, pairs = total + float(block[other].sum()), pairs + int(other.sum())
    return total / pairs


def nearest_distances(features: np.ndarray, groups: Sequence[Any] | None = None) -> np.ndarray:
    """Distance of each image to the nearest one of another group, shape (n,).

    Args:
        features: Shape (n, d).
        groups: Patient of each image; None: each image is a group.
    Raises:
        UnsuitableInputError: only one group, features that are not finite.
    """
    features, _ = _checked(features, features)
    number, found = _group_numbers(groups, features), []
    for start, block in zip(range(0, len(features), _ROWS_AT_ONCE), _distance_blocks(features, features), strict=True):
        own = number[start : start + len(block), None] == number[None]
        found.append(np.where(own, np.inf, block).min(axis=1))
    return np.concatenate(found)


def _checked(first, second):
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"Two sets need features of one length; found {first.shape} and {second.shape}.")
    if min(len(first), len(second)) < 2:
        raise UnsuitableInputError(
            f"Comparing sets of images needs at least 2 in each; found {len(first)} and {len(second)}. Add images."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UnsuitableInputError(
            "Comparing sets of images needs finite features; found some that are not. Check the feature network's "
            "weights."
        )
    return first, second


def _group_numbers(groups, features):
    if groups is None:
        return np.arange(len(features))
    if len(groups) != len(features):
        raise ValueError(f"Groups need one value an image; found {len(groups)} for {len(features)} images.")
    names, number = np.unique([str(group) for group in groups], return_inverse=True)
    if len(names) < 2:
        raise UnsuitableInputError(
            "Comparing sets of images needs at least 2 patients in each set; found 1. Add patients."
        )
    return number


def _membership(number):
    """One column a group, 1 for its images: sums over pairs of groups are products with it."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(number.size), (np.arange(number.size), number)))


def _sums_between_groups(first, second, members_a, members_b):
    """Kernel summed over the images of each pair of groups, a block of rows at a time."""
    total = np.zeros((members_a.shape[1], members_b.shape[1]))
    for start in range(0, len(first), _ROWS_AT_ONCE):
        block = np.s_[start : start + _ROWS_AT_ONCE]
        kernel = (first[block] @ second.T / first.shape[1] + 1) ** 3
        total += members_a[block].T @ (kernel @ members_b)
    return total


def _distance_blocks(first, second):
    """Euclidean distances, a block of rows at a time."""
    squares = (second**2).sum(axis=1)
    for start in range(0, len(first), _ROWS_AT_ONCE):
        rows = first[start : start + _ROWS_AT_ONCE]
        squared = (rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ second.T
        yield np.sqrt(np.maximum(squared, 0))


def _kth_distance(features, k):
    # Each image is its own nearest: the k-th other one is at place k.
    return np.concatenate([np.partition(block, k, axis=1)[:, k] for block in _distance_blocks(features, features)])


def _is_one(sums):
    return bool(np.allclose(sums, 1, atol=1e-3))
