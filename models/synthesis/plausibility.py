"""Keep the synthetic images that the training fold finds plausible; say of the others why not.

Two questions, both answered by what was fitted to the fold's real training images and to nothing else:

1. Is the image like real ones of its class? Its distance to the k-th nearest patient of the class, in whitened
   features, is at most what most real images have to other patients of their class.
2. Is it of the class it was made for? A classifier gives that class at least a stated probability.

The papers suggest such a filter (latent diffusion, discussion) and do not try it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import UnsuitableInputError
from .features import Classifier, FeatureNetwork

CLASSES = ("healthy", "fatty")
"""By ``is_fatty``."""
KEPT, UNLIKE, OTHER_CLASS = "", "unlike real images of its class", "not believed to be of its class"
"""What is said of an image; the first question that it fails."""


class LabelledFrames(Protocol):
    """Real images, whose they are and of which class, as a ``FrameSet`` has them."""

    images: np.ndarray
    """Shape (n, side, side), uint8."""
    is_fatty: np.ndarray
    """Shape (n,), bool."""
    patient_ids: Sequence[str]
    """Of each image."""
    is_simulated: bool
    """No patient was ever imaged."""


@dataclass(frozen=True)
class PlausibilityOptions:
    """What counts as plausible."""

    quantile: float = 0.95
    """Share of the real images that would pass the first question."""
    min_probability: float = 0.5
    """Of the stated class, for the second; 0: not asked."""
    n_nearest: int = 2
    """Patient whose distance counts; fewer where a class has fewer others."""
    n_components: int = 24
    """Of the whitened features; at most a third of the training images."""

    def __post_init__(self):
        if not 0 < self.quantile <= 1 or not 0 <= self.min_probability < 1:
            raise UnsuitableInputError(
                "The filter's quantile needs to be above 0 and at most 1, its probability 0 to below 1; found "
                f"{self.quantile} and {self.min_probability}. Change them."
            )
        if self.n_nearest < 1 or self.n_components < 1:
            raise UnsuitableInputError(
                f"The filter needs at least 1 neighbour and 1 component; found {self.n_nearest} and "
                f"{self.n_components}. Change them."
            )


@dataclass(frozen=True, eq=False)
class Plausible:
    """What the filter says of each synthetic image."""

    kept: np.ndarray
    """Indices of the images that passed, increasing."""
    reason: tuple[str, ...]
    """Of each image: :data:`KEPT`, :data:`UNLIKE` or :data:`OTHER_CLASS`."""
    distance: np.ndarray
    """From real images of the class, as a share of what may be, shape (n,)."""
    probability: np.ndarray
    """Of the stated class, shape (n,)."""
    is_fatty: np.ndarray
    """The stated class, shape (n,), bool."""
    network: str
    """Whose features."""
    classifier: str
    """Whose probabilities."""
    patients: tuple[str, ...]
    """To whom the filter was fitted."""
    is_simulated: bool
    """They are simulated ones."""
    options: PlausibilityOptions
    """What counted."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: counts by class and reason, and each image's."""
        reason = np.array(self.reason)
        counts = {
            name: {
                "made": int((self.is_fatty == bool(k)).sum()),
                "kept": int((self.is_fatty[self.kept] == bool(k)).sum()),
                **{r: int(((reason == r) & (self.is_fatty == bool(k))).sum()) for r in (UNLIKE, OTHER_CLASS)},
            }
            for k, name in enumerate(CLASSES)
        }
        return {
            "counts": counts,
            "kept": [int(k) for k in self.kept],
            "dropped": {str(k): reason for k, reason in enumerate(self.reason) if reason},
            "network": self.network,
            "classifier": self.classifier,
            "patients": list(self.patients),
            "is_simulated": self.is_simulated,
            "options": asdict(self.options),
        }


