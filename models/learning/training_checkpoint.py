"""What a stopped training of a network goes on from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnsuitableInputError
from ..weights import load_weights, save_weights

if TYPE_CHECKING:
    import torch


def arrays_of(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copies of a network's state."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 of the types, shapes and bytes of what is learnt from."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass
class TrainingState:
    """How far a training is, and its best so far."""

    epoch: int
    best_epoch: int
    best_metric: float
    best: dict
    curve: list


class Checkpoint:
    """Network, best network, optimiser and curve of an unfinished training, in one file.

    Args:
        folder: Where it lies; None: nothing is kept.
        architecture: Name on its card.
        config: What another training would not share, JSON-ready: options and the digest of its data.
        network: Filled when the checkpoint is loaded.
        optimiser: The same.
    """

    def __init__(
        self,
        folder: Path | None,
        architecture: str,
        config: Mapping[str, Any],
        network: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
    ):
        self.path = None if folder is None else Path(folder) / "checkpoint.safetensors"
        self.architecture, self.config = architecture, dict(config)
        self.network, self.optimiser = network, optimiser

    def load(self, worst: float) -> TrainingState:
        """The state to go on from.

        Args:
            worst: Metric of a training that has not begun.
        Raises:
            UnsuitableInputError: the checkpoint is of another training.
        """
        import torch

        state = TrainingState(0, 0, worst, arrays_of(self.network), [])
        if self.path is None or not self.path.exists():
            return state
        found = load_weights(self.path, self.architecture)
        if found.card["config"] != self.config:
            raise UnsuitableInputError(
                f"Going on needs the same options and cases; the checkpoint in {self.path.parent.name} is of another "
                "training. Begin in a new folder, or remove it."
            )
        parts = {"now": {}, "best": {}, "adam": {}}
        for name, value in found.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = torch.from_numpy(np.array(value))
        self.network.load_state_dict(parts["now"])
        optimiser = self.optimiser.state_dict()
        for name, value in parts["adam"].items():
            number, _, key = name.partition(".")
            optimiser["state"].setdefault(int(number), {})[key] = value
        self.optimiser.load_state_dict(optimiser)
        best = {name: value.numpy() for name, value in parts["best"].items()}
        card = found.card
        return TrainingState(card["epoch"], card["best_epoch"], card["best_metric"], best, card["curve"])

    def write(self, state: TrainingState) -> None:
        """Keep the state, whole or not at all."""
        if self.path is None:
            return
        tensors = {f"now/{name}": value for name, value in arrays_of(self.network).items()}
        tensors |= {f"best/{name}": value for name, value in state.best.items()}
        for number, one in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{number}.{key}": value.detach().cpu().numpy().copy() for key, value in one.items()}
        card = {"architecture": self.architecture, "config": self.config, "epoch": state.epoch}
        card |= {"best_epoch": state.best_epoch, "best_metric": state.best_metric, "curve": state.curve}
        save_weights(self.path, tensors, card)
