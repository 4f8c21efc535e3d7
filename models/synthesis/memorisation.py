"""Which synthetic images are copies of training frames?

All frames of a scanner share a sector, a depth scale, a diaphragm: the nearest training frame of an honest image is
near, too. What marks a copy is that one patient's frames are nearer than everybody else's. So, in either space:

1. The likeness of an image to a patient is the one to the patient's likest frame. Of pixels: the largest correlation
   with any cut of it that generators see, or with its mirror image (:mod:`.frame_search`). Of features: minus the
   distance to the whole frame, standardised by the training frames.
2. Its margin: the likeness to the likest patient, less the mean over the next five.
3. Real images tell how large a margin is without a copy: a random cut, as generators see them, of each training frame
   against all other patients; of features, the whole frames too, for generators that draw whole ones.
4. The score is the margin as a share of the largest real one, in the space where that is larger. Above 1 the image is
   nearer to a training frame than any real frame is to another patient, and is called a copy.

Source: the nearest neighbour in relation to others, Carlini N et al., USENIX Security 2023, 10.48550/arXiv.2301.13188,
section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.intervals import wilson_interval
from ..ultrasound.frames import apply_crops, centre_cut, draw_crops
from .features import FeatureNetwork
from .fidelity import Frames
from .frame_search import FrameSearch, Place

_SEED = 0
"""Of the cuts of training frames that are the measure."""
MIN_PATIENTS = 3
"""Of the training frames: a frame's own patient, another, and one to compare that with."""
_AT_ONCE, _MOST_PAIRS = 256, 1 << 18
"""Images that are looked for at once, and images times frames: memory."""


@dataclass(frozen=True)
class MemorisationOptions:
    """What a copy may have been put through and still be found."""

    smallest_side: float = Place.smallest_side
    """Of the cut of a training frame that an image may be, as a share of the frame's side; 1: whole frames only."""
    max_shift: float = Place.max_shift
    """Of an image over the edge of its frame, as a share of the image's side."""
    finds_mirrored: bool = True
    """Also look for mirror images."""
    n_others: int = 5
    """Patients after the likest whose likeness is the measure."""

    def __post_init__(self):
        if not 0.5 <= self.smallest_side <= 1:
            raise UnsuitableInputError(
                f"The smallest side of a cut needs to be 0.5 to 1; found {self.smallest_side:g}. Change it."
            )
        if not 0 <= self.max_shift <= 0.25:
            raise UnsuitableInputError(f"The largest shift needs to be 0 to 0.25; found {self.max_shift:g}. Change it.")
        if self.n_others < 1:
            raise UnsuitableInputError(f"At least 1 other patient is needed; found {self.n_others}. Change it.")


@dataclass(frozen=True, eq=False)
class MemorisationAudit:
    """What was found of each synthetic image, and of all."""

    score: np.ndarray
    """Shape (n,); above 1: a copy."""
    is_copy: np.ndarray
    """Shape (n,), bool."""
    pixel_score: np.ndarray
    """The score of pixels alone, shape (n,)."""
    feature_score: np.ndarray
    """That of features alone, shape (n,)."""
    pixel_correlation: np.ndarray
    """With the likest training frame, shape (n,)."""
    nearest: np.ndarray
    """Likest training frame by pixels, shape (n,), index."""
    nearest_by_features: np.ndarray
    """And by features."""
    names: tuple[str, ...]
    """Of the training frames."""
    share: float
    """Copies among the images."""
    share_low: float
    """Lower end of Wilson's 95 % interval."""
    share_high: float
    """Upper end."""
    n_real: int
    """Real frames whose margins are the measure; an honest image passes for a copy about twice in so many."""
    is_simulated: bool
    """The training frames are simulated ones."""
    network: str
    """Whose features were compared."""
    network_sha256: str
    """Of its weights."""
    options: MemorisationOptions
    """What was looked for."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: the summary, and of each copy its place, score and nearest training frames."""
        return {
            "n_images": len(self.score),
            "n_copies": int(self.is_copy.sum()),
            "share": self.share,
            "share_low": self.share_low,
            "share_high": self.share_high,
            "n_real": self.n_real,
            "is_simulated": self.is_simulated,
            "network": self.network,
            "network_sha256": self.network_sha256,
            "options": asdict(self.options),
            "scores": [round(float(score), 4) for score in self.score],
            "copies": [
                {
                    "image": int(k),
                    "score": float(self.score[k]),
                    "pixel_correlation": float(self.pixel_correlation[k]),
                    "nearest": self.names[self.nearest[k]],
                    "nearest_by_features": self.names[self.nearest_by_features[k]],
                }
                for k in np.flatnonzero(self.is_copy)
            ],
        }


