"""The kinds of generators, for those who only need their names."""

from __future__ import annotations

KINDS = ("ldm_semantic", "ldm_class", "stacked_gan")
"""Two latent diffusion models and the stacked GAN."""


def draws_cuts(kind: str) -> bool:
    """Whether a kind learns from random cuts of frames and draws such; the stacked GAN learns from whole frames."""
    return kind in ("ldm_semantic", "ldm_class")
