"""Changes of images that gradients pass through: what lets a GAN learn from a few hundred of them.

Real and generated images are changed alike before a discriminator sees either, so that it cannot learn the real ones by
heart, and a generator is not taught the changes. What is drawn lies apart from how it is applied.

Brightness and contrast change far less than in the source (0.1 instead of 0.5): a liver's grey level is what tells fat,
and changed by half its range it can tell a discriminator little. Decision 17.

Source: Zhao S et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020,
10.48550/arXiv.2006.10738.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

BRIGHTNESS = 0.1
"""Most that is added, of images from -1 to 1."""
CONTRAST = (0.9, 1.1)
"""Range of the factor of the distance from an image's mean."""
TRANSLATION = 1 / 8
"""Most that an image is moved along an axis, as a share of its side."""
CUTOUT = 0.3
"""Side of the square that is cut out, as a share of the image's."""


@dataclass(frozen=True)
class Changes:
    """What happens to each image of a batch, shape (n,) or (n, 2) for rows and columns."""

    brightness: torch.Tensor
    """Added, shape (n,)."""
    contrast: torch.Tensor
    """Factor of the distance from the image's mean, shape (n,)."""
    translation: torch.Tensor
    """Down and to the right, as a share of the side, shape (n, 2); rounded to whole pixels."""
    cutout_centre: torch.Tensor
    """Of the square, as a share of the side, shape (n, 2)."""
    cutout_side: torch.Tensor
    """Of the square, as a share of the side, shape (n,); 0: none."""


def draw_changes(n: int, generator: torch.Generator) -> Changes:
    """Draw the changes of n images."""
    u = torch.rand(n, 6, generator=generator)
    return Changes(
        brightness=(2 * u[:, 0] - 1) * BRIGHTNESS,
        contrast=CONTRAST[0] + (CONTRAST[1] - CONTRAST[0]) * u[:, 1],
        translation=(2 * u[:, 2:4] - 1) * TRANSLATION,
        cutout_centre=u[:, 4:6],
        cutout_side=torch.full((n,), CUTOUT),
    )


def no_changes(n: int) -> Changes:
    """Those that leave n images as they are."""
    zero = torch.zeros(n)
    return Changes(zero, torch.ones(n), torch.zeros(n, 2), torch.full((n, 2), 0.5), zero)


def apply_changes(images: torch.Tensor, changes: Changes) -> torch.Tensor:
    """Brightness, contrast, translation, cutout, in this order; what is moved in or cut out is 0, a mid grey.

    Args:
        images: Shape (n, 1, side, side), from -1 to 1.
        changes: One an image.
    Returns:
        The same shape; gradients reach ``images``.
    """
    n, _, rows, columns = images.shape
    brightness, contrast, translation, centre, side = (
        value.to(images.device)
        for value in (
            changes.brightness,
            changes.contrast,
            changes.translation,
            changes.cutout_centre,
            changes.cutout_side,
        )
    )
    found = images + brightness.view(n, 1, 1, 1)
    mean = found.mean(dim=(1, 2, 3), keepdim=True)
    found = (found - mean) * contrast.view(n, 1, 1, 1) + mean
    sides = torch.tensor([rows, columns], device=images.device)
    shift = torch.round(translation * sides).long()
    places, kept = [], []
    for axis, size in enumerate((rows, columns)):
        place = torch.arange(size, device=images.device) - shift[:, axis, None]
        kept.append((place >= 0) & (place < size))
        places.append(place.clamp(0, size - 1))
    batch = torch.arange(n, device=images.device)[:, None, None]
    found = found[batch, :, places[0][:, :, None], places[1][:, None, :]].movedim(-1, 1)
    inside = []
    for axis, size in enumerate((rows, columns)):
        distance = (torch.arange(size, device=images.device) + 0.5) / size - centre[:, axis, None]
        inside.append(distance.abs() < side[:, None] / 2)
    seen = kept[0][:, :, None] & kept[1][:, None, :] & ~(inside[0][:, :, None] & inside[1][:, None, :])
    return found * seen[:, None]
