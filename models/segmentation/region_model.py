"""The trained networks, ready to propose a region and to refine it by what the reader marks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..learning.overlap import dice
from ..weights import Weights, check_shapes, load_weights, pretrained_path
from .clicks import Clicks, click_maps, contour_points
from .region_image import Placement, Square, check_image
from .region_network import build_network, network_input
from .region_options import ARCHITECTURE, KINDS, SIZE

QUALITY_STD_MIN = 0.05
"""Least standard deviation of the quality estimate."""
N_STD = 1.96
"""Half the width of its 95 % interval, in standard deviations."""
SHIFT = 5
"""By how many pixels of the square members are moved."""
FEATURE_SIDE = 8
"""Rows, and columns, of the small images that tell cases apart."""


@dataclass(frozen=True)
class RegionProposal:
    """Where a network sees the liver."""

    region: np.ndarray
    """Shape (rows, columns) of the image, bool."""
    probability: np.ndarray
    """Same shape, float32, 0 to 1."""
    quality: float
    """Expected Dice with a reader's outline."""
    quality_low: float
    """Lower end of its 95 % interval."""
    quality_high: float
    """Upper end."""
    disagreement: float
    """Mutual information of pixel and member, mean over the liver's and uncertain pixels, nats; 0: members agree."""
    features: np.ndarray
    """What tells this image from others, shape (2 * FEATURE_SIDE**2,), float32."""


class RegionModel:
    """Networks of one file of weights.

    Args:
        weights: Of :data:`.region_options.ARCHITECTURE`; None: those of the package.
        device: "cpu" or "cuda".
    Raises:
        UnsuitableInputError: weights of another architecture, or tensors that do not fit.
    """

    def __init__(self, weights: Weights | None = None, device: str = "cpu"):
        self.weights = weights or _pretrained()
        self.card, self.device = self.weights.card, device
        if self.card["architecture"] != ARCHITECTURE:
            raise UnsuitableInputError(
                f"Weights of the architecture '{ARCHITECTURE}' are needed; found '{self.card['architecture']}'."
            )
        self.networks = {kind: _network(self.weights, kind).to(device) for kind in self.card["config"]["kinds"]}

    def knows_quality(self, kind: str, is_simulated: bool) -> bool:
        """Whether the expected quality holds: not for a measured image where only simulated ones were learnt."""
        return is_simulated or not self.card["config"]["kinds"].get(kind, {}).get("is_simulated_only", True)

    def propose(self, image: np.ndarray, kind: str, clicks: Clicks | None = None) -> RegionProposal:
        """Outline the liver.

        Args:
            image: Grey levels or magnitudes, shape (rows, columns).
            kind: One of :data:`.region_options.KINDS`.
            clicks: The reader's marks; what they say is kept.
        Raises:
            UnsuitableInputError: an image that cannot be used, or a kind these weights were not trained on.
        """
        from scipy import ndimage

        check_image(image, kind)
        network = self.networks.get(kind)
        if network is None:
            raise UnsuitableInputError(
                f"These weights outline {' and '.join(self.networks)}; found {kind}. Train on such images first."
            )
        square = Square.of(image, kind)
        placement = square.placement
        maps = None if not clicks else _maps(clicks, placement)
        members = _members(network, square.values, maps, kind, self.device)
        mean = members.mean(axis=0)
        probability = placement.to_image(mean)
        region = (probability > 0.5) & (placement.to_image(ndimage.binary_fill_holes(square.field)) > 0.5)
        region = kept_parts(region, clicks, placement.side / SIZE)
        agreement = agreement_of(members)
        low, quality, high = self._quality(kind, agreement)
        small = [_shrunk(mean), _shrunk(square.values) / 4]
        return RegionProposal(
            region=region,
            probability=probability,
            quality=quality,
            quality_low=low,
            quality_high=high,
            disagreement=disagreement_of(members),
            features=np.concatenate(small).astype(np.float32),
        )

    def _quality(self, kind: str, agreement: float) -> tuple[float, float, float]:
        line = self.card["config"]["kinds"][kind].get("quality", {"offset": 0.0, "slope": 1.0, "std": 0.2})
        found = line["offset"] + line["slope"] * agreement
        spread = N_STD * line["std"]
        return tuple(float(np.clip(value, 0, 1)) for value in (found - spread, found, found + spread))


def member_probabilities(
    network: torch.nn.Module, squares: np.ndarray, kind: str, device: str = "cpu"
) -> list[np.ndarray]:
    """Of each image, what the members say, shape (members, SIZE, SIZE)."""
    return [_members(network, square, None, kind, device) for square in squares]


def quality_line(agreements: np.ndarray, dices: np.ndarray) -> dict[str, float]:
    """Expected Dice as a line of the members' agreement, with its residual standard deviation.

    The slope is shrunk towards 1 as by two images that lie on the identity, so that few images do not turn it over.

    Args:
        agreements: Of validation images, shape (n,).
        dices: Their true Dice, shape (n,).
    """
    centred = agreements - agreements.mean()
    prior = 2 * 0.1**2
    slope = float((centred @ (dices - dices.mean()) + prior) / (centred @ centred + prior))
    offset = float(dices.mean() - slope * agreements.mean())
    residual = dices - offset - slope * agreements
    std = float(np.sqrt((residual @ residual + 2 * 0.1**2) / (len(dices) + 1)))
    return {"offset": offset, "slope": slope, "std": max(std, QUALITY_STD_MIN)}


