"""Where a training runs."""

from __future__ import annotations

from ..errors import UnsuitableInputError

DEVICES = ("auto", "cpu", "cuda")
"""What a network can be asked to run on; "auto" is a GPU if there is one."""


def choose_device(device: str) -> str:
    """ "cpu" or "cuda".

    Raises:
        UnsuitableInputError: unknown, or CUDA asked for and not there.
    """
    import torch

    if device not in DEVICES:
        raise UnsuitableInputError(f"The device needs to be one of {', '.join(DEVICES)}; found {device!r}.")
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise UnsuitableInputError("The device cuda needs an NVIDIA GPU; none was found. Take auto or cpu.")
    return "cuda" if has_cuda and device != "cpu" else "cpu"
