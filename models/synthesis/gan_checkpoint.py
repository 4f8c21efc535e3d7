"""What a stopped training of GANs goes on from: the generators that are finished, and the one stage in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..learning.training_checkpoint import arrays_of
from ..weights import load_weights, save_weights
from .gan_training import Adversaries

ARCHITECTURE = "stacked_gan_checkpoint"
"""Name on the card of a checkpoint."""
NETWORKS = ("generator", "discriminator", "average")
"""Networks of a stage in training that are kept."""


@dataclass
class GanState:
    """How far a training of several stages is."""

    part: int = 0
    """Stages finished, of all classes."""
    round: int = 0
    """Rounds of the stage in training."""
    best_round: int = 0
    """That of the lowest distance; 0: none yet."""
    best_distance: float | None = None
    """Kernel distance of that round."""
    curve: list = field(default_factory=list)
    """One entry a round, of all stages."""
    best: dict[str, np.ndarray] = field(default_factory=dict)
    """The averaged generator of the best round."""
    done: dict[str, np.ndarray] = field(default_factory=dict)
    """Finished generators, their tensors under the name of their part."""


class GanCheckpoint:
    """One file, written whole or not at all.

    Args:
        folder: Where it lies; None: nothing is kept.
        config: What another training would not share, JSON-ready: options and the digest of its data.
    """

    def __init__(self, folder: Path | None, config: Mapping[str, Any]):
        self.path = None if folder is None else Path(folder) / "checkpoint.safetensors"
        self.config = dict(config)
        self._stage: dict[str, torch.Tensor] = {}

    def load(self) -> GanState:
        """The state to go on from; :meth:`fill` then fills the networks of its stage.

        Raises:
            UnsuitableInputError: the checkpoint is of another training.
        """
        if self.path is None or not self.path.exists():
            return GanState()
        found = load_weights(self.path, ARCHITECTURE)
        if found.card["config"] != self.config:
            raise UnsuitableInputError(
                f"Going on needs the same options and frames; the checkpoint in {self.path.parent.name} is of another "
                "training. Begin in a new folder, or remove it."
            )
        parts = {"done": {}, "best": {}, "stage": {}}
        for name, value in found.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = np.array(value)
        self._stage = {name: torch.from_numpy(value) for name, value in parts["stage"].items()}
        return GanState(**found.card["state"], best=parts["best"], done=parts["done"])

    def fill(self, stage: Adversaries) -> None:
        """Give the networks and optimisers of the stage in training what they had."""
        for name in NETWORKS:
            start = f"{name}/"
            kept = {key.removeprefix(start): value for key, value in self._stage.items() if key.startswith(start)}
            getattr(stage, name).load_state_dict(kept)
        for name, optimiser in stage.optimisers.items():
            content, start = optimiser.state_dict(), f"adam_{name}/"
            for key, value in self._stage.items():
                if key.startswith(start):
                    number, _, what = key.removeprefix(start).partition(".")
                    content["state"].setdefault(int(number), {})[what] = value
            optimiser.load_state_dict(content)
        self._stage = {}

    def write(self, state: GanState, stage: Adversaries | None) -> None:
        """Keep the state, and the stage in training, if there is one."""
        if self.path is None:
            return
        tensors = {f"done/{name}": value for name, value in state.done.items()}
        tensors |= {f"best/{name}": value for name, value in state.best.items()}
        for network in NETWORKS if stage else ():
            arrays = arrays_of(getattr(stage, network))
            tensors |= {f"stage/{network}/{name}": value for name, value in arrays.items()}
        for name, optimiser in stage.optimisers.items() if stage else ():
            for number, one in optimiser.state_dict()["state"].items():
                for key, value in one.items():
                    tensors[f"stage/adam_{name}/{number}.{key}"] = value.detach().cpu().numpy().copy()
        kept = {key: value for key, value in asdict(state).items() if key not in ("best", "done")}
        save_weights(self.path, tensors, {"architecture": ARCHITECTURE, "config": self.config, "state": kept})
