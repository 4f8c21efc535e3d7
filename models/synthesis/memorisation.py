"""Which synthetic images are copies of training frames?

All frames of a scanner share a sector, a depth scale, a diaphragm: the nearest training frame of an honest image is
near, too. What marks a copy is that one patient's frames are nearer than everybody else's. So, in either space:

1. The likeness of an image to a patient is the one to the patient's likest frame. Of pixels: the largest correlation
   over small shifts, crops and the mirror image, of grey levels less their local mean, so that gain and shading
   count for nothing. Of features: minus the distance, standardised by the training frames.
2. Its margin: the likeness to the likest patient, less the mean over the next five.
3. Real frames tell how large a margin is without a copy: each training frame against all other patients.
4. The score is the margin as a share of the largest real one, in the space where that is larger. Above 1 the image is
   nearer to a training frame than any real frame is to another patient, and is called a copy.

Source: the nearest neighbour in relation to others, Carlini N et al., USENIX Security 2023, 10.48550/arXiv.2301.13188,
section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..learning.intervals import wilson_interval
from .features import FeatureNetwork
from .fidelity import Frames

MIN_PATIENTS = 3
"""Of the training frames: a frame's own patient, another, and one to compare that with."""
_AT_ONCE = 256


@dataclass(frozen=True)
class MemorisationOptions:
    """What a copy may have been put through and still be found."""

    crops: tuple[float, ...] = (1.0, 0.95, 0.9, 0.85)
    """Sides of the parts of a training frame that an image may be, as shares of the frame's side."""
    max_shift: float = 1 / 16
    """Of a part from the frame's middle, as a share of the image's side."""
    finds_mirrored: bool = True
    """Also look for mirror images."""
    grid_side: int = 48
    """Cells a side at which images are compared; finer ones are averaged away."""
    n_others: int = 5
    """Patients after the likest whose likeness is the measure."""

    def __post_init__(self):
        if not self.crops or not all(0.25 <= crop <= 1 for crop in self.crops):
            raise UnsuitableInputError(f"Crops need to be 0.25 to 1 of a side; found {self.crops}. Change them.")
        if not 0 <= self.max_shift <= 0.25:
            raise UnsuitableInputError(f"The largest shift needs to be 0 to 0.25; found {self.max_shift}. Change it.")
        if not 16 <= self.grid_side <= 128 or self.n_others < 1:
            raise UnsuitableInputError(
                f"The grid needs 16 to 128 cells and at least 1 other patient is needed; found {self.grid_side} and "
                f"{self.n_others}. Change them."
            )


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
            "options": asdict(self.options) | {"crops": list(self.options.crops)},
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
    bank = list(_variants(train.images, options))
    learned, made = network(train.images).features, network(synthetic).features
    scale = learned.std(axis=0)
    scale[scale < 1e-6 * max(scale.max(), 1e-12)] = np.inf
    learned, made = learned / scale, made / scale
    n_all, n_done, parts = len(train.images) + len(synthetic), 0, {True: [], False: []}
    for is_real, images, features in ((True, train.images, learned), (False, synthetic, made)):
        for start in range(0, len(images), _AT_ONCE):
            block = np.s_[start : start + _AT_ONCE]
            own = patient_of[block] if is_real else None
            found = []
            for likeness in (
                _correlations(images[block], bank, options),
                -_distances(features[block], learned),
            ):
                found.append(_margins(likeness, patient_of, own, options.n_others))
            parts[is_real].append(np.stack([np.stack(one) for one in found]))
            n_done += len(images[block])
            if progress:
                progress("memorisation", n_done, n_all)
    real, found = (np.concatenate(parts[is_real], axis=2) for is_real in (True, False))
    # Axes: space (pixels, features), kind (margin, likeness, frame), image.
    largest = np.maximum(real[:, 0].max(axis=1), 1e-9)
    scores = found[:, 0] / largest[:, None]
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


def _margins(likeness: np.ndarray, patient_of: np.ndarray, own: Sequence[int] | None, n_others: int):
    """Margin, likeness and index of the likest frame of each row of (n, n_frames); own patients are left out."""
    if own is not None:
        likeness = np.where(np.asarray(own)[:, None] == patient_of[None], -np.inf, likeness)
    order = np.argsort(patient_of, kind="stable")
    starts = np.flatnonzero(np.diff(patient_of[order], prepend=-1))
    by_patient = -np.sort(-np.maximum.reduceat(likeness[:, order], starts, axis=1), axis=1)
    others = by_patient[:, 1 : 1 + min(n_others, by_patient.shape[1] - 1 - (own is not None))]
    return by_patient[:, 0] - others.mean(axis=1), by_patient[:, 0], likeness.argmax(axis=1)


def _variants(images: np.ndarray, options: MemorisationOptions) -> Iterator[Tensor]:
    """Frames at each scale, and mirrored: shape (n, cells, cells), detail only."""
    for crop in options.crops:
        cells = _detail(images, round(options.grid_side / crop))
        yield cells
        if options.finds_mirrored:
            yield cells.flip(-1)


def _detail(images: np.ndarray, side: int) -> Tensor:
    """Grey levels in cells, less their mean over a fifth of the grid around."""
    x = torch.from_numpy(np.array(images, np.float32))[:, None]
    x = functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    reach = max(side // 10, 1)
    return (x - functional.avg_pool2d(functional.pad(x, [reach] * 4, mode="replicate"), 2 * reach + 1, 1))[:, 0]


def _correlations(images: np.ndarray, bank: Sequence[Tensor], options: MemorisationOptions) -> np.ndarray:
    """Largest over all variants and shifts, shape (n_images, n_frames)."""
    reach = round(options.max_shift * options.grid_side)
    side = options.grid_side - 2 * reach
    sought = _unit(_detail(images, options.grid_side)[:, reach : reach + side, reach : reach + side])
    best = torch.full((len(images), len(bank[0])), -1.0)
    for frames in bank:
        first = (frames.shape[-1] - side) // 2 - reach
        for row in range(max(first, 0), first + 2 * reach + 1):
            for column in range(max(first, 0), first + 2 * reach + 1):
                found = _unit(frames[:, row : row + side, column : column + side])
                torch.maximum(best, sought @ found.T, out=best)
    return best.double().numpy()


def _unit(cells: Tensor) -> Tensor:
    flat = cells.flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-3)


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
