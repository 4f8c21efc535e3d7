"""Networks that turn images into features to be compared: a small one of our own, or a user's Inception.

The small one is four convolutions of fixed random filters, drawn from a seed: nothing is trained, so figures of folds,
generators and sizes share one ruler. Why: docs/decisions/0015-features-of-random-filters.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..learning.device import choose_device
from ..learning.foreign_weights import fill, read_state
from .inception import FidInception

SMALL_CHANNELS = (32, 48, 64, 64)
"""Of the small network's convolutions."""
SMALL_SEED = 20240607
"""Of its filters; another seed is another ruler."""
SMALL_NAME = "random-filters-672"
"""What reports call it."""
INCEPTION_NAME = "inception-v3-fid"
"""What reports call a user's Inception."""
MIN_SIDE = 16
"""Pixels; below, the last convolution sees nothing but its padding."""
_AT_ONCE = 32


@dataclass(frozen=True)
class Features:
    """What a network says of images."""

    features: np.ndarray
    """Shape (n, n_features), float64."""
    probabilities: np.ndarray | None
    """Of the head's classes, shape (n, n_classes), float64; None without a head."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network with the name and digest that a report tells."""

    name: str
    """Of the network."""
    sha256: str
    """Of its weights: of the user's file, or of the drawn filters."""
    network: nn.Module
    """Grey images, 0 to 255, shape (n, 1, rows, columns) -> features and logits (or None)."""
    class_source: str | None = None
    """Whose classes its head tells, as "ImageNet"; None without a head."""
    device: str = "cpu"
    """Where it runs."""

    def __call__(self, images: np.ndarray, count: Callable[[int], None] | None = None) -> Features:
        """Features of each image; they do not depend on the other images.

        Args:
            images: Shape (n, rows, columns), uint8, sides of at least 16.
            count: Called with the number of images read since the last call.
        Raises:
            UnsuitableInputError: images of another type or shape.
        """
        _check(images)
        found, logits = [], []
        for start in range(0, len(images), _AT_ONCE):
            batch = torch.from_numpy(np.array(images[start : start + _AT_ONCE]))[:, None]
            with torch.inference_mode():
                one, other = self.network(batch.to(self.device, torch.float32))
            found.append(one.double().cpu().numpy())
            if other is not None:
                logits.append(other.double().softmax(dim=1).cpu().numpy())
            if count:
                count(len(batch))
        return Features(np.concatenate(found), np.concatenate(logits) if logits else None)


@dataclass(frozen=True)
class Classifier:
    """Tells the class of images, for the Inception Score and for the plausibility filter."""

    name: str
    """What reports call it."""
    probabilities: Callable[[np.ndarray], np.ndarray]
    """Images, shape (n, side, side), uint8 -> probabilities of each class, or of the second of two, shape (n,)."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, shape (n, n_classes)."""
        found = np.asarray(self.probabilities(images), float)
        return np.stack([1 - found, found], axis=1) if found.ndim == 1 else found


class RandomFilters(nn.Module):
    """Fixed random convolutions, each halving the image.

    Features are mean and standard deviation of each convolution's channels over the image, and the last one's means
    over its quarters. The first filters sum to 0, but for one that averages: gain alone moves few features.
    """

    def __init__(self, seed: int = SMALL_SEED):
        super().__init__()
        rng = np.random.default_rng(seed)
        before, layers = 1, []
        for index, after in enumerate(SMALL_CHANNELS):
            side = 5 if index == 0 else 3
            filters = rng.standard_normal((after, before, side, side))
            if index == 0:
                filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
                filters[0] = 1
            # Of length √2: through a rectifier the signal keeps its size.
            filters *= np.sqrt(2 / (filters**2).sum(axis=(1, 2, 3), keepdims=True))
            filters = np.round(filters * 4096) / 4096  # One digest on every machine, whatever its last digits.
            layers.append(nn.Conv2d(before, after, side, stride=2, padding=side // 2, bias=False))
            layers[-1].weight = nn.Parameter(torch.from_numpy(filters.astype(np.float32)), requires_grad=False)
            before = after
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Shape (n, 1, rows, columns), 0 to 255 -> (n, 672), and no logits."""
        x, found = x / 127.5 - 1, []
        for layer in self.layers:
            x = functional.relu(layer(x))
            found += [x.mean(dim=(2, 3)), x.std(dim=(2, 3), correction=0)]
        found.append(functional.adaptive_avg_pool2d(x, 2).flatten(1))
        return torch.cat(found, dim=1), None


def small_network(device: str = "cpu", seed: int = SMALL_SEED) -> FeatureNetwork:
    """The default: fixed random filters, 672 features, no head.

    Args:
        device: One of :data:`~..learning.device.DEVICES`.
        seed: Of the filters; reports tell it when it is another one.
    Source: random networks as rulers where ImageNet is no guide: Naeem MF et al., ICML 2020,
        10.48550/arXiv.2002.09797, section 4.2.
    """
    device = choose_device(device)
    network = RandomFilters(seed).eval()
    digest = hashlib.sha256(b"".join(layer.weight.numpy().tobytes() for layer in network.layers)).hexdigest()
    name = SMALL_NAME if seed == SMALL_SEED else f"{SMALL_NAME}-seed-{seed}"
    return FeatureNetwork(name, digest, network.to(device), device=device)


def inception_network(source: str, sha256: str | None, device: str = "cpu") -> FeatureNetwork:
    """A user's Inception v3 in the pytorch-fid format: 2048 features, 1008 ImageNet classes.

    Args:
        source: Path, or https address, of the state dict; torch's or safetensors.
        sha256: Hex digest of the file.
        device: One of :data:`~..learning.device.DEVICES`.
    Raises:
        UnsuitableInputError: no digest, another file, a pickle that would run code, tensors that do not fit.
    """
    device = choose_device(device)
    state = read_state(source, sha256, "Inception weights")
    with torch.random.fork_rng():
        network = FidInception()
    fill(network, state, "Inception weights", "pytorch-fid's Inception v3")
    network = network.eval().requires_grad_(False)
    return FeatureNetwork(INCEPTION_NAME, sha256.lower(), network.to(device), "ImageNet", device)


def _check(images):
    images = np.asarray(images)
    if images.ndim != 3 or not len(images) or min(images.shape[1:]) < MIN_SIDE or images.dtype != np.uint8:
        raise UnsuitableInputError(
            f"A feature network needs grey images of 8 bits, shape (n, rows, columns), sides of at least {MIN_SIDE}; "
            f"found {images.dtype} of shape {images.shape}. Convert them."
        )
