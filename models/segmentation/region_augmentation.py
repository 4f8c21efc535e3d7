"""Random changes of training images: the same draws whatever process sees the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from .region_options import SIZE

MAX_ROTATION_DEG, MAX_SHIFT = 20.0, 0.12
"""Largest rotation, and shift as a share of the square."""
SCALES = (0.75, 1.3)
"""Smallest and largest zoom."""
CONTRASTS = (0.7, 1.4)
"""Smallest and largest contrast."""
MAX_RAMP, MAX_NOISE = 0.6, 0.35
"""Largest change of brightness over the depth, and noise, in standard deviations of the image."""
IS_MIRRORED = {"ultrasound": True, "mri": False}
"""Kind -> whether left and right may be exchanged: a probe is turned as often as not, the liver lies on one side."""


@dataclass(frozen=True)
class Changes:
    """How each image of a batch is changed; first axis: image."""

    matrix: torch.Tensor
    """From places in the changed image to those in the given one, shape (n, 2, 3)."""
    brightness: torch.Tensor
    """Contrast, offset, ramp over rows and noise, shape (n, 4)."""
    noise_seed: torch.Tensor
    """Of each image's noise, shape (n,), int64."""
    clicks: torch.Tensor
    """Where simulated clicks fall, shape (n, clicks + 1), 0 to 1; the last says whether there are any."""

    def __getitem__(self, index) -> Changes:
        return Changes(self.matrix[index], self.brightness[index], self.noise_seed[index], self.clicks[index])


def draw_changes(n: int, kind: str, n_clicks: int, generator: torch.Generator) -> Changes:
    """Changes of a whole batch."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    angle = torch.deg2rad(uniform(-MAX_ROTATION_DEG, MAX_ROTATION_DEG))
    scale = torch.exp(uniform(math.log(1 / SCALES[1]), math.log(1 / SCALES[0])))
    mirror = torch.where(uniform(0, 1) < 0.5 * IS_MIRRORED[kind], -1.0, 1.0)
    shift = torch.stack([uniform(-MAX_SHIFT, MAX_SHIFT) * 2 for _ in range(2)], dim=1)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [torch.stack([mirror * cos, -sin], dim=1), torch.stack([mirror * sin, cos], dim=1)]
    brightness = torch.stack(
        [uniform(*CONTRASTS), uniform(-0.3, 0.3), uniform(-MAX_RAMP, MAX_RAMP), uniform(0, MAX_NOISE)], dim=1
    )
    return Changes(
        torch.cat([torch.stack(rows, dim=1), shift[..., None]], dim=2),
        brightness,
        torch.randint(2**31, (n,), generator=generator),
        torch.rand(n, n_clicks + 1, generator=generator),
    )


def changed(images: torch.Tensor, regions: torch.Tensor, changes: Changes) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and regions after the changes.

    Args:
        images: Normalised, 0 where black, shape (n, SIZE, SIZE).
        regions: 0 or 1, same shape.
        changes: Of these images.
    """
    grid = functional.affine_grid(changes.matrix.to(images), [len(images), 1, SIZE, SIZE], align_corners=False)
    both = torch.stack([images, regions, (images != 0).to(images)], dim=1)
    both = functional.grid_sample(both, grid, align_corners=False)
    image, region, is_there = both[:, 0], both[:, 1], both[:, 2] > 0.5
    contrast, offset, ramp, noise = changes.brightness.to(images)[..., None, None].unbind(1)
    image = contrast * image + offset + ramp * torch.linspace(-0.5, 0.5, SIZE, device=images.device)[:, None]
    grains = torch.stack(
        [torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(int(seed))) for seed in changes.noise_seed]
    )
    image = image + noise * grains.to(images)
    return torch.where(is_there, image, torch.zeros_like(image)), (region > 0.5).to(images)
