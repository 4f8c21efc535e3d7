"""One network's descent: a batch is shared by all processes, and each sees what it would see alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..learning.device import choose_device
from ..learning.overlap import dice
from ..learning.training_checkpoint import Checkpoint, arrays_of, digest_of
from ..learning.training_progress import TrainingProgress
from .clicks import RADIUS
from .region_augmentation import Changes, changed, draw_changes
from .region_network import build_network, network_input
from .region_options import ARCHITECTURE, SIZE, RegionOptions

METRIC = "Dice of validation patients"
"""What stops a training."""
MAX_CLICKS = 3
"""Simulated clicks an image."""
EVALUATED = 16
"""Images evaluated at once."""
WEIGHT_DECAY = 1e-2
"""Of AdamW."""


class Fit:
    """Descent of one network.

    Args:
        kind: Of the images.
        options: Of the training.
        learnt: Normalised images, shape (n, SIZE, SIZE), and regions of the same shape, bool.
        checked: The same, of the validation patients.
        start: State of a network to go on from; None: from nothing.
        weights: How often each image is drawn, shape (n,); cases with many slices do not outweigh the others.
    """

    def __init__(
        self,
        kind: str,
        options: RegionOptions,
        learnt: tuple[np.ndarray, np.ndarray],
        checked: tuple[np.ndarray, np.ndarray],
        weights: np.ndarray,
        start: dict[str, np.ndarray] | None = None,
    ):
        self.kind, self.options, self.learnt, self.checked, self.weights = kind, options, learnt, checked, weights
        self.rank, self.n_ranks = _rank()
        self.device = choose_device(options.device)
        if self.device == "cuda" and self.n_ranks > 1:
            self.device = f"cuda:{self.rank % torch.cuda.device_count()}"
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.network = build_network()
        if start is not None:
            self.network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in start.items()})
        self.network.to(self.device)
        rate, decay = options.learning_rate, WEIGHT_DECAY
        self.optimiser = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=decay)
        self.shared = self.network
        if self.n_ranks > 1:
            self.shared = torch.nn.parallel.DistributedDataParallel(self.network)
        self.n_steps = max(options.min_steps, -(-len(learnt[0]) // options.batch_size))

    def train(
        self, folder: Path | None, progress: Callable[[TrainingProgress], None] | None
    ) -> tuple[dict[str, np.ndarray], list[dict]]:
        """State of the best epoch, and the curve.

        Args:
            folder: Keeps a checkpoint each epoch.
            progress: Called by the first process before the first and after each epoch; it may raise to stop.
        Raises:
            UnsuitableInputError: the checkpoint is of another training, or the time is over.
        """
        kept = {k: v for k, v in asdict(self.options).items() if k not in ("device", "max_minutes", "processes")}
        config = {"kind": self.kind, "options": kept, "data": digest_of([*self.learnt, *self.checked])}
        checkpoint = Checkpoint(folder, f"{ARCHITECTURE}_checkpoint", config, self.network, self.optimiser)
        state = checkpoint.load(worst=-1.0)
        started, first, n_epochs = time.monotonic(), state.epoch, self.options.epochs
        told = progress if progress and self.rank == 0 else lambda report: None
        if state.epoch == 0:
            state.best_metric = self.validation_dice()
        told(TrainingProgress(f"training {self.kind}", state.epoch, n_epochs, None, state.best_metric, METRIC, None))
        while state.epoch < n_epochs and state.epoch - state.best_epoch < self.options.patience:
            loss = self.epoch(state.epoch)
            metric = self.validation_dice()
            state.epoch += 1
            state.curve.append({"epoch": state.epoch, "loss": round(loss, 5), "validation": round(metric, 5)})
            if metric > state.best_metric:
                state.best_metric, state.best_epoch, state.best = metric, state.epoch, arrays_of(self.network)
            if self.rank == 0:
                checkpoint.write(state)
            eta = (time.monotonic() - started) / (state.epoch - first) * (n_epochs - state.epoch)
            told(TrainingProgress(f"training {self.kind}", state.epoch, n_epochs, loss, metric, METRIC, eta))
            limit = self.options.max_minutes
            if limit is not None and time.monotonic() - started > 60 * limit and state.epoch < n_epochs:
                raise UnsuitableInputError(
                    "The time for training is over before its last epoch; what was learnt is kept. Start it again to "
                    "go on."
                )
        return state.best, state.curve

    def epoch(self, epoch: int) -> float:
        """One pass; the mean loss."""
        generator = torch.Generator().manual_seed(self.options.seed * 100_003 + epoch)
        n = self.n_steps * self.options.batch_size
        order = torch.multinomial(torch.from_numpy(self.weights), n, replacement=True, generator=generator)
        share = 0.5 * (1 + np.cos(np.pi * epoch / self.options.epochs))
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * max(share, 0.02)
        losses = [self.step(batch, generator) for batch in order.split(self.options.batch_size)]
        return float(np.mean(losses))

    def step(self, batch: torch.Tensor, generator: torch.Generator) -> float:
        """One step over a batch; its mean loss over all processes."""
        changes = draw_changes(len(batch), self.kind, MAX_CLICKS, generator)
        mine = slice(self.rank * len(batch) // self.n_ranks, (self.rank + 1) * len(batch) // self.n_ranks)
        self.network.train()
        loss = self.loss(batch[mine], changes[mine])
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        mean = loss.detach() / self.n_ranks
        if self.n_ranks > 1:
            torch.distributed.all_reduce(mean)
        return float(mean)

    def loss(self, index: torch.Tensor, changes: Changes) -> torch.Tensor:
        """Mean loss of some images after changes, half of them with clicks on what was found wrong."""
        k = index.numpy()
        images = torch.from_numpy(self.learnt[0][k]).to(self.device)
        regions = torch.from_numpy(self.learnt[1][k]).to(self.device).float()
        images, regions = changed(images, regions, changes)
        has_clicks = changes.clicks[:, -1] < 0.5
        clicks = images.new_zeros(len(images), 2, SIZE, SIZE)
        if has_clicks.any():
            with torch.no_grad():
                found = self.network(network_input(images))[:, 0] > 0
            clicks = simulated_clicks(found, regions > 0.5, changes.clicks).to(images)
            clicks = clicks * has_clicks.to(images)[:, None, None, None]
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
            logits = self.shared(network_input(images, clicks))
        return region_loss(logits.float()[:, 0], regions)

    def validation_dice(self) -> float:
        """Mean Dice of the validation images that show the liver, without clicks."""
        found = probabilities(self.network, self.checked[0], self.device) > 0.5
        return float(
            np.mean([dice(one, truth) for one, truth in zip(found, self.checked[1], strict=True) if truth.any()])
        )


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def region_loss(logits: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and 1 - soft Dice of each image, its mean over the images.

    Source: Milletari F et al., 3DV 2016, 10.1109/3DV.2016.79.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, regions, reduction="none").mean((1, 2))
    found = torch.sigmoid(logits)
    overlap = (2 * (found * regions).sum((1, 2)) + 1) / (found.sum((1, 2)) + regions.sum((1, 2)) + 1)
    return (entropy + 1 - overlap).mean()


def simulated_clicks(found: torch.Tensor, truth: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Clicks of a reader who marks pixels that are wrong, as maps of shape (n, 2, SIZE, SIZE).

    Args:
        found: What the network says, shape (n, SIZE, SIZE), bool.
        truth: Same shape, bool.
        drawn: Which of the wrong pixels, from 0 to 1, shape (n, at least MAX_CLICKS).
    """
    axis = torch.arange(SIZE, dtype=torch.float32)
    maps = torch.zeros(len(found), 2, SIZE, SIZE)
    found, truth = found.cpu(), truth.cpu()
    for image, (one, true, places) in enumerate(zip(found, truth, drawn, strict=True)):
        wrong = torch.nonzero(one != true)
        if not len(wrong):
            continue
        for place in places[:MAX_CLICKS]:
            row, column = wrong[min(int(place * len(wrong)), len(wrong) - 1)]
            squared = (axis[:, None] - row) ** 2 + (axis[None] - column) ** 2
            part = 0 if true[row, column] else 1
            maps[image, part] = torch.maximum(maps[image, part], torch.exp(-squared / (2 * RADIUS**2)))
    return maps


def probabilities(network: torch.nn.Module, images: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Of the liver at each pixel, without clicks, shape of ``images``."""
    network.eval()
    with torch.inference_mode():
        found = [
            torch.sigmoid(network(network_input(batch.to(device)))[:, 0]).float().cpu()
            for batch in torch.from_numpy(images).split(EVALUATED)
        ]
    return torch.cat(found).numpy()
