"""One adversarial training: a generator and a discriminator of one class and stage, round by round.

1. The discriminator learns to tell real from generated images, L_D = -E log D(x) - E log(1 - D(G(z))).
2. The generator learns to be taken for real, L_G = -E log D(G(z)).
3. After each round the generator (by default its moving average) takes standing statistics, makes images, and their
   kernel distance to the training images of its class decides which round is kept and when to stop.

The distance is to training images on purpose: held-out patients are what a generator is reported on, so they may not
choose it. It cannot see memorisation; the audit can.

Source: Che H et al., 10.1007/978-3-030-87583-1_18, equation 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from .diff_augment import apply_changes, draw_changes
from .gan_networks import (
    N_NOISE,
    DcganGenerator,
    Discriminator,
    RefiningGenerator,
    start_as_dcgan,
    use_standing_statistics,
)
from .gan_options import EMA_DECAYS, GanOptions

N_JUDGED = 128
"""Generated images of a judgement."""
N_STANDING, STANDING_BATCH = 8, 32
"""Batches, and their size, of standing statistics."""
_START, _ROUND, _STANDING, _JUDGED = range(4)
"""What a seed is for, so that no two draws share one."""


def to_pixels(images: torch.Tensor) -> np.ndarray:
    """Images from -1 to 1, shape (n, 1, side, side), as grey levels, shape (n, side, side), uint8."""
    return ((images[:, 0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def from_pixels(images: np.ndarray) -> torch.Tensor:
    """The way back."""
    return torch.from_numpy(images)[:, None].float() / 127.5 - 1


def build_generator(options: GanOptions, stage: int, is_spectral: bool | None = None) -> torch.nn.Module:
    """The generator of a stage.

    Args:
        options: Say which.
        stage: 0 makes images from noise, 1 refines them.
        is_spectral: None: as the variant; False for one whose normalised weights are written into its layers.
    """
    is_spectral = options.is_spectral if is_spectral is None else is_spectral
    width, side = options.chosen("width"), options.stages[stage]
    if stage == 0:
        return DcganGenerator(side, width, is_spectral, options.attention_side)
    is_residual = options.mode == "default"
    return RefiningGenerator(options.stages[0], side, width, is_spectral, options.attention_side, is_residual)


class Adversaries:
    """One class and stage in training.

    Args:
        options: Of the training.
        stage: 0 or 1.
        images: Real ones of the class at the stage's side, shape (n, side, side), uint8.
        judge: Kernel distance of generated images, (n, side, side), uint8, to the real ones.
        first: The trained first stage, which is not trained on; None in the first.
        device: "cpu" or "cuda".
        seed: Of everything that is drawn.
    """

    def __init__(
        self,
        options: GanOptions,
        stage: int,
        images: np.ndarray,
        judge: Callable[[np.ndarray], float],
        first: torch.nn.Module | None,
        device: str,
        seed: tuple[int, ...],
    ):
        self.options, self.stage, self.judge, self.device, self.seed = options, stage, judge, device, seed
        self.images = from_pixels(images).to(device)
        self.first = first
        generator = self._generator(_START)
        with torch.random.fork_rng():  # The start of spectral normalisation draws from torch's own generator.
            torch.manual_seed(generator.initial_seed() % 2**32)
            self.generator = build_generator(options, stage)
            self.discriminator = Discriminator(
                options.stages[stage], options.chosen("width"), options.is_spectral, options.attention_side
            )
        for network in (self.generator, self.discriminator):
            start_as_dcgan(network, generator)
            network.to(device)
        self.average = copy.deepcopy(self.generator)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), options.rate_of(stage), options.betas)
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
        }

    def _generator(self, *purpose: int) -> torch.Generator:
        seed = np.random.SeedSequence((*self.seed, *purpose)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> np.uint64(1)))

    def noise(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """What the generator makes n images from: noise, and in the second stage the first one's images."""
        z = torch.randn(n, N_NOISE, generator=generator)
        if self.first is None:
            return (z.to(self.device),)
        with torch.no_grad():
            return z.to(self.device), self.first(torch.randn(n, N_NOISE, generator=generator).to(self.device))

    def round(self, number: int) -> dict[str, float]:
        """One round of steps; the same number gives the same draws.

        Returns:
            Mean loss of either network.
        """
        rng, options = self._generator(_ROUND, number), self.options
        n, n_steps = options.batch_size, options.steps_in(self.stage, number)
        drawn = n * n_steps
        passes = -(-drawn // len(self.images))
        order = torch.cat([torch.randperm(len(self.images), generator=rng) for _ in range(passes)])[:drawn]
        self.generator.train()
        self.discriminator.train()
        losses = np.zeros(2)
        for index in order.view(n_steps, n):
            inputs = self.noise(n, rng)
            made = self.generator(*inputs)
            seen = [self._seen(images, rng) for images in (self.images[index.to(self.device)], made)]
            loss_d = _loss(self.discriminator(seen[0]), 1.0) + _loss(self.discriminator(seen[1].detach()), 0.0)
            self._step("discriminator", loss_d)
            self.discriminator.requires_grad_(False)
            loss_g = _loss(self.discriminator(seen[1]), 1.0)
            self._step("generator", loss_g)
            self.discriminator.requires_grad_(True)
            self._follow()
            losses += [float(loss_g.detach()), float(loss_d.detach())]
        return dict(zip(("generator", "discriminator"), losses / n_steps, strict=True))

    def _seen(self, images, rng):
        return apply_changes(images, draw_changes(len(images), rng)) if self.options.uses_changes else images

    def _step(self, name, loss):
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def _follow(self):
        """The moving average of weights; what they were normalised with is taken as it is."""
        decay = EMA_DECAYS[self.options.size] if self.options.uses_ema else 0.0
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
            for mean, now in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                mean.copy_(now)

    def judged(self) -> float:
        """Give the averaged generator standing statistics; the kernel distance of what it then makes."""
        rng = self._generator(_STANDING)
        use_standing_statistics(self.average, (self.noise(STANDING_BATCH, rng) for _ in range(N_STANDING)))
        return float(self.judge(self.made(N_JUDGED)))

    def made(self, n: int) -> np.ndarray:
        """Images of the averaged generator, always the same noise, shape (n, side, side), uint8."""
        rng = self._generator(_JUDGED)
        with torch.no_grad():
            found = [
                to_pixels(self.average(*self.noise(min(STANDING_BATCH, n - k), rng)))
                for k in range(0, n, STANDING_BATCH)
            ]
        return np.concatenate(found)


def _loss(logits: torch.Tensor, answer: float) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, answer))
