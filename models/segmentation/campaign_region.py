"""The liver's outline as a campaign's task: a linear head on the features of a frozen network.

Training the whole network for each round of each repetition would take days. Here what a campaign learns is one linear
layer over the feature maps of a network that stays as it is, by ridge regression; members are refits on resampled
images. Measured images are read by the network of the package, which saw simulated ones only; simulated images by one
that was never trained, since the package's would know them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.acquisition import Candidates
from ..learning.overlap import dice
from ..weights import load_weights, pretrained_path
from .region_image import RegionExample
from .region_options import ARCHITECTURE, KINDS, SIZE
from .region_training import squares_of

GRID = 32
"""Rows, and columns, on which the head is fitted."""
N_AXES = 96
"""Principal axes of the standardised feature maps that the head reads."""
RIDGE = 1e3
"""Penalty of the squared coefficients."""
N_MEMBERS = 8
"""Bootstrap refits."""
MIN_IMAGES = 12
"""Fewer leave nothing to hold out."""
POOLED = 4
"""Pixels of the grid, along each axis, a feature that tells cases apart is the mean of."""


@dataclass(frozen=True)
class RegionHead:
    """A fitted head with its members."""

    beta: np.ndarray
    """Coefficients, shape (1 + N_MEMBERS, n_features + 1); the first is the head itself."""


class RegionLearner:
    """Images with outlines, and the head that learns from part of them.

    Args:
        examples: With the liver in each, of one kind.
    Raises:
        UnsuitableInputError: too few images, or of both kinds.
    """

    quality_name = "Dice"
    """Mean over held-out images, on the network's square."""
    chance = None
    """No gain over it is counted: a head that knows nothing finds no liver."""
    labels = None
    """There are no classes."""

    def __init__(self, examples: Sequence[RegionExample]):
        kinds = {example.kind for example in examples}
        if len(examples) < MIN_IMAGES or len(kinds) != 1:
            raise UnsuitableInputError(
                f"A campaign needs at least {MIN_IMAGES} outlined images of one kind ({', '.join(KINDS)}); found "
                f"{len(examples)} of {', '.join(sorted(kinds)) or 'none'}. Outline more, or choose of one kind."
            )
        self.case_ids = tuple(f"{example.case_id}#{k}" for k, example in enumerate(examples))
        self.patient_ids = tuple(example.patient_id for example in examples)
        self.n_cases = len(examples)
        simulated = [example.is_simulated for example in examples]
        self.data = "simulated" if all(simulated) else "partly_simulated" if any(simulated) else "measured"
        self.images, self.regions = squares_of(examples)
        self.features = feature_maps(self.images, kinds.pop(), is_trained=not any(simulated))

    @property
    def digest(self) -> str:
        """SHA-256 of features and outlines."""
        return hashlib.sha256(self.features.tobytes() + self.regions.tobytes()).hexdigest()

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each image, what the regression adds up: features times features, and features times answer."""
        shown = _grid(self.images != 0) > 0.5
        answers = np.where(_grid(self.regions) > 0.5, 1.0, -1.0)
        rows = [(f[s], a[s]) for f, s, a in zip(self.features, shown, answers, strict=True)]
        return np.stack([f.T @ f for f, _ in rows]), np.stack([f.T @ a for f, a in rows])

    def fit(self, indices: np.ndarray, seed: int) -> RegionHead:
        """The head on these images, and on resamples of them."""
        squares, products = self._sums
        rng = np.random.default_rng(seed)
        weight = np.ones((1 + N_MEMBERS, len(indices)))
        for member in weight[1:]:
            member[:] = np.bincount(rng.integers(len(indices), size=len(indices)), minlength=len(indices))
        left = np.tensordot(weight, squares[indices], 1)
        penalty = np.full(left.shape[1], RIDGE)
        penalty[-1] = 1e-3  # Of the intercept.
        left[:, np.arange(len(penalty)), np.arange(len(penalty))] += penalty
        return RegionHead(np.linalg.solve(left, (weight @ products[indices])[..., None])[..., 0])

    def candidates(self, model: RegionHead, indices: np.ndarray, labelled: np.ndarray) -> Candidates:
        """How far members disagree about each image; distances between small images and what is found on them."""
        members = self.features[indices] @ model.beta.T > 0
        unsure = [
            1 - np.mean([dice(one, head) for one in others.T])
            for head, others in ((m[:, 0], m[:, 1:]) for m in members)
        ]
        return Candidates(
            case_ids=[self.case_ids[k] for k in indices],
            patient_ids=[self.patient_ids[k] for k in indices],
            uncertainty=np.array(unsure),
            features=self._pooled[indices],
            labelled_patients=[self.patient_ids[k] for k in labelled],
            labelled_features=self._pooled[labelled],
        )

    def quality(self, model: RegionHead, test_indices: np.ndarray) -> float:
        """Mean Dice."""
        import torch

        scores = torch.from_numpy(self.features[test_indices] @ model.beta[0]).reshape(-1, 1, GRID, GRID)
        found = torch.nn.functional.interpolate(scores, size=(SIZE, SIZE), mode="bilinear")[:, 0].numpy() > 0
        found &= self.images[test_indices] != 0
        return float(np.mean([dice(f, r) for f, r in zip(found, self.regions[test_indices], strict=True)]))

    @cached_property
    def _pooled(self) -> np.ndarray:
        """Means over parts of the image, of the features that vary most between images, shape (n, d)."""
        n = self.n_cases
        parts = self.features[..., :-1].reshape(n, POOLED, GRID // POOLED, POOLED, GRID // POOLED, -1).mean(axis=(2, 4))
        table = parts.reshape(n, -1)
        table = table - table.mean(axis=0)
        left, size, _ = np.linalg.svd(table, full_matrices=False)
        n_kept = min(16, n - 1)
        return left[:, :n_kept] * size[:n_kept]


def feature_maps(images: np.ndarray, kind: str, is_trained: bool) -> np.ndarray:
    """What the stages of the network say of each place, along their main axes, and a 1, shape (n, GRID**2, N_AXES + 1).

    Args:
        images: As the network reads them, shape (n, SIZE, SIZE).
        kind: Of the images.
        is_trained: Take the package's network; else one with the weights it starts from.
    """
    import torch
    from torch.nn import functional

    from .region_model import tensors_of
    from .region_network import build_network, network_input, stages

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network()
    if is_trained:
        state = tensors_of(load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE), kind)
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    network.eval()
    found = []
    for batch in torch.from_numpy(images).split(8):
        maps = [
            functional.adaptive_avg_pool2d(one, GRID)
            if one.shape[-1] > GRID
            else functional.interpolate(one, size=(GRID, GRID), mode="bilinear")
            for one in stages(network, network_input(batch))
        ]
        found.append(torch.cat(maps, dim=1).permute(0, 2, 3, 1).flatten(1, 2).numpy())
    table = np.concatenate(found)
    table = (table - table.mean(axis=(0, 1))) / np.maximum(table.std(axis=(0, 1)), 1e-6)
    rows = table.reshape(-1, table.shape[-1])
    _, axes = np.linalg.eigh(rows.T @ rows)
    table = table @ axes[:, : -N_AXES - 1 : -1]
    return np.concatenate([table, np.ones((*table.shape[:2], 1), np.float32)], axis=-1)


def _grid(squares: np.ndarray) -> np.ndarray:
    """Means over the grid's cells, shape (n, GRID**2)."""
    step = SIZE // GRID
    return squares.reshape(-1, GRID, step, GRID, step).mean(axis=(2, 4)).reshape(len(squares), -1)


def simulated_learner(n_subjects: int, seed: int = 0) -> RegionLearner:
    """Simulated abdominal frames of a curved probe, those that show the liver.

    Raises:
        UnsuitableInputError: too few.
    """
    from .region_sectors import simulated_sectors

    return RegionLearner([example for example in simulated_sectors(n_subjects, seed) if example.region.any()])


def picture_learner(folder: Path | str) -> RegionLearner:
    """Pictures with maps; see :func:`.region_pictures.read_pictures`."""
    from .region_pictures import read_pictures

    return RegionLearner(read_pictures(folder))
