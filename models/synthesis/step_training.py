"""Training of a network by numbered steps: schedule, moving mean of the weights, checkpoint and resume.

Every draw of a step comes from generators seeded by the training's seed and the step, so that a run that was stopped
goes on to the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..learning.training_checkpoint import Checkpoint, arrays_of
from ..learning.training_progress import TrainingProgress

N_REPORTS, N_CHECKPOINTS = 20, 5
"""In a whole training, at most."""
MAX_GRADIENT = 1.0
"""Norm that a gradient is clipped to."""
AUTOENCODER, TRAINING = "autoencoder", "training"
"""Stages, and what their draws are for."""


@dataclass(frozen=True)
class StepOptions:
    """How the steps go."""

    n_steps: int
    """In all."""
    learning_rate: float
    """After the warm-up; a cosine takes it to 0."""
    warmup: int
    """Steps to the full rate."""
    ema: float | None
    """Highest decay of the mean of the weights; None: the last weights are the result."""
    stage: str
    """What progress calls it."""


def rate_at(step: int, options: StepOptions) -> float:
    """Learning rate of a step: a linear warm-up, then a cosine to 0."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    share = (step - options.warmup) / max(1, options.n_steps - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def ema_decay(step: int, most: float) -> float:
    """Weight of the past in the moving mean after a step: (1 + step) / (10 + step), at most ``most``."""
    return min(most, (1 + step) / (10 + step))


def draws_of(seed: int, stage: str, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """What a step draws from."""
    parts = [seed, (AUTOENCODER, TRAINING).index(stage), step]
    state = int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])
    return np.random.default_rng(parts), torch.Generator().manual_seed(state)


def train_steps(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    loss_of: Callable[[int], torch.Tensor],
    options: StepOptions,
    *,
    architecture: str,
    config: Mapping[str, Any],
    folder: Path | None,
    progress: Callable[[TrainingProgress], None] | None,
) -> tuple[dict[str, np.ndarray], list[dict]]:
    """Train, from a checkpoint if there is one.

    Args:
        network: Trained in place.
        optimiser: Of its parameters.
        loss_of: Step -> loss; it draws from :func:`draws_of`.
        options: How the steps go.
        architecture: Name on the checkpoint's card.
        config: What another training would not share, JSON-ready.
        folder: Of the checkpoint; None: none is kept.
        progress: Called before the first step and about :data:`N_REPORTS` times; it may raise to stop.
    Returns:
        State of the mean (or last) network, and the curve: step and mean loss since the last report.
    Raises:
        UnsuitableInputError: the checkpoint is of another training, or cannot be written.
    """
    checkpoint = Checkpoint(folder, architecture, config, network, optimiser)
    state = checkpoint.load(worst=float("inf"))
    state.best_metric = 0.0  # No metric chooses; a card cannot hold infinity.
    floats = [name for name, value in network.state_dict().items() if value.is_floating_point()]
    device = next(network.parameters()).device
    mean = {name: torch.from_numpy(state.best[name]).to(device) for name in floats}
    told, n_steps = progress or (lambda report: None), options.n_steps
    every, kept = max(1, n_steps // N_REPORTS), max(1, n_steps // N_CHECKPOINTS)
    started, first, losses = time.monotonic(), state.epoch, []
    told(TrainingProgress(options.stage, state.epoch, n_steps, None, None, "", None))
    network.train()
    while state.epoch < n_steps:
        step = state.epoch
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, options)
        loss = loss_of(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
        optimiser.step()
        state.epoch = step + 1
        losses.append(float(loss.detach()))
        if options.ema is not None:
            _follow(mean, network, ema_decay(step, options.ema))
        is_last = state.epoch == n_steps
        if state.epoch % every == 0 or is_last:
            recent = sum(losses) / len(losses)
            state.curve.append({"step": state.epoch, "loss": round(recent, 5)})
            losses = []
            eta = (time.monotonic() - started) / (state.epoch - first) * (n_steps - state.epoch)
            if (state.epoch // every) % max(1, kept // every) == 0 or is_last:
                state.best = _as_arrays(mean, network, options)
                checkpoint.write(state)
            told(TrainingProgress(options.stage, state.epoch, n_steps, recent, None, "", eta))
    return _as_arrays(mean, network, options), state.curve


def _follow(mean: dict[str, torch.Tensor], network: torch.nn.Module, decay: float) -> None:
    now = network.state_dict()
    torch._foreach_lerp_(list(mean.values()), [now[name].detach() for name in mean], 1 - decay)


def _as_arrays(mean, network, options: StepOptions) -> dict[str, np.ndarray]:
    found = arrays_of(network)
    if options.ema is not None:
        found |= {name: value.cpu().numpy().copy() for name, value in mean.items()}
    return found
