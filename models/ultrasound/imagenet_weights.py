"""A user's own ImageNet weights of ResNet-18, in torchvision's format."""

from __future__ import annotations

from ..learning.foreign_weights import fill, read_state
from .fusion_networks import FullBranch


def load_imagenet(branch: FullBranch, source: str, sha256: str | None) -> None:
    """Fill a branch with weights; every tensor but the classifier's has to be there and fit.

    Args:
        branch: Filled in place.
        source: A path, or an ``https://`` or ``file://`` address.
        sha256: Hex digest of the file.
    Raises:
        UnsuitableInputError: no digest, a file that cannot be had or is another, a pickle that would run code, tensors
            that are missing or do not fit.
    """
    state = read_state(source, sha256, "ImageNet weights", "Give --imagenet-sha256.")
    fill(branch.resnet, state, "ImageNet weights", "torchvision's ResNet-18", without=("fc.",))
