"""Do synthetic images look like real ones? One report: FID, KID, Inception Score, precision, recall, diversity.

Every distance is told beside its floor, the same distance of real training from real validation images. A few dozen
validation images against hundreds of features make FID large for a perfect generator, so the set is compared with as
many images as the floor has, too. The report names the network whose features were compared: figures of two networks
cannot be compared, and none of ours with a paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import UnsuitableInputError
from .features import Classifier, FeatureNetwork
from .set_distances import (
    N_RESAMPLES,
    N_SPLITS,
    InceptionScore,
    KernelDistance,
    frechet_distance,
    inception_score,
    kernel_distance,
    mean_pairwise_distance,
    nearest_distances,
    precision_and_recall,
)

COLLAPSED_BELOW = 0.5
"""Diversity, as a share of the floor's, below which a set is said to have collapsed; strong blur does it, too."""
COLLAPSED_REPEATS = 0.5
"""Share of repeated images above which it is said so, too: a few images in turn are diverse, but few."""
REPEAT_NEARER = 0.5
"""An image repeats another if it is nearer than this share of what any two patients' images are."""


class Frames(Protocol):
    """Real images and whose they are, as a ``FrameSet`` has them."""

    images: np.ndarray
    """Shape (n, side, side), uint8, cut as the generator's images are."""
    patient_ids: Sequence[str]
    """Of each image."""
    is_simulated: bool
    """No patient was ever imaged."""


@dataclass(frozen=True)
class Comparison:
    """One set of images against the real validation images."""

    n_images: int
    """Of the set."""
    fid: float
    """Fréchet distance, in the features' own units, squared."""
    kid: KernelDistance
    """Kernel distance with its interval."""
    precision: float
    """Share of the set that lies among the validation images."""
    recall: float
    """Share of the validation images that lie among the set."""
    diversity: float
    """Mean distance of two images of the set, as a share of that of two patients' validation images."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self) | {"kid": self.kid.to_json()}


@dataclass(frozen=True)
class Fidelity:
    """What was measured of a synthetic set; real validation images are the measure throughout."""

    network: str
    """Whose features were compared."""
    network_sha256: str
    """Of its weights."""
    n_features: int
    """Of an image."""
    is_simulated: bool
    """The "real" images are simulated ones."""
    n_validation: int
    """Real validation images."""
    synthetic: Comparison
    """The whole synthetic set."""
    synthetic_at_floor_size: Comparison
    """As many of it as the floor has, drawn once: what the floor is to be compared with."""
    floor: Comparison
    """Real training images, as many: what no generator is asked to beat."""
    classifier: str | None
    """Whose probabilities the Inception Scores take; None: no classifier was at hand, and there are no scores."""
    inception_score: InceptionScore | None
    """Of the synthetic set."""
    floor_inception_score: InceptionScore | None
    """Of the real training images."""
    repeats: float
    """Share of the set, at the floor's size, with another of its images nearer than ``REPEAT_NEARER`` of what any two
    patients' training images are, either in units of the mean distance within its set."""
    is_collapsed: bool
    """Its diversity is below ``COLLAPSED_BELOW`` of the floor's, or its repeats are above ``COLLAPSED_REPEATS``."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value.to_json() if hasattr(value, "to_json") else value for name, value in found.items()}


def judge_fidelity(
    synthetic: np.ndarray,
    train: Frames,
    validation: Frames,
    network: FeatureNetwork,
    classifier: Classifier | None = None,
    n_splits: int = N_SPLITS,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Fidelity:
    """Compare synthetic images, and real training images, with real validation images.

    Args:
        synthetic: Shape (n, side, side), uint8.
        train: Real images that the generator was trained on.
        validation: Real images of other patients.
        network: Gives features; if it has a head, it also gives the classes of the Inception Score.
        classifier: Takes the place of the network's head.
        n_splits: Of the Inception Score; fewer where a set has fewer images.
        n_resamples: Of KID's interval.
        seed: Of what is drawn.
        progress: Called with ("features", images read, images in all).
    Raises:
        UnsuitableInputError: images of another side or type, a patient in both real sets, too few images, validation
            images that are all one.
    """
    _check(synthetic, train, validation)
    n_all, n_read = len(synthetic) + len(train.images) + len(validation.images), 0

    def count(n_more):
        nonlocal n_read
        n_read += n_more
        if progress:
            progress("features", n_read, n_all)

    read = [network(images, count) for images in (synthetic, train.images, validation.images)]
    made, learned, held_out = (found.features for found in read)
    rng = np.random.default_rng(seed)
    n_floor = min(len(synthetic), len(train.images))
    few_made = np.sort(rng.permutation(len(synthetic))[:n_floor])
    few_learned = np.sort(rng.permutation(len(train.images))[:n_floor])
    learned_patients = [train.patient_ids[i] for i in few_learned]

    def compare(features, groups=None):
        precision, recall = precision_and_recall(held_out, features)
        kid = kernel_distance(features, held_out, groups, validation.patient_ids, n_resamples=n_resamples, seed=seed)
        spread = mean_pairwise_distance(features, groups) / real_spread
        return Comparison(len(features), frechet_distance(features, held_out), kid, precision, recall, spread)

    real_spread = mean_pairwise_distance(held_out, validation.patient_ids)
    if real_spread <= 1e-6 * np.linalg.norm(held_out, axis=1).mean():  # Not above the rounding.
        raise UnsuitableInputError(
            "Judging needs validation images that differ; found one image for all patients. Check the files."
        )
    whole = compare(made)
    scores, of = (None, None), None
    if classifier is not None or network.class_source is not None:
        of = classifier.name if classifier is not None else network.class_source
        probabilities = [
            classifier(images) if classifier is not None else found.probabilities
            for images, found in zip((synthetic, train.images), read, strict=False)
        ]
        scores = tuple(inception_score(p, min(n_splits, len(p)), seed) for p in probabilities)
    reduced, floor = compare(made[few_made]), compare(learned[few_learned], learned_patients)
    # In units of each set's own spread: blur brings all images nearer, and is no repetition.
    nearest = nearest_distances(learned[few_learned], learned_patients).min()
    closest = REPEAT_NEARER * nearest / mean_pairwise_distance(learned[few_learned], learned_patients)
    rounding = 1e-6 * float(np.linalg.norm(made, axis=1).mean())
    reach = closest * mean_pairwise_distance(made[few_made]) + rounding
    repeats = float((nearest_distances(made[few_made]) <= reach).mean())
    return Fidelity(
        network=network.name,
        network_sha256=network.sha256,
        n_features=made.shape[1],
        is_simulated=bool(train.is_simulated or validation.is_simulated),
        n_validation=len(held_out),
        synthetic=whole,
        synthetic_at_floor_size=reduced,
        floor=floor,
        classifier=of,
        inception_score=scores[0],
        floor_inception_score=scores[1],
        repeats=repeats,
        is_collapsed=repeats > COLLAPSED_REPEATS or reduced.diversity < COLLAPSED_BELOW * floor.diversity,
    )


def _check(synthetic, train, validation):
    shapes = {np.shape(images)[1:] for images in (synthetic, train.images, validation.images)}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise UnsuitableInputError(
            "Judging needs synthetic and real images of one size; found "
            f"{', '.join(' x '.join(map(str, shape)) for shape in sorted(shapes))}. Cut the real ones as the "
            "generator's are."
        )
    shared = sorted(set(map(str, train.patient_ids)) & set(map(str, validation.patient_ids)))
    if shared:
        raise UnsuitableInputError(
            f"Judging needs validation images of other patients than the training's; {len(shared)} are in both. Split "
            "by patient."
        )
