"""The two networks of AI-DEAL: G_φ chooses among field hypotheses, G_R2* among those of R2*.

Both are the same small U-Net. It sees one hypothesis at a time, as a picture of how well that hypothesis explains each
voxel, and exchanges a part of its channels with the two hypotheses beside it before each second convolution. So it
means the same for every hypothesis, their number is free, and a constant field changes nothing but the row it starts
at. What it gives is added to the voxel's own evidence: neighbours advise, they do not replace the voxel's data.

Source: the exchange of channels, there between frames, Lin J et al., ICCV 2019, 10.1109/ICCV.2019.00718; networks
over hypotheses, there of depth, Kendall A et al., ICCV 2017, 10.1109/ICCV.2017.17.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..weights import Weights, check_shapes

ARCHITECTURE = "ai_deal"
"""Name of the architecture on the card of its weights."""
MAX_COST = 30.0
"""Evidence against a hypothesis saturates here, nats: beyond it only the neighbours count."""
COST_SCALES = (1.0, 6.0)
"""Nats at which the evidence is shown to the network as e^{-U/scale}."""
EXCHANGED = 4
"""One channel in so many goes to each side."""
MAX_CHANNELS = 1024
"""More than this on a card is a damaged card, refused before memory is taken for it."""
DOWNSAMPLING = 16
"""Largest step of the network's grids; images are padded to a multiple of it."""
MARGIN = 8
"""Voxels kept around the tissue when a slice is cut out."""


@dataclass(frozen=True)
class NetworkSizes:
    """Channels at each of the four grids, from half to a sixteenth of the image's."""

    field: tuple[int, int, int, int] = (4, 12, 24, 32)
    """Of G_φ."""
    r2_star: tuple[int, int, int, int] = (4, 8, 12, 16)
    """Of G_R2*."""


class Place:
    """Where a slice's tissue voxels lie in the rectangle that holds them.

    Args:
        mask: Tissue voxels, shape (x, y), bool.
        device: Of the tensors.
    """

    def __init__(self, mask: np.ndarray, device="cpu"):
        corner, end = [], []
        for axis, n in ((1, mask.shape[0]), (0, mask.shape[1])):
            inside = np.flatnonzero(mask.any(axis=axis))
            corner.append(max(inside[0] - MARGIN, 0) if inside.size else 0)
            end.append(min(inside[-1] + 1 + MARGIN, n) if inside.size else n)
        size = [high - low for low, high in zip(corner, end, strict=True)]
        self.shape = tuple(n + -n % DOWNSAMPLING for n in size)
        """Of the rectangle, padded for the network's grids."""
        rows, columns = (index - low for index, low in zip(np.nonzero(mask), corner, strict=True))
        self.index = torch.from_numpy(rows * self.shape[1] + columns).to(device)
        self._half = torch.from_numpy(rows // 2 * (self.shape[1] // 2) + columns // 2).to(device)

    def pooled(self, values: Tensor) -> Tensor:
        """Mean over blocks of 2 x 2 voxels, 0 outside tissue.

        Args:
            values: Shape (n, n_channels, n_voxels).
        Returns:
            Shape (n, n_channels, x/2, y/2).
        """
        n, n_channels, _ = values.shape
        half = self.shape[0] // 2, self.shape[1] // 2
        out = values.new_zeros(n * n_channels, half[0] * half[1])
        out.index_add_(1, self._half, values.reshape(n * n_channels, -1) / 4)
        return out.reshape(n, n_channels, *half).contiguous(memory_format=torch.channels_last)

    def interpolated(self, images: Tensor) -> Tensor:
        """Images at half the resolution, read at the voxels; shape (n, n_channels, n_voxels)."""
        full = functional.interpolate(images.contiguous(), scale_factor=2, mode="bilinear", align_corners=False)
        return full.flatten(2)[:, :, self.index]

    def spread(self, values: Tensor) -> Tensor:
        """Voxels in their rectangle, 0 outside tissue; shape (n, n_voxels) -> (n, x, y)."""
        out = values.new_zeros(len(values), self.shape[0] * self.shape[1])
        return out.index_copy(1, self.index, values).reshape(-1, *self.shape)


class HypothesisNetwork(nn.Module):
    """Advice on every hypothesis of every voxel."""

    def __init__(self, channels):
        super().__init__()
        a, b, c, d = channels
        self.enter = _Exchange(2 + len(COST_SCALES), a)
        self.down = nn.ModuleList([_Exchange(a, b, 2), _Exchange(b, c, 2), _Exchange(c, d, 2)])
        self.deepest = _Exchange(d, d)
        self.up = nn.ModuleList([_Exchange(d + c, c), _Exchange(c + b, b), _Exchange(b + a, a)])
        self.leave = nn.Conv2d(a, 2, 3, padding=1)
        self.log_trust = nn.Parameter(torch.zeros(()))

    def forward(self, cost: Tensor, place: Place, is_cyclic: bool) -> tuple[Tensor, Tensor]:
        """Log-probabilities of hypotheses, and how much wider than its curvature each minimum is.

        Args:
            cost: U_h of tissue voxels, shape (n_hypotheses, n_voxels), nats.
            place: Where they lie.
            is_cyclic: True when the last hypothesis neighbours the first.
        Returns:
            Unnormalised log-probabilities and log of the factor of the width, both shaped as ``cost``.
        """
        limited = saturate(cost)
        shown = [torch.exp(-cost / scale) for scale in COST_SCALES]
        features = place.pooled(torch.stack([*shown, limited / MAX_COST, torch.ones_like(cost)], dim=1))
        skips = [self.enter(features, is_cyclic)]
        for block in self.down:
            skips.append(block(skips[-1], is_cyclic))
        out = self.deepest(skips.pop(), is_cyclic)
        for block in self.up:
            skip = skips.pop()
            out = block(torch.cat([functional.interpolate(out, skip.shape[2:]), skip], dim=1), is_cyclic)
        advice = place.interpolated(self.leave(out))
        return advice[:, 0] - torch.exp(self.log_trust) * limited, advice[:, 1]


class _Exchange(nn.Module):
    """Convolution, exchange with the hypotheses beside, convolution."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, 1)
        self.second = nn.Conv2d(n_out, n_out, 3, 1, 1)

    def forward(self, x, is_cyclic):
        x = functional.relu(self.first(x))
        n = x.shape[1] // EXCHANGED
        if is_cyclic:
            before, after = torch.roll(x[:, :n], 1, 0), torch.roll(x[:, n : 2 * n], -1, 0)
        else:
            before = torch.cat([x[:1, :n], x[:-1, :n]])
            after = torch.cat([x[1:, n : 2 * n], x[-1:, n : 2 * n]])
        return functional.relu(self.second(torch.cat([before, after, x[:, 2 * n :]], dim=1)))


class AiDealNetworks(nn.Module):
    """G_φ and G_R2*."""

    def __init__(self, sizes: NetworkSizes | None = None):
        super().__init__()
        self.sizes = sizes or NetworkSizes()
        self.field = HypothesisNetwork(self.sizes.field)
        self.r2_star = HypothesisNetwork(self.sizes.r2_star)
        self.to(memory_format=torch.channels_last)

    def config(self) -> dict:
        """What :meth:`from_weights` needs beside the tensors; JSON-ready."""
        return {"field": list(self.sizes.field), "r2_star": list(self.sizes.r2_star)}

    def tensors(self) -> dict:
        """Every parameter as a NumPy array."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    @classmethod
    def from_weights(cls, weights: Weights) -> AiDealNetworks:
        """The networks with trained parameters.

        Raises:
            UnsuitableInputError: sizes that are none; tensors that are missing, too many, or of another shape.
        """
        networks = cls(_sizes(weights.card.get("config", {})))
        check_shapes(weights, {name: tuple(value.shape) for name, value in networks.state_dict().items()})
        networks.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.tensors.items()})
        return networks.eval()


