"""Training of the compared networks: mean absolute error against the labels of the graph cut, resumable to the bit.

Every step draws its batch from a generator seeded by the step, so that a stopped run goes on to the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..learning.device import choose_device
from ..learning.intervals import bootstrap_interval
from ..weights import Weights, load_weights, save_weights
from .fat_spectra import get_spectrum
from .least_squares import fat_fraction
from .phantom import default_echo_times_s
from .signal_model import design_matrix
from .supervised import TITLES, SupervisedConfig, estimate_slice
from .supervised_labels import LabelledSlice, digest, make_batch
from .supervised_networks import MAP_SCALES, make_network
from .training_slices import SPECTRUM

CURVE_POINTS = 20
"""Means of the loss, and validations, that the card keeps."""
CHECKPOINT_EVERY_S = 60.0
"""Seconds between checkpoints; when they are written changes no result."""
SWAP_POINTS = 30.0
"""Difference from the label, percentage points, from which a voxel counts as swapped."""
LIMITS = (
    "Trained on simulated slices labelled by a graph cut, it repeats that method's errors. It states no uncertainty "
    "and does not notice a scan unlike its training. For comparison, not for diagnosis."
)


@dataclass(frozen=True)
class TrainingPlan:
    """Size of a network and of its training."""

    widths: tuple[int, ...]
    """Channels at each level."""
    n_bank: int
    """Simulated slices that the scans are drawn from."""
    n_labelled: int
    """Scans drawn and labelled to train on."""
    n_validation: int
    """Scans of other simulated slices, labelled to validate on."""
    n_steps: int
    """Steps of Adam."""
    batch_size: int
    """Slices a step."""
    learning_rate: float
    """Of the first step."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam."""
    is_annealed: bool = True
    """The learning rate falls to 0 as a cosine; else it stays."""
    crop: int | None = None
    """Side of the square cut out of each slice, voxels."""
    is_phase_relative: bool = True
    """As in :class:`.supervised.SupervisedConfig`."""


_SMALL = {"widths": (8, 16, 32, 64, 64), "n_bank": 64, "n_labelled": 128, "n_validation": 12, "crop": 96}
_PAPER = {
    "widths": (72, 144, 288, 576, 1152),
    "n_bank": 1000,
    "n_labelled": 2000,
    "n_validation": 40,
    "is_annealed": False,
    "is_phase_relative": False,
}
PLANS = {
    "small": {
        "u_net": TrainingPlan(**_SMALL, n_steps=4000, batch_size=4, learning_rate=4e-3),
        "mdwf_net": TrainingPlan(**_SMALL, n_steps=2000, batch_size=4, learning_rate=4e-3),
        "vet_net": TrainingPlan(**_SMALL, n_steps=2200, batch_size=2, learning_rate=4e-3),
    },
    # A hundred passes over the slices.
    "paper": {
        "u_net": TrainingPlan(**_PAPER, n_steps=25_000, batch_size=8, learning_rate=5e-4, betas=(0.9, 0.9999)),
        "mdwf_net": TrainingPlan(**_PAPER, n_steps=25_000, batch_size=8, learning_rate=5e-4, betas=(0.9, 0.9999)),
        "vet_net": TrainingPlan(**_PAPER, n_steps=200_000, batch_size=1, learning_rate=2e-4),
    },
}
"""Configuration -> method -> plan: "small" takes some six minutes on one core, "paper" has the published size."""


def config_of(method: str, plan: TrainingPlan) -> SupervisedConfig:
    """The network of a plan, for the scans of its training: 1.5 T with six echoes."""
    times = default_echo_times_s(1.5)
    scans = {"echo_times_s": tuple(float(t) for t in times)}
    if method == "vet_net":
        scans = {"first_echo_s": (1.0e-3, 2.4e-3), "echo_spacing_s": (1.6e-3, 2.6e-3)}
    return SupervisedConfig(plan.widths, times.size, 1.5, **scans, is_phase_relative=plan.is_phase_relative)


