"""What a stopped training of an image network goes on from."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..weights import load_weights, save_weights

CHECKPOINT = "reshy_net_checkpoint"
"""Name on the card of a checkpoint."""


def arrays_of(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Copies of a network's state."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


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
        run: The training: its options, prepared sets, network and optimiser.
    """

    def __init__(self, folder, run):
        self.path = None if folder is None else Path(folder) / "checkpoint.safetensors"
        self.run = run
        kept = {k: v for k, v in asdict(run.options).items() if k not in ("device", "max_minutes", "epochs")}
        self.config = {"options": kept, "data": _digest(run.sets)}

    def load(self) -> TrainingState:
        """The state to go on from; fills the run's network and optimiser.

        Raises:
            UnsuitableInputError: the checkpoint is of another training.
        """
        state = TrainingState(0, 0, float("inf"), arrays_of(self.run.network), [])
        if self.path is None or not self.path.exists():
            return state
        found = load_weights(self.path, CHECKPOINT)
        if found.card["config"] != self.config:
            raise UnsuitableInputError(
                f"Going on needs the same options and subjects; the checkpoint in {self.path.parent.name} is of "
                "another "
                "training. Begin in a new folder, or remove it."
            )
        parts = {"now": {}, "best": {}, "adam": {}}
        for name, value in found.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = torch.from_numpy(np.array(value))
        self.run.network.load_state_dict(parts["now"])
        optimiser = self.run.optimiser.state_dict()
        for name, value in parts["adam"].items():
            number, _, key = name.partition(".")
            optimiser["state"].setdefault(int(number), {})[key] = value
        self.run.optimiser.load_state_dict(optimiser)
        best = {name: value.numpy() for name, value in parts["best"].items()}
        card = found.card
        return TrainingState(card["epoch"], card["best_epoch"], card["best_metric"], best, card["curve"])

    def write(self, state: TrainingState) -> None:
        """Keep the state, whole or not at all."""
        if self.path is None:
            return
        tensors = {f"now/{name}": value for name, value in arrays_of(self.run.network).items()}
        tensors |= {f"best/{name}": value for name, value in state.best.items()}
        for number, one in self.run.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{number}.{key}": value.detach().cpu().numpy().copy() for key, value in one.items()}
        card = {"architecture": CHECKPOINT, "config": self.config, "epoch": state.epoch}
        card |= {"best_epoch": state.best_epoch, "best_metric": state.best_metric, "curve": state.curve}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(self.path, tensors, card)


def _digest(sets) -> str:
    """SHA-256 of all that is learnt from and stopped by: images, which are there, values, answers, whose they are."""
    digest = hashlib.sha256()
    for one in sets:
        arrays = [*one.pairs.images.values(), *one.pairs.present.values(), one.pairs.subject, one.subject_labels]
        arrays += [] if one.clinical is None else [one.clinical.numpy()]
        for array in arrays:
            digest.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
