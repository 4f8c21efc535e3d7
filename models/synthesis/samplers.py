"""From noise to latents: DDIM as in the text, and DPM-Solver++ 2M on Karras' noise levels, with guidance.

All randomness is in the noise that is started from, so that an image is the same whatever the sampler's batch. The
schedulers are diffusers'.

Source: Song J et al., ICLR 2021, arXiv:2010.02502 (DDIM); Lu C et al., 2022, arXiv:2211.01095 (DPM-Solver++); Karras T
et al., NeurIPS 2022, arXiv:2206.00364; Ho J & Salimans T, 2022, arXiv:2207.12598 (guidance).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ..errors import UnsuitableInputError
from .ldm_network import Condition
from .ldm_options import BETA_START, N_TRAIN_TIMESTEPS

SAMPLERS = {"dpm": 30, "ddim": 500}
"""Sampler -> its number of steps when none is asked for."""
GUIDANCE = 1.2
"""Of the text."""


@dataclass(frozen=True)
class SamplerOptions:
    """How images are drawn."""

    sampler: str = "dpm"
    """dpm (DPM-Solver++ 2M Karras) or ddim."""
    steps: int | None = None
    """Noise levels; None: :data:`SAMPLERS`' own."""
    guidance: float = GUIDANCE
    """How far past "not told" what is told is followed; 1: no guidance, half the time."""

    def __post_init__(self):
        if self.sampler not in SAMPLERS:
            raise UnsuitableInputError(f"A sampler needs to be one of {', '.join(SAMPLERS)}; found {self.sampler!r}.")
        if self.steps is not None and not 2 <= self.steps <= N_TRAIN_TIMESTEPS:
            raise UnsuitableInputError(f"A sampler needs 2 to {N_TRAIN_TIMESTEPS} steps; found {self.steps}.")
        if not 1 <= self.guidance <= 20:
            raise UnsuitableInputError(f"Guidance needs to be 1 to 20; found {self.guidance:g}. The text's is 1.2.")

    @property
    def n_steps(self) -> int:
        """Noise levels."""
        return self.steps or SAMPLERS[self.sampler]

    def described(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"steps": self.n_steps}


def make_scheduler(options: SamplerOptions, beta_end: float, prediction: str):
    """The scheduler of diffusers, its noise levels set."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    shared = {
        "num_train_timesteps": N_TRAIN_TIMESTEPS,
        "beta_start": BETA_START,
        "beta_end": beta_end,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
    }
    if options.sampler == "ddim":
        scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing", **shared)
    else:
        scheduler = DPMSolverMultistepScheduler(
            algorithm_type="dpmsolver++", solver_order=2, use_karras_sigmas=True, **shared
        )
    scheduler.set_timesteps(options.n_steps)
    return scheduler


def sample_latents(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    scheduler: Any,
    noise: torch.Tensor,
    progress: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """Follow the scheduler from noise to clean latents.

    Args:
        predict: Noisy latents and noise level -> prediction of the scheduler's kind.
        scheduler: Of :func:`make_scheduler`, fresh.
        noise: Standard normal, shape (n, channels, side, side).
        progress: Called with steps done and steps in all; it may raise to stop.
    """
    x, n = noise * scheduler.init_noise_sigma, len(scheduler.timesteps)
    for number, t in enumerate(scheduler.timesteps):
        if progress:
            progress(number, n)
        x = scheduler.step(predict(scheduler.scale_model_input(x, t), t), t, x).prev_sample
    if progress:
        progress(n, n)
    return x


def guided(
    network: Callable[[torch.Tensor, torch.Tensor, Condition], torch.Tensor],
    condition: Condition,
    guidance: float,
    *,
    in_halves: bool = False,
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A network's prediction with classifier-free guidance: untold + guidance (told - untold).

    Args:
        network: Of latents, noise level and condition.
        condition: What is to be drawn.
        guidance: 1: what is told alone.
        in_halves: One pass after the other, in half the memory.
    """
    if guidance == 1:
        return lambda x, t: network(x, t, condition)
    both = condition.doubled()
    none = condition.dropped(torch.ones_like(condition.labels, dtype=torch.bool))

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if in_halves:
            told, untold = network(x, t, condition), network(x, t, none)
        else:
            told, untold = network(torch.cat([x, x]), t, both).chunk(2)
        return untold + guidance * (told - untold)

    return predict


def noise_of(seed: int, numbers: range, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise of images by their numbers in a set, shape (len(numbers), *shape)."""
    found = []
    for k in numbers:
        state = int(np.random.SeedSequence([seed, k]).generate_state(1, np.uint64)[0])
        found.append(torch.randn(shape, generator=torch.Generator().manual_seed(state)))
    return torch.stack(found)