@dataclass(frozen=True)
class TrainingResult:
    """What a run of the training came to."""

    weights: Weights
    """Of the last step."""
    n_steps_done: int
    """Steps taken, those before a resumption included."""
    is_complete: bool
    """False when the time was up before the last step."""


def train(
    method: str,
    plan: TrainingPlan,
    labelled: list[LabelledSlice],
    validation: list[LabelledSlice],
    *,
    seed: int = 0,
    device: str = "auto",
    checkpoint: Path | None = None,
    max_minutes: float | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> TrainingResult:
    """Train one of the compared networks.

    The same input gives the same bytes on the same kind of processor with the same number of threads, stopped and
    resumed or not.

    Args:
        method: One of :data:`.supervised.TITLES`.
        plan: Of :data:`PLANS`, or another; the caller keeps to its ``n_bank``, ``n_labelled`` and ``n_validation``.
        labelled: Slices to train on.
        validation: Slices of other simulations; for VET-Net of drawn echo times.
        seed: Of the network and of every batch.
        device: "auto", "cpu" or "cuda"; mixed precision on a GPU that has bfloat16.
        checkpoint: File in which an unfinished run is kept; one that is there is resumed.
        max_minutes: Stop after so long, checkpoint written.
        progress: Called as progress(step, n_steps, loss); it may raise to stop, checkpoint written.
    Raises:
        UnsuitableInputError: a checkpoint of another method, plan, seed or data; unknown device.
    """
    run = _Run(method, plan, labelled, validation, seed, device, checkpoint)
    started = saved = time.monotonic()
    while run.step < plan.n_steps:
        loss = run.advance()
        now = time.monotonic()
        if now - saved > CHECKPOINT_EVERY_S:
            run.save()
            saved = now
        if progress:
            try:
                progress(run.step, plan.n_steps, loss)
            except BaseException:
                run.save()
                raise
        if max_minutes is not None and now - started > 60 * max_minutes:
            break
    run.save()
    return TrainingResult(run.weights(), run.step, run.step == plan.n_steps)


class _Run:
    """Network, optimiser and curve of a training at some step."""

    def __init__(self, method, plan, labelled, validation, seed, device, checkpoint):
        self.method, self.plan, self.labelled, self.validation = method, plan, labelled, validation
        self.device, self.checkpoint = choose_device(device), None if checkpoint is None else Path(checkpoint)
        config = config_of(method, plan)
        self.network = make_network(method, config, seed).to(self.device).train()
        self.scales = {name: MAP_SCALES[name] for name in self.network.MAPS}
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=plan.learning_rate, betas=plan.betas)
        self.seed, self.step, self.curve, self.losses = seed, 0, [], []
        # JSON knows no tuples: both sides of a comparison must have been through it.
        plan_on_card = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(plan).items()}
        self.settings = {
            "method": method,
            "plan": plan_on_card,
            "seed": seed,
            "training_sha256": digest(labelled),
            "validation_sha256": digest(validation),
        }
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume()

    def advance(self) -> float:
        """One step; returns its loss."""
        plan = self.plan
        batch = make_batch(
            self.labelled,
            plan.batch_size,
            np.random.default_rng([self.seed, self.step]),
            self.scales,
            draws_echo_times=self.method == "vet_net",
            is_phase_relative=plan.is_phase_relative,
            crop=plan.crop,
        )
        echoes, times, labels, valid = (
            torch.from_numpy(values).to(self.device)
            for values in (batch.echoes, batch.echo_times_s, batch.labels, batch.valid)
        )
        falling = 0.5 * (1 + math.cos(math.pi * self.step / plan.n_steps)) if plan.is_annealed else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = plan.learning_rate * falling
        is_mixed = self.device == "cuda" and torch.cuda.is_bf16_supported()
        with torch.autocast(self.device, torch.bfloat16, enabled=is_mixed):
            found = self.network(echoes, times)
        loss = ((found.float() - labels).abs() * valid).sum() / (valid.sum().clamp(min=1) * labels.shape[1])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        self.losses.append(float(loss.detach()))
        if self.step % max(1, plan.n_steps // CURVE_POINTS) == 0 or self.step == plan.n_steps:
            point = {"step": self.step, "loss": float(np.mean(self.losses))}
            self.curve.append(point | {"pdff_error_points": float(np.mean(self.errors()[:, 0]))})
            self.losses = []
        return float(loss.detach())

    def errors(self) -> np.ndarray:
        """Of each validation slice: median |PDFF - label| in points, and the share of swapped voxels."""
        self.network.eval()
        found = []
        for item in self.validation:
            basis = design_matrix(item.echo_times_s, item.field_strength_t, get_spectrum(SPECTRUM))
            maps = estimate_slice(self.network, item.signal, item.echo_times_s, item.field_strength_t, basis)
            valid = item.valid_mask
            label = 100 * fat_fraction(item.water[valid], item.fat[valid])
            error = np.abs(maps["pdff_percent"][valid] - label)
            found.append((np.median(error), (error > SWAP_POINTS).mean()))
        self.network.train()
        return np.array(found)

    def weights(self) -> Weights:
        """Network and card."""
        errors = self.errors()
        metrics = {}
        for column, name in enumerate(("pdff_error_points", "swapped_share")):
            interval = bootstrap_interval(errors[:, column], np.mean)
            metrics[name] = {"mean": float(errors[:, column].mean())}
            if np.isfinite(interval).all():
                metrics[name]["interval_95"] = list(interval)
        card = {
            "name": f"{TITLES[self.method]}, a compared method of PDFF",
            "architecture": self.method,
            "config": config_of(self.method, self.plan).to_card(),
            "trained_on": f"{len(self.labelled)} simulated slices labelled by graph cut; no patient",
            "is_trained_on_simulated_data": True,
            "split": f"{len(self.validation)} slices of other simulated anatomies validate",
            "validation": metrics | {"n_slices": len(self.validation), "reference": "graph cut"},
            "training": self.settings | {"n_steps_done": self.step},
            "curve": self.curve,
            "limits": LIMITS,
        }
        return Weights(self._tensors(), card)

    def _tensors(self):
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.network.state_dict().items()}

    def save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"network.{name}": values for name, values in self._tensors().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                tensors[f"adam.{index}.{name}"] = state[name].cpu().numpy()
        card = {"architecture": f"{self.method}_checkpoint", "config": self.settings}
        save_weights(self.checkpoint, tensors, card | {"step": self.step, "curve": self.curve, "losses": self.losses})

    def _resume(self):
        kept = load_weights(self.checkpoint, f"{self.method}_checkpoint")
        other = [name for name, value in self.settings.items() if kept.card["config"].get(name) != value]
        if other:
            raise UnsuitableInputError(
                f"To resume a training its settings need to be those of the checkpoint '{self.checkpoint.name}'; "
                f"found another {', '.join(other)}. Give the former settings, or remove the checkpoint to start anew."
            )
        self.step, self.curve, self.losses = (kept.card[name] for name in ("step", "curve", "losses"))
        tensors = {name: torch.from_numpy(values.copy()) for name, values in kept.tensors.items()}
        self.network.load_state_dict({name: tensors[f"network.{name}"] for name in self.network.state_dict()})
        state = self.optimiser.state_dict()
        state["state"] = {
            index: {
                "step": torch.tensor(float(self.step)),
                "exp_avg": tensors[f"adam.{index}.exp_avg"],
                "exp_avg_sq": tensors[f"adam.{index}.exp_avg_sq"],
            }
            for index in range(len(state["param_groups"][0]["params"]))
            if self.step
        }
        self.optimiser.load_state_dict(state)
