"""A user's own ImageNet weights of ResNet-18, in torchvision's format."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from ..errors import UnsuitableInputError
from .fusion_networks import FullBranch

MAX_BYTES = 200_000_000
"""Of a file that is fetched; ResNet-18 has 47 MB."""
TIMEOUT_S = 60
"""Of a fetch, seconds without an answer."""


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
    import torch

    if not sha256:
        raise UnsuitableInputError(
            "ImageNet weights need their SHA-256, so that nobody's file is taken for them; found none. Give "
            "--imagenet-sha256."
        )
    data = _fetched(source)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise UnsuitableInputError(
            f"The ImageNet weights need the SHA-256 {sha256.lower()[:16]}…; the file has {found[:16]}…. Get it "
            "again, or "
            "correct the digest."
        )
    state = _state(data)
    own = branch.resnet.state_dict()
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    wrong = sorted(name for name in set(own) ^ set(state) if not name.endswith("num_batches_tracked"))
    wrong += [name for name in own if name in state and own[name].shape != state[name].shape]
    if wrong:
        raise UnsuitableInputError(
            f"The ImageNet weights need the tensors of torchvision's ResNet-18; '{wrong[0]}' is missing, too many or "
            "of "
            "another shape. Give resnet18's."
        )
    branch.resnet.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()}, strict=False)


def _fetched(source: str) -> bytes:
    try:
        if "://" not in source:
            return Path(source).read_bytes()
        if not source.startswith(("https://", "file://")):
            raise UnsuitableInputError(f"ImageNet weights need a path or an https address; found {source[:80]!r}.")
        with urllib.request.urlopen(source, timeout=TIMEOUT_S) as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise UnsuitableInputError(
            f"The ImageNet weights cannot be read from {source[:80]!r}: {getattr(error, 'reason', error)}. Check the "
            "path."
        ) from error
    if len(data) > MAX_BYTES:
        raise UnsuitableInputError(
            f"ImageNet weights need at most {MAX_BYTES // 1_000_000} MB; {source[:80]!r} has more."
        )
    return data


def _state(data: bytes) -> dict:
    import io
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if data[:1] == b"P" or data[:2] == b"\x80\x02":  # A zip of torch's, or its older form.
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return load(data)
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise UnsuitableInputError(
            "The ImageNet weights need to be a state dict of tensors, saved by torch or as safetensors; this file is "
            "not, or would run code. Save the state dict alone."
        ) from error
