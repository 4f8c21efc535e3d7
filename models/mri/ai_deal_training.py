"""Training of AI-DEAL without labels, in three stages.

A. Coarse field: G_φ lowers the free energy of field hypotheses; R2* is what fits best at each.
B. R2* from magnitudes: G_φ held, G_R2* lowers the free energy of the Rice likelihood of the magnitudes.
C. Fine: both lower their free energies and the negative log-likelihood of the complex signal with the stated
   uncertainties of field and R2*.

A fourth, D, adapts trained networks to measured scans. What the field costs by being uneven taught them to choose
among basins; on a scan that the simulation does not resemble it also pulls field and R2* away from what was measured,
so there it counts a tenth, and what is left unexplained counts itself.

Every step draws its slice from a generator seeded by stage and step, so that a run that was stopped goes on to the same
bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..weights import load_weights, save_weights
from .ai_deal import BASIN_PPM, R2_STAR_REACH
from .ai_deal_losses import (
    disagreement,
    free_energy,
    heteroscedastic_loss,
    r2_star_rice_costs,
    unexplained_share,
)
from .ai_deal_networks import AiDealNetworks, Place, moments, saturate
from .fat_spectra import get_spectrum
from .field_candidates import MODEL_ERROR, assumed_r2_star
from .field_map import HUBER_PPM, SMOOTHNESS_PER_PPM
from .hypotheses import R2_STAR_GRID, STEP_PPM, Hypotheses, field_hypotheses, r2_star_hypotheses
from .noise import signal_energy, tissue_mask
from .signal_model import design_matrix

CHECKPOINT = "ai_deal_checkpoint"
"""Architecture on the card of a checkpoint: networks, optimiser and curve."""
CHECKPOINT_EVERY = 100
"""Steps between checkpoints."""
R2_STAR_SMOOTHNESS = (0.01, 20.0)
"""Cost of a difference of 1/s between neighbours, nats, and the difference up to which it is quadratic, 1/s."""
MAX_GRADIENT_NORM = 1.0
"""Gradients are shortened to this length."""
ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter, in torch's names."""
PRIOR_SHARE = 0.1
"""Weight of the free energies in stage D; with none of it one-shot answers swap more often."""
UNEXPLAINED_WEIGHT = 100.0
"""Of a voxel's unexplained share in stage D, nats: with 1 % of it unexplained it weighs as much as the likelihood."""
CURVE_POINTS = 40
"""Means of the loss kept for the card, a stage."""


class Acquired(Protocol):
    """What a step needs of a slice; :class:`.training_slices.TrainingSlice` is one."""

    signal: np.ndarray
    echo_times_s: np.ndarray
    field_strength_t: float
    noise_std: float


@dataclass(frozen=True)
class Stage:
    """One stage of the training."""

    name: str
    """"A", "B", "C" or "D"."""
    n_steps: int
    """Slices seen."""
    learning_rate: float
    """Of Adam at its start; it falls to 0 along a half cosine."""


STAGES = (Stage("A", 2400, 2e-3), Stage("B", 500, 2e-3), Stage("C", 400, 3e-4))
"""The shipped weights' stages."""


@dataclass(frozen=True)
class StepReport:
    """How far a training is."""

    stage: str
    """Its name."""
    step: int
    """Steps done in this stage."""
    n_steps: int
    """Steps of this stage."""
    done: int
    """Steps done in all stages."""
    total: int
    """Steps of all stages."""
    loss: float
    """Mean loss since the last report."""
    eta_s: float
    """Seconds that are left at the present pace."""


@dataclass
class Prepared:
    """A slice as the networks and their losses see it."""

    mask: np.ndarray
    """Tissue, shape (x, y)."""
    voxels: torch.Tensor
    """Signal of the tissue voxels, shape (n_echoes, n_voxels)."""
    field: Hypotheses
    """Of the field."""
    echo_times_s: np.ndarray
    """Shape (n_echoes,), seconds."""
    basis: np.ndarray
    """[1, a(t)], shape (n_echoes, 2)."""
    variance: float
    """Of the noise of a real channel."""
    fixed_r2_star: float | None
    """R2* when it is not estimated, 1/s."""


def prepare(slice_: Acquired, spectrum: str = "hamilton_2011") -> Prepared:
    """Tissue, hypotheses and what the losses need of an acquired slice."""
    times, b0 = slice_.echo_times_s, slice_.field_strength_t
    basis = design_matrix(times, b0, get_spectrum(spectrum))
    variance = slice_.noise_std**2
    mask = tissue_mask(signal_energy(slice_.signal), variance, times.size)
    voxels = np.ascontiguousarray(slice_.signal[:, mask])
    fixed = assumed_r2_star(times, b0)
    found = field_hypotheses(voxels, times, b0, basis, variance, fixed)
    return Prepared(mask, torch.from_numpy(voxels), found, times, basis, variance, fixed)