@dataclass(frozen=True, eq=False)
class PlausibilityFilter:
    """A filter fitted to the real training images of one fold."""

    network: FeatureNetwork
    """Gives features."""
    classifier: Classifier | None
    """Gives probabilities; None: ``head`` does."""
    head: Any
    """Logistic regression of the whitened features."""
    centre: np.ndarray
    """Of the features, shape (n_features,)."""
    axes: np.ndarray
    """From centred features to whitened components, shape (n_features, n_components)."""
    components: np.ndarray
    """Of the real images, shape (n, n_components)."""
    is_fatty: np.ndarray
    """Of the real images."""
    patient_of: np.ndarray
    """Number of each real image's patient."""
    patients: tuple[str, ...]
    """By number."""
    is_simulated: bool
    """They are simulated ones."""
    limits: tuple[float, float]
    """Largest plausible distance of each class."""
    options: PlausibilityOptions
    """What counts."""

    def __call__(
        self, images: np.ndarray, is_fatty: np.ndarray, progress: Callable[[str, int, int], None] | None = None
    ) -> Plausible:
        """Judge synthetic images.

        Args:
            images: Shape (n, side, side), uint8.
            is_fatty: The class each was made for, shape (n,).
            progress: Called with ("plausibility", images read, images in all).
        Raises:
            UnsuitableInputError: images of another kind than the network reads.
        """
        is_fatty = np.asarray(is_fatty, bool)
        if is_fatty.shape != (len(images),):
            raise ValueError(f"Images need one class each; found {is_fatty.shape} for {len(images)}.")
        n_read = 0

        def count(n_more):
            nonlocal n_read
            n_read += n_more
            if progress:
                progress("plausibility", n_read, len(images))

        components = (self.network(images, count).features - self.centre) @ self.axes
        distance = np.empty(len(images))
        for fatty, limit in zip((False, True), self.limits, strict=True):
            made, real = is_fatty == fatty, self.is_fatty == fatty
            found = _distance_to_patients(
                components[made], self.components[real], self.patient_of[real], self.options.n_nearest
            )
            distance[made] = found / limit
        both = self.classifier(images) if self.classifier else self.head.predict_proba(components)
        probability = np.where(is_fatty, both[:, 1], both[:, 0])
        is_like, is_believed = distance <= 1, probability >= self.options.min_probability
        reason = np.where(is_like, np.where(is_believed, KEPT, OTHER_CLASS), UNLIKE)
        return Plausible(
            kept=np.flatnonzero(is_like & is_believed),
            reason=tuple(reason.tolist()),
            distance=distance,
            probability=probability,
            is_fatty=is_fatty,
            network=self.network.name,
            classifier=self.classifier.name if self.classifier else f"logistic regression of {self.network.name}",
            patients=self.patients,
            is_simulated=self.is_simulated,
            options=self.options,
        )


def fit_plausibility(
    train: LabelledFrames,
    network: FeatureNetwork,
    classifier: Classifier | None = None,
    options: PlausibilityOptions | None = None,
) -> PlausibilityFilter:
    """Fit a filter to the real training images of one fold.

    Args:
        train: Real images of the fold's training patients, cut as the synthetic ones are.
        network: Gives features; it must not have seen patients outside the fold, as no fixed one has.
        classifier: Trained inside the fold, two classes; None: a logistic regression of the features, fitted here.
        options: None: the defaults.
    Raises:
        UnsuitableInputError: fewer than two patients in a class.
    """
    from sklearn.linear_model import LogisticRegression

    options = options or PlausibilityOptions()
    is_fatty = np.asarray(train.is_fatty, bool)
    patients, patient_of = np.unique([str(patient) for patient in train.patient_ids], return_inverse=True)
    for fatty, name in enumerate(CLASSES):
        n = len(np.unique(patient_of[is_fatty == bool(fatty)]))
        if n < 2:
            raise UnsuitableInputError(
                f"The filter needs real training images of at least 2 {name} patients, to know how alike they are; "
                f"found {n}. Add patients, or do not filter."
            )
    features = network(train.images).features
    centre = features.mean(axis=0)
    _, spread, axes = np.linalg.svd(features - centre, full_matrices=False)
    n = max(min(options.n_components, len(features) // 3, int((spread > 1e-6 * spread[0]).sum())), 1)
    axes = axes[:n].T / (spread[:n] / np.sqrt(len(features) - 1))
    components = (features - centre) @ axes
    limits = []
    for fatty in (False, True):
        own, of = components[is_fatty == fatty], patient_of[is_fatty == fatty]
        limits.append(float(np.quantile(_distance_to_patients(own, own, of, options.n_nearest, of), options.quantile)))
    head = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000).fit(components, is_fatty)
    return PlausibilityFilter(
        network=network,
        classifier=classifier,
        head=head,
        centre=centre,
        axes=axes,
        components=components,
        is_fatty=is_fatty,
        patient_of=patient_of,
        patients=tuple(patients.tolist()),
        is_simulated=bool(train.is_simulated),
        limits=tuple(limits),
        options=options,
    )


def _distance_to_patients(points, real, patient_of, n_nearest, own=None):
    """To the nearest image of the k-th nearest patient, shape (n,); own patients are left out."""
    if not len(points):
        return np.empty(0)
    squared = (points**2).sum(axis=1)[:, None] + (real**2).sum(axis=1) - 2 * points @ real.T
    names = np.unique(patient_of)
    by_patient = np.stack([squared[:, patient_of == name].min(axis=1) for name in names], axis=1)
    n_others = len(names)
    if own is not None:
        by_patient[own[:, None] == names[None]] = np.inf
        n_others -= 1
    k = min(n_nearest, len(names) - 1, n_others) - 1
    return np.sqrt(np.maximum(np.sort(by_patient, axis=1)[:, k], 0))