def audit_memorisation(
    synthetic: np.ndarray,
    train: Frames,
    network: FeatureNetwork,
    options: MemorisationOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> MemorisationAudit:
    """Look for each image's training frame. Memory grows with the number of images plus that of frames.

    Args:
        synthetic: Shape (n, side, side), uint8.
        train: Frames that the generator was trained on, square, of any side; frames may have ``names``.
        network: Of the features.
        options: What a copy may have been put through; None: the defaults.
        progress: Called with ("memorisation", images done, images in all); real frames count.
    Raises:
        UnsuitableInputError: fewer than three patients, images that are not square or not of 8 bits.
    """
    options = options or MemorisationOptions()
    _check(synthetic, train)
    patients, patient_of = np.unique([str(patient) for patient in train.patient_ids], return_inverse=True)
    if len(patients) < MIN_PATIENTS:
        raise UnsuitableInputError(
            f"Looking for copies needs training frames of at least {MIN_PATIENTS} patients, to know how alike frames "
            f"of different ones are; found {len(patients)}. Give all training frames."
        )
    side, rng = synthetic.shape[1], np.random.default_rng(_SEED)
    search = FrameSearch(train.images, Place(options.smallest_side, options.max_shift, options.finds_mirrored))
    cuts = apply_crops(train.images, draw_crops(len(train.images), rng), side)
    learned, learned_cuts, made = (
        network(images).features for images in (centre_cut(train.images, side), cuts, synthetic)
    )
    scale = learned.std(axis=0)
    scale[scale < 1e-6 * max(scale.max(), 1e-12)] = np.inf
    learned, learned_cuts, made = (features / scale for features in (learned, learned_cuts, made))

    def by_features(features, own):
        return _margins(-_distances(features, learned), patient_of, own, options.n_others)

    n_all, n_done, parts = len(cuts) + len(synthetic), 0, {True: [], False: []}
    at_once = min(_AT_ONCE, max(1, _MOST_PAIRS // len(cuts)))
    for is_real, images, features in ((True, cuts, learned_cuts), (False, synthetic, made)):
        for start in range(0, len(images), at_once):
            block = np.s_[start : start + at_once]
            own = patient_of[block] if is_real else None
            pixels = _pixel_margins(search, images[block], patient_of, own, options.n_others)
            parts[is_real].append(np.array([pixels, by_features(features[block], own)]))
            n_done += len(images[block])
            if progress:
                progress("memorisation", n_done, n_all)
    real, found = (np.concatenate(parts[is_real], axis=2) for is_real in (True, False))
    # Axes: space (pixels, features), kind (margin, likeness, frame), image.
    largest = real[:, 0].max(axis=1)
    largest[1] = max(largest[1], by_features(learned, patient_of)[0].max())
    scores = found[:, 0] / np.maximum(largest, 1e-9)[:, None]
    score = scores.max(axis=0)
    is_copy = score > 1
    names = getattr(train, "names", None) or [f"{patient}#{k}" for k, patient in enumerate(train.patient_ids)]
    return MemorisationAudit(
        score=score,
        is_copy=is_copy,
        pixel_score=scores[0],
        feature_score=scores[1],
        pixel_correlation=found[0, 1],
        nearest=found[0, 2].astype(int),
        nearest_by_features=found[1, 2].astype(int),
        names=tuple(names),
        share=float(is_copy.mean()),
        **dict(zip(("share_low", "share_high"), wilson_interval(int(is_copy.sum()), len(score)), strict=True)),
        n_real=real.shape[2],
        is_simulated=bool(train.is_simulated),
        network=network.name,
        network_sha256=network.sha256,
        options=options,
    )


def _pixel_margins(search: FrameSearch, images: np.ndarray, patient_of, own, n_others: int):
    """Margin, likeness and index of the likest frame; the fine search looks at the likest patients' likest frames."""
    likeness, poses = search.coarse(images)
    if own is not None:
        likeness = np.where(own[:, None] == patient_of[None], -np.inf, likeness)
    n_patients = patient_of.max() + 1
    frame = np.stack([np.where(patient_of == one, likeness, -np.inf).argmax(1) for one in range(n_patients)], axis=1)
    of_patient = np.take_along_axis(likeness, frame, axis=1)
    n_likest = min(n_others + 1, n_patients - (own is not None))
    likest = np.argsort(-of_patient, axis=1, kind="stable")[:, :n_likest]
    chosen = np.take_along_axis(frame, likest, axis=1)
    poses = np.take_along_axis(poses, chosen[:, :, None], axis=1)
    fine = search.fine(images, chosen, poses)
    best, most = fine.argmax(axis=1)[:, None], fine.max(axis=1)
    margin = most - (fine.sum(axis=1) - most) / (n_likest - 1)
    area = np.take_along_axis(poses[:, :, 2] * poses[:, :, 3], best, axis=1)[:, 0]
    return margin * np.sqrt(area), most, np.take_along_axis(chosen, best, axis=1)[:, 0]


def _margins(likeness: np.ndarray, patient_of: np.ndarray, own: Sequence[int] | None, n_others: int):
    """Margin, likeness and index of the likest frame of each row of (n, n_frames); own patients are left out."""
    if own is not None:
        likeness = np.where(np.asarray(own)[:, None] == patient_of[None], -np.inf, likeness)
    order = np.argsort(patient_of, kind="stable")
    starts = np.flatnonzero(np.diff(patient_of[order], prepend=-1))
    by_patient = -np.sort(-np.maximum.reduceat(likeness[:, order], starts, axis=1), axis=1)
    others = by_patient[:, 1 : 1 + min(n_others, by_patient.shape[1] - 1 - (own is not None))]
    return by_patient[:, 0] - others.mean(axis=1), by_patient[:, 0], likeness.argmax(axis=1)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squared, 0))


def _check(synthetic, train):
    for images in (synthetic, train.images):
        shape = np.shape(images)
        if len(shape) != 3 or not shape[0] or shape[1] != shape[2] or np.asarray(images).dtype != np.uint8:
            raise UnsuitableInputError(
                f"Looking for copies needs square grey images of 8 bits; found {np.asarray(images).dtype} of shape "
                f"{shape}. Cut them square."
            )
    if len(train.patient_ids) != len(train.images):
        raise ValueError(f"Frames need one patient each; found {len(train.patient_ids)} for {len(train.images)}.")
