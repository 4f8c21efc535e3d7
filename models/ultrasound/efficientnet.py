"""EfficientNet-B0 and EfficientNetV2-S without their classifier, with torchvision's names and shapes.

A stage is a row (kind, expansion, kernel, stride, channels in, channels out, blocks). Blocks are inverted residuals:

1. A 1x1 convolution expands the channels (not at expansion 1), a depthwise one filters them, squeeze-and-excitation
   weighs them, a 1x1 convolution projects them. A fused block has one full convolution in place of the first three.
2. Where the shape stays, the input is added, and in training the block is left out at random, the later the likelier.

Source: Tan M, Le QV, ICML 2019, 10.48550/arXiv.1905.11946; ICML 2021, 10.48550/arXiv.2104.00298; Huang G et al.,
ECCV 2016, 10.1007/978-3-319-46493-0_39 (blocks left out).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

B0 = (
    ("inverted", 1, 3, 1, 32, 16, 1),
    ("inverted", 6, 3, 2, 16, 24, 2),
    ("inverted", 6, 5, 2, 24, 40, 2),
    ("inverted", 6, 3, 2, 40, 80, 3),
    ("inverted", 6, 5, 1, 80, 112, 3),
    ("inverted", 6, 5, 2, 112, 192, 4),
    ("inverted", 6, 3, 1, 192, 320, 1),
)
V2_S = (
    ("fused", 1, 3, 1, 24, 24, 2),
    ("fused", 4, 3, 2, 24, 48, 4),
    ("fused", 4, 3, 2, 48, 64, 4),
    ("inverted", 4, 3, 2, 64, 128, 6),
    ("inverted", 6, 3, 1, 128, 160, 9),
    ("inverted", 6, 3, 2, 160, 256, 15),
)
N_LAST = 1280
"""Channels of the last maps."""
LEFT_OUT = 0.2
"""Chance that the block after the last would be left out; earlier ones in proportion."""
SQUEEZE = 4
"""Channels of a block's input over those of its squeeze."""


class EfficientNet(nn.Module):
    """The convolutions of one of the tables above.

    Args:
        stages: :data:`B0` or :data:`V2_S`.
        norm: Makes the normalisation of so many channels.
    """

    def __init__(self, stages, norm):
        super().__init__()
        n_blocks, done = sum(row[-1] for row in stages), 0
        parts = [_convolution(3, stages[0][4], 3, 2, norm)]
        for kind, expansion, kernel, stride, before, after, n in stages:
            blocks = []
            for k in range(n):
                widths = (before if k == 0 else after, after)
                chance = LEFT_OUT * done / n_blocks
                blocks.append(_Block(kind, expansion, kernel, stride if k == 0 else 1, widths, chance, norm))
                done += 1
            parts.append(nn.Sequential(*blocks))
        parts.append(_convolution(stages[-1][5], N_LAST, 1, 1, norm))
        self.features = nn.Sequential(*parts)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, 3, rows, columns) -> (n, 1280, rows/32, columns/32)."""
        return self.features(x)


def efficientnet_b0() -> EfficientNet:
    """4.0 million parameters."""
    return EfficientNet(B0, nn.BatchNorm2d)


def efficientnet_v2_s() -> EfficientNet:
    """20.2 million parameters."""
    return EfficientNet(V2_S, partial(nn.BatchNorm2d, eps=1e-3))


def _convolution(before, after, kernel, stride, norm, groups=1, is_active=True) -> nn.Sequential:
    layers = [nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False), norm(after)]
    return nn.Sequential(*layers, *([nn.SiLU(inplace=True)] if is_active else []))


class _Squeeze(nn.Module):
    """Channels weighed by what is in all of them."""

    def __init__(self, n_channels, n_squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(n_channels, n_squeezed, 1), nn.Conv2d(n_squeezed, n_channels, 1)

    def forward(self, x):
        weight = nn.functional.silu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(weight))


class _Block(nn.Module):
    """One inverted residual; its layers are named by their place, as torchvision has them."""

    def __init__(self, kind, expansion, kernel, stride, widths, chance, norm):
        super().__init__()
        before, after = widths
        wide = before * expansion
        self.is_added, self.chance = stride == 1 and before == after, chance
        if kind == "fused" and expansion == 1:
            layers = [_convolution(before, after, kernel, stride, norm)]
        elif kind == "fused":
            layers = [_convolution(before, wide, kernel, stride, norm)]
            layers += [_convolution(wide, after, 1, 1, norm, is_active=False)]
        else:
            layers = [_convolution(before, wide, 1, 1, norm)] if expansion > 1 else []
            layers += [_convolution(wide, wide, kernel, stride, norm, groups=wide), _Squeeze(wide, before // SQUEEZE)]
            layers += [_convolution(wide, after, 1, 1, norm, is_active=False)]
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        found = self.block(x)
        if not self.is_added:
            return found
        if self.training and self.chance:
            is_kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.chance
            found = found * is_kept / (1 - self.chance)
        return x + found