class _Steps(torch.utils.data.Dataset):
    """Step -> prepared slice."""

    def __init__(self, draw, seed, stage_index, first, last):
        self.draw, self.seed, self.stage_index, self.first, self.last = draw, seed, stage_index, first, last

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, k):
        if k >= len(self):
            raise IndexError(k)
        rng = np.random.default_rng([self.seed, self.stage_index, self.first + k])
        while True:
            prepared = prepare(self.draw(rng))
            if prepared.voxels.shape[1] > 0:
                return prepared


def train(
    networks: AiDealNetworks,
    draw: Callable[[np.random.Generator], Acquired],
    stages: tuple[Stage, ...] = STAGES,
    *,
    seed: int = 0,
    device: str = "cpu",
    folder: Path | None = None,
    n_workers: int = 0,
    report_every: int = 25,
    progress: Callable[[StepReport], None] | None = None,
    data: str = "",
) -> list[dict]:
    """Train both networks in place.

    Args:
        networks: Their parameters are the start.
        draw: Gives a slice for a generator.
        stages: In order.
        seed: Of every draw.
        device: "cpu" or a CUDA device.
        folder: Where checkpoints are kept; one that is there is resumed.
        n_workers: Processes that prepare slices.
        report_every: Steps between reports.
        progress: Called with a :class:`StepReport`; it may raise to stop, after a checkpoint was written.
        data: Digest of the start and of what ``draw`` draws from; a checkpoint of another is refused.
    Raises:
        UnsuitableInputError: the folder holds the checkpoint of another training.
    Returns:
        The curve: dicts of "stage", "step" and "loss", the mean since the last point.
    """
    networks.to(device).train()
    checkpoint = _Checkpoint(folder, networks, stages, seed, data)
    curve = checkpoint.curve
    total, started, done_before = sum(stage.n_steps for stage in stages), time.monotonic(), None
    for k in range(checkpoint.stage_index, len(stages)):
        stage = stages[k]
        first = checkpoint.step if k == checkpoint.stage_index else 0
        optimiser = torch.optim.Adam(_trained(networks, stage.name), lr=stage.learning_rate)
        if first:
            checkpoint.restore_optimiser(optimiser, networks)
        losses = list(checkpoint.losses) if first else []
        loader = torch.utils.data.DataLoader(
            _Steps(draw, seed, k, first, stage.n_steps),
            batch_size=None,
            num_workers=n_workers,
            prefetch_factor=6 if n_workers else None,
        )
        for step, prepared in enumerate(loader, start=first + 1):
            for group in optimiser.param_groups:
                group["lr"] = stage.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / stage.n_steps))
            losses.append(_step(networks, optimiser, prepared, stage.name))
            done = sum(s.n_steps for s in stages[:k]) + step
            done_before = done - 1 if done_before is None else done_before
            if step % max(1, stage.n_steps // CURVE_POINTS) == 0 or step == stage.n_steps:
                curve.append({"stage": stage.name, "step": step, "loss": round(float(np.mean(losses)), 5)})
                losses_shown, losses = losses, []
            else:
                losses_shown = losses
            if step % CHECKPOINT_EVERY == 0 or step == stage.n_steps:
                checkpoint.write(networks, optimiser, k, step, losses)
            if progress and (step % report_every == 0 or step == stage.n_steps):
                pace = (time.monotonic() - started) / (done - done_before)
                try:
                    progress(
                        StepReport(
                            stage.name,
                            step,
                            stage.n_steps,
                            done,
                            total,
                            float(np.mean(losses_shown)),
                            pace * (total - done),
                        )
                    )
                except BaseException:
                    checkpoint.write(networks, optimiser, k, step, losses)
                    raise
    networks.eval().to("cpu")
    return curve


def _trained(networks, stage) -> Iterator[torch.nn.Parameter]:
    both = [networks.field, networks.r2_star]
    parts = {"A": both[:1], "B": both[1:], "C": both, "D": both}[stage]
    return [parameter for part in parts for parameter in part.parameters()]


def _step(networks, optimiser, prepared, stage) -> float:
    loss = stage_loss(networks, prepared, stage)
    if not loss.requires_grad:  # Three echoes teach G_R2* nothing.
        return float(loss)
    optimiser.zero_grad()
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    optimiser.step()
    return float(loss.detach())


def stage_loss(networks: AiDealNetworks, prepared: Prepared, stage: str) -> torch.Tensor:
    """The loss of one slice at a stage, "A", "B", "C" or "D"."""
    p, device = prepared, next(networks.parameters()).device
    place = Place(p.mask, device)
    cost, value, width = (torch.from_numpy(rows).to(device) for rows in (p.field.cost, p.field.value, p.field.width))
    with torch.set_grad_enabled(stage != "B" and torch.is_grad_enabled()):
        logits, widening = networks.field(cost, place, p.field.is_cyclic)
    if stage == "A":
        return _field_energy(logits, cost, place, p.field)
    field = moments(logits, widening, value, width, round(BASIN_PPM / STEP_PPM), p.field.period)
    if p.fixed_r2_star is not None:
        rate = torch.full_like(field.mean, p.fixed_r2_star)
        rate_std, rate_loss = torch.zeros_like(rate), cost.new_zeros(())
    else:
        rate, rate_std, rate_loss = _r2_star(networks, p, field.mean.detach(), place)
    if stage == "B":
        return rate_loss
    signal = p.voxels.to(device), *_on(device, p)
    likelihood = heteroscedastic_loss(*signal, field.mean, field.std, rate, rate_std, p.variance)
    prior = _field_energy(logits, cost, place, p.field) + rate_loss
    if stage == "C":
        return prior + likelihood
    return PRIOR_SHARE * prior + likelihood + UNEXPLAINED_WEIGHT * unexplained_share(*signal, field.mean, rate)


def _on(device, p):
    """Echo times and basis as tensors."""
    times = torch.from_numpy(p.echo_times_s.astype(np.float32)).to(device)
    return times, torch.from_numpy(p.basis.astype(np.complex64)).to(device)


def _tissue(place, rows):
    return place.spread(torch.ones_like(rows[:1]))[0]


def _field_energy(logits, cost, place, found):
    places = torch.arange(len(logits), device=logits.device) * found.step
    period = len(logits) * found.step if found.is_cyclic else None
    cost_of_jump = disagreement(places, SMOOTHNESS_PER_PPM, HUBER_PPM, period)
    return free_energy(place.spread(logits), place.spread(saturate(cost)), _tissue(place, cost), cost_of_jump)


def _r2_star(networks, p, field_hz, place):
    """Mean, deviation and free energy of G_R2* at a field."""
    device = field_hz.device
    found = r2_star_hypotheses(p.voxels.numpy(), p.echo_times_s, p.basis, field_hz.cpu().numpy(), p.variance)
    cost, value, width = (torch.from_numpy(rows).to(device) for rows in (found.cost, found.value, found.width))
    logits, widening = networks.r2_star(cost, place, False)
    chosen = moments(logits, widening, value, width, R2_STAR_REACH, None)
    grid = torch.from_numpy(R2_STAR_GRID.astype(np.float32)).to(device)
    voxels = p.voxels.to(device)
    tolerated = p.variance + MODEL_ERROR**2 * (voxels.abs() ** 2).mean(0)
    rice = saturate(r2_star_rice_costs(voxels, *_on(device, p), field_hz, grid, tolerated))
    cost_of_jump = disagreement(grid, *R2_STAR_SMOOTHNESS)
    loss = free_energy(place.spread(logits), place.spread(rice), _tissue(place, rice), cost_of_jump)
    return chosen.mean, chosen.std, loss


class _Checkpoint:
    """Networks, optimiser and curve of an unfinished training, in one file."""

    def __init__(self, folder, networks, stages, seed, data):
        self.path = None if folder is None else Path(folder) / "checkpoint.safetensors"
        self.config = {
            "data": data,
            "sizes": networks.config(),
            "stages": [[s.name, s.n_steps, s.learning_rate] for s in stages],
            "seed": seed,
        }
        self.stage_index, self.step, self.curve, self.losses, self._optimiser = 0, 0, [], [], {}
        if self.path is None or not self.path.exists():
            return
        found = load_weights(self.path, CHECKPOINT)
        if found.card["config"] != self.config:
            changed = [name for name, value in self.config.items() if found.card["config"].get(name) != value]
            raise UnsuitableInputError(
                f"Going on needs the same training; the checkpoint in {self.path.parent.name} is of another "
                f"({', '.join(changed)}). Begin in a new folder, or remove it."
            )
        self.stage_index, self.step = found.card["stage_index"], found.card["step"]
        self.curve, self.losses = found.card["curve"], found.card["losses_since"]
        state = {n: torch.from_numpy(v.copy()) for n, v in found.tensors.items() if not n.startswith("adam.")}
        networks.load_state_dict(state)
        self._optimiser = {n: v for n, v in found.tensors.items() if n.startswith("adam.")}
        if self.step == stages[self.stage_index].n_steps:
            self.stage_index, self.step = self.stage_index + 1, 0

    def restore_optimiser(self, optimiser, networks):
        names = {id(parameter): name for name, parameter in networks.named_parameters()}
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                name = names[id(parameter)]
                kept = {key: self._optimiser.get(f"adam.{key}.{name}") for key in ADAM_STATE}
                if all(value is not None for value in kept.values()):
                    state = {key: torch.from_numpy(np.array(value)) for key, value in kept.items()}
                    optimiser.state[parameter] = {
                        key: value if key == "step" else value.to(parameter) for key, value in state.items()
                    }

    def write(self, networks, optimiser, stage_index, step, losses):
        if self.path is None:
            return
        tensors = networks.tensors()
        for name, parameter in networks.named_parameters():
            state = optimiser.state.get(parameter)
            if state:
                for key in ADAM_STATE:
                    tensors[f"adam.{key}.{name}"] = state[key].detach().cpu().numpy().copy()
        card = {"architecture": CHECKPOINT, "config": self.config}
        card |= {"stage_index": stage_index, "step": step, "curve": self.curve, "losses_since": losses}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(self.path, tensors, card)
