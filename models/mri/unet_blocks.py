"""The halves of a U-Net for slices: one encoder may feed several decoders."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution, SpatialAttentionBlock, UpSample
from torch import nn
from torch.nn import functional

MAX_GROUPS = 32
"""Groups of channels that the attention's norm uses, at most."""


class ConvBlock(nn.Sequential):
    """Twice a 3 x 3 convolution, ReLU and instance norm."""

    def __init__(self, in_channels: int, out_channels: int):
        settings = {"kernel_size": 3, "adn_ordering": "AN", "act": "RELU", "norm": ("INSTANCE", {"affine": True})}
        super().__init__(
            Convolution(2, in_channels, out_channels, **settings),
            Convolution(2, out_channels, out_channels, **settings),
        )


class Encoder(nn.Module):
    """Blocks with max-pooling between them.

    Args:
        in_channels: Channels of the image.
        widths: Channels at each level, full resolution first; the last is the bottleneck.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]):
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvBlock(below, above) for below, above in zip((in_channels, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: torch.Tensor, adapt=None) -> list[torch.Tensor]:
        """Features at each level, full resolution first.

        Args:
            image: Shape (batch, in_channels, x, y); x and y are multiples of 2^(levels - 1).
            adapt: Called as adapt(level, features) on what each block gives; None changes nothing.
        """
        features = []
        for level, block in enumerate(self.blocks):
            image = block(self.pool(features[-1]) if features else image)
            features.append(image if adapt is None else adapt(level, image))
        return features


class Decoder(nn.Module):
    """Transposed convolutions and blocks back to full resolution, the encoder's features joined at each level.

    Args:
        widths: Those of the encoder.
        has_attention: Self-attention at the deepest stage, between its skip connection and its block.
    """

    def __init__(self, widths: tuple[int, ...], has_attention: bool = False):
        super().__init__()
        pairs = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.ups = nn.ModuleList(UpSample(2, deep, shallow, 2, mode="deconv") for deep, shallow in pairs)
        self.blocks = nn.ModuleList(ConvBlock(2 * shallow, shallow) for _, shallow in pairs)
        n_joined = 2 * pairs[0][1]
        n_groups = next(n for n in range(min(MAX_GROUPS, n_joined), 0, -1) if n_joined % n == 0)
        self.attention = (
            SpatialAttentionBlock(2, n_joined, norm_num_groups=n_groups, use_flash_attention=True)
            if has_attention
            else nn.Identity()
        )

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Features of :class:`Encoder` to those at full resolution, shape (batch, widths[0], x, y)."""
        image = features[-1]
        for stage, (up, block, skip) in enumerate(zip(self.ups, self.blocks, reversed(features[:-1]), strict=True)):
            image = torch.cat([skip, up(image)], dim=1)
            image = block(image if stage else self.attention(image))
        return image


def to_grid(image: torch.Tensor, widths: tuple[int, ...]) -> tuple[torch.Tensor, tuple]:
    """Zeros after the last rows and columns, so that a U-Net can halve the image at each level.

    Args:
        image: Shape (…, x, y).
        widths: Of the U-Net.
    Returns:
        The padded image, and the index that cuts its original part out of any map of that size.
    """
    step = 2 ** (len(widths) - 1)
    n_x, n_y = image.shape[-2:]
    return functional.pad(image, (0, -n_y % step, 0, -n_x % step)), (..., slice(n_x), slice(n_y))
