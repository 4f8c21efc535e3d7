"""A user's own weights, made by another program: fetched, checked by digest, and fitted into a network of ours."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnsuitableInputError

if TYPE_CHECKING:
    from torch import nn

MAX_BYTES = 400_000_000
"""Of a file; ResNet-50 and Inception v3 have about 100 MB."""
TIMEOUT_S = 60
"""Of a fetch, seconds without an answer."""


def read_state(source: str, sha256: str | None, what: str, give_digest: str = "Give it.") -> dict[str, Any]:
    """Tensors of a file by name; nothing in the file is executed.

    Args:
        source: A path, or an ``https://`` or ``file://`` address.
        sha256: Hex digest of the file.
        what: The weights' name in sentences, as "ImageNet weights".
        give_digest: What to do without a digest, as "Give --imagenet-sha256.".
    Raises:
        UnsuitableInputError: no digest, a file that cannot be had or is another, a pickle that would run code, no
            state dict of tensors.
    """
    if not sha256:
        raise UnsuitableInputError(
            f"{what} need their SHA-256, so that nobody's file is taken for them; found none. {give_digest}"
        )
    data = _fetched(source, what)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise UnsuitableInputError(
            f"The {what} need the SHA-256 {sha256.lower()[:16]}…; the file has {found[:16]}…. Get it again, or correct "
            "the digest."
        )
    return _state(data, what)


def fill(network: nn.Module, state: Mapping[str, Any], what: str, whose: str, without: Sequence[str] = ()) -> None:
    """Put every tensor into a network; all that it has must be there and fit, and nothing else.

    Args:
        network: Filled in place. Counters of batches may be absent: they are of no use outside training.
        state: Of :func:`read_state`.
        what: As there.
        whose: What the tensors have to be, as "torchvision's ResNet-18".
        without: Beginnings of names that are passed over in the file, as ("fc.",).
    Raises:
        UnsuitableInputError: a tensor is missing, too many or of another shape; the first is named.
    """
    import torch

    own = network.state_dict()
    state = {name: value for name, value in state.items() if not name.startswith(tuple(without))}
    wrong = sorted(name for name in set(own) ^ set(state) if not name.endswith("num_batches_tracked"))
    wrong += [name for name in own if name in state and own[name].shape != getattr(state[name], "shape", None)]
    if wrong:
        raise UnsuitableInputError(
            f"The {what} need the tensors of {whose}; '{wrong[0]}' is missing, too many or of another shape. Give "
            f"{whose}'s."
        )
    network.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()}, strict=False)


def _fetched(source, what):
    try:
        if "://" not in source:
            with Path(source).open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        elif source.startswith(("https://", "file://")):
            with urllib.request.urlopen(source, timeout=TIMEOUT_S) as opened:
                data = opened.read(MAX_BYTES + 1)
        else:
            raise UnsuitableInputError(f"{what} need a path or an https address; found {source[:80]!r}. Give one.")
    except UnsuitableInputError:
        raise
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise UnsuitableInputError(
            f"The {what} cannot be read from {source[:80]!r}: {getattr(error, 'reason', error)}. Check the path."
        ) from error
    if len(data) > MAX_BYTES:
        raise UnsuitableInputError(
            f"{what} need at most {MAX_BYTES // 1_000_000} MB; {source[:80]!r} has more. Give the state dict alone."
        )
    return data


def _state(data, what):
    import io
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if data[:1] == b"P" or data[:2] == b"\x80\x02":  # A zip of torch's, or its older form.
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        else:
            found = load(data)
        if isinstance(found, dict) and all(isinstance(value, torch.Tensor) for value in found.values()):
            return dict(found)
        cause = None
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        cause = error
    raise UnsuitableInputError(
        f"The {what} need to be a state dict of tensors, saved by torch or as safetensors; this file is not, or would "
        "run code. Save the state dict alone."
    ) from cause
