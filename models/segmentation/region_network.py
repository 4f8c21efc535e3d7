"""The network that outlines the liver, and what it reads."""

from __future__ import annotations

import torch

from .region_options import CHANNELS, SIZE

IN_CHANNELS = 5
"""Image, row, column, clicks inside the liver, clicks outside."""


def build_network() -> torch.nn.Module:
    """A residual U-Net of MONAI with instance norms: what one image gives does not depend on its batch."""
    from monai.networks.nets import UNet

    strides = (2,) * (len(CHANNELS) - 1)
    return UNet(2, IN_CHANNELS, 1, CHANNELS, strides, num_res_units=2, norm="INSTANCE")


def places(n: int) -> torch.Tensor:
    """Row and column of each pixel from -1 to 1, shape (n, 2, SIZE, SIZE)."""
    axis = torch.linspace(-1, 1, SIZE)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"))
    return grid[None].expand(n, -1, -1, -1)


def network_input(images: torch.Tensor, clicks: torch.Tensor | None = None) -> torch.Tensor:
    """What the network reads, shape (n, IN_CHANNELS, SIZE, SIZE).

    Args:
        images: Normalised, shape (n, SIZE, SIZE).
        clicks: Shape (n, 2, SIZE, SIZE); None: none were made.
    """
    n = len(images)
    clicks = images.new_zeros(n, 2, SIZE, SIZE) if clicks is None else clicks
    return torch.cat([images[:, None], places(n).to(images), clicks], dim=1)


def stages(network: torch.nn.Module, read: torch.Tensor) -> list[torch.Tensor]:
    """What each residual unit gives, from the first to the last, each of shape (n, channels, rows, columns)."""
    from monai.networks.blocks import ResidualUnit

    found = []
    units = [module for module in network.modules() if isinstance(module, ResidualUnit)]
    hooks = [unit.register_forward_hook(lambda module, given, output: found.append(output)) for unit in units]
    try:
        with torch.inference_mode():
            network(read)
    finally:
        for hook in hooks:
            hook.remove()
    return found