def _sizes(config) -> NetworkSizes:
    """The sizes a card names, the usual ones where it names none."""
    found = {}
    for item in fields(NetworkSizes):
        channels = config.get(item.name, item.default) if isinstance(config, dict) else None
        is_size = isinstance(channels, list | tuple) and len(channels) == len(item.default)
        if not is_size or not all(type(n) is int and EXCHANGED <= n <= MAX_CHANNELS for n in channels):
            raise UnsuitableInputError(
                f"The config of '{ARCHITECTURE}' needs '{item.name}': {len(item.default)} whole numbers of channels "
                f"from {EXCHANGED} to {MAX_CHANNELS}; found {str(channels)[:80]!r}. Get the file again, or train anew."
            )
        found[item.name] = tuple(channels)
    return NetworkSizes(**found)


def saturate(cost: Tensor) -> Tensor:
    """Evidence that levels off at :data:`MAX_COST` nats."""
    return MAX_COST * (1 - torch.exp(-cost / MAX_COST))


@dataclass(frozen=True)
class Moments:
    """A network's answer at each voxel; every array has the shape of the voxels."""

    mean: Tensor
    """Hz or 1/s."""
    std: Tensor
    """Hz or 1/s."""
    chosen: Tensor
    """Index of the most probable hypothesis."""
    elsewhere: Tensor
    """Probability of hypotheses outside the reach of the chosen one."""


def moments(logits: Tensor, log_widening: Tensor, value: Tensor, width: Tensor, reach: int, period) -> Moments:
    """Mean and standard deviation around the most probable hypothesis, and the probability that is elsewhere.

    A mean over two basins would be in neither, so only hypotheses within ``reach`` of the chosen one count.

    Args:
        logits: Unnormalised log-probabilities, shape (n_hypotheses, …).
        log_widening: Log of the factor of each width, same shape.
        value: x_h, same shape.
        width: σ_h, same shape.
        reach: Hypotheses to each side that belong to the same basin.
        period: Length of a cyclic row, modulo which values are taken; None: the row is not cyclic.
    """
    n = logits.shape[0]
    probability = torch.softmax(logits, 0)
    chosen = logits.argmax(0)
    offsets = torch.arange(-reach, reach + 1, device=logits.device)
    index = chosen[None] + offsets.reshape(-1, *(1,) * chosen.ndim)
    inside = torch.ones_like(index, dtype=torch.bool) if period else (index >= 0) & (index < n)
    index = index % n
    p = torch.gather(probability, 0, index) * inside
    near = p.sum(0)
    p = p / near.clamp(min=1e-12)
    x = torch.gather(value, 0, index)
    if period:
        centre = torch.gather(value, 0, chosen[None])
        x = x - period * torch.round((x - centre) / period)
    sigma = torch.gather(width * torch.exp(log_widening), 0, index)
    mean = (p * x).sum(0)
    std = torch.sqrt((p * (sigma**2 + (x - mean) ** 2)).sum(0))
    return Moments(mean, std, chosen, (1 - near).clamp(0, 1))