def agreement_of(members: np.ndarray) -> float:
    """Mean Dice of each member's region with that of their mean."""
    mean = members.mean(axis=0) > 0.5
    return float(np.mean([dice(member > 0.5, mean) for member in members]))


def disagreement_of(members: np.ndarray) -> float:
    """Mutual information of a pixel's answer and the member, mean over pixels that may be liver, nats.

    Source: Houlsby N et al., arXiv:1112.5745, eq. 2.
    """
    mean = members.mean(axis=0)
    information = _entropy(mean) - _entropy(members).mean(axis=0)
    may_be = mean > 0.05
    return float(information[may_be].mean()) if may_be.any() else 0.0


def kept_parts(region: np.ndarray, clicks: Clicks | None, step: float) -> np.ndarray:
    """The largest part, and those the reader clicked on; what the reader clicked holds.

    Args:
        region: Shape (rows, columns), bool.
        clicks: In its pixels; None: none.
        step: Pixels of the image a pixel of the square.
    """
    from scipy import ndimage

    region = region.copy()
    marks = [(clicks.foreground, True), (clicks.background, False)] if clicks else []
    rows, columns = np.ogrid[: region.shape[0], : region.shape[1]]
    for points, value in marks:
        for row, column in np.unique(np.round(points).astype(int), axis=0) if len(points) else ():
            near = slice(max(int(row - 3 * step), 0), int(row + 3 * step) + 1)
            beside = slice(max(int(column - 3 * step), 0), int(column + 3 * step) + 1)
            disc = (rows[near] - row) ** 2 + (columns[:, beside] - column) ** 2 <= (1.5 * step) ** 2
            region[near, beside][disc] = value
    labels, n = ndimage.label(region)
    if n > 1:
        sizes = np.bincount(labels.ravel())[1:]
        wanted = {int(sizes.argmax()) + 1}
        for row, column in np.round(clicks.foreground).astype(int) if clicks and len(clicks.foreground) else ():
            wanted.add(int(labels[np.clip(row, 0, region.shape[0] - 1), np.clip(column, 0, region.shape[1] - 1)]))
        region = np.isin(labels, sorted(wanted - {0}))
    return region


def _members(network, square, maps, kind, device) -> np.ndarray:
    """The same image seen mirrored, moved, darker and brighter, each answer turned back."""
    clicks = np.zeros((2, SIZE, SIZE), np.float32) if maps is None else maps
    stack = np.concatenate([square[None], clicks])
    moved = [(0, 0), (SHIFT, 0), (0, -SHIFT), (0, 0), (0, 0)]
    gain = [1.0, 1.0, 1.0, 0.8, 1.25]
    seen = [np.roll(stack, move, axis=(1, 2)) for move in moved]
    seen = [np.concatenate([one[:1] * factor, one[1:]]) for one, factor in zip(seen, gain, strict=True)]
    if kind == "ultrasound":
        seen.append(stack[:, :, ::-1].copy())
    batch = torch.from_numpy(np.stack(seen)).to(device)
    network.eval()
    with torch.inference_mode():
        found = torch.sigmoid(network(network_input(batch[:, 0], batch[:, 1:]))[:, 0]).float().cpu().numpy()
    back = [np.roll(one, (-move[0], -move[1]), axis=(0, 1)) for one, move in zip(found, moved, strict=False)]
    if kind == "ultrasound":
        back.append(found[-1][:, ::-1])
    return np.stack(back)


def _maps(clicks: Clicks, placement: Placement) -> np.ndarray:
    foreground, background = placement.points(clicks.foreground), placement.points(clicks.background)
    if len(clicks.contour):
        inside, outside = contour_points(placement.points(clicks.contour), SIZE)
        foreground, background = np.concatenate([foreground, inside]), np.concatenate([background, outside])
    return click_maps(foreground, background, SIZE)


def _shrunk(square: np.ndarray) -> np.ndarray:
    step = SIZE // FEATURE_SIDE
    return square.reshape(FEATURE_SIDE, step, FEATURE_SIDE, step).mean(axis=(1, 3)).ravel()


def _entropy(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


def tensors_of(weights: Weights, kind: str) -> dict[str, np.ndarray]:
    """State of the network of one kind of image; empty when the weights have none."""
    return {name[len(kind) + 1 :]: value for name, value in weights.tensors.items() if name.startswith(f"{kind}/")}


def _network(weights: Weights, kind: str) -> torch.nn.Module:
    if kind not in KINDS:
        raise UnsuitableInputError(f"The kinds of images are {', '.join(KINDS)}; the card names {kind!r}.")
    network = build_network()
    state = tensors_of(weights, kind)
    check_shapes(Weights(state, weights.card), {k: tuple(v.shape) for k, v in network.state_dict().items()})
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return network.eval()


@lru_cache(maxsize=1)
def _pretrained() -> Weights:
    return load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE)
