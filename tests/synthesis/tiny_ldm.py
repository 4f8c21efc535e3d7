"""Latent diffusion models small enough to be trained in a test."""

from liver_models.synthesis.ldm_options import AutoencoderSize, LdmOptions
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames

TINY_AUTOENCODER = AutoencoderSize(
    family="kl",
    latent_channels=2,
    factor=8,
    patch=4,
    channels=(8, 8),
    layers=1,
    n_codes=0,
    steps=4,
    batch=2,
    learning_rate=1e-3,
)
TINY = {
    "channels": (16, 16),
    "attention": (False, True),
    "heads": (2, 2),
    "norm_groups": 8,
    "class_embedding": 8,
    "batch": 4,
    "steps": 6,
    "warmup": 2,
    "block": 4,
    "autoencoder": TINY_AUTOENCODER,
}


def tiny_options(**changed) -> LdmOptions:
    """Options of a network of some ten thousand parameters."""
    overrides = {**TINY, **changed.pop("overrides", {})}
    return LdmOptions(overrides=overrides, device="cpu", **changed)


def tiny_frames():
    """Two simulated patients of each class, two frames each."""
    return simulate_nafld_frames(2, 2, 2)
