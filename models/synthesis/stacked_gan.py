"""The stacked GAN of liver ultrasound: one GAN a class, both in one file of weights.

1. Stage I learns to make images of a small side from noise.
2. Stage II learns to refine them, the first stage frozen.
3. Single-stage variants make images of the full side from noise.

Frames are seen whole (:func:`..ultrasound.frames.centre_cut`), as they are judged and predicted on. How a stage is
trained and stopped: :mod:`.gan_training`. Why images do not depend on one another: decision 17.

Source: Che H et al., Realistic Ultrasound Image Synthesis for Improved Classification of Liver Disease, ASMUS 2021,
10.1007/978-3-030-87583-1_18.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..errors import UnsuitableInputError
from ..learning.device import choose_device
from ..learning.training_checkpoint import arrays_of
from ..learning.training_progress import TrainingProgress
from ..ultrasound.frames import FRAME_SIZES, FrameSet, centre_cut
from ..weights import Weights, check_shapes
from .features import small_network
from .fidelity import COLLAPSED_BELOW
from .gan_checkpoint import GanCheckpoint
from .gan_networks import N_NOISE, without_spectral_normalisation
from .gan_options import GanOptions
from .gan_training import Adversaries, build_generator, to_pixels
from .generator import check_frames
from .set_distances import kernel_distance, mean_pairwise_distance

ARCHITECTURE = KIND = "stacked_gan"
"""Name on the card of the weights, and of the kind."""
CLASSES = ("healthy", "fatty")
"""Names of the classes in the weights, by ``is_fatty``."""
METRIC = "kernel distance to the training frames"
"""What stops a stage."""
N_DIVERSITY = 100
"""Generated images whose diversity is told."""


class ClassJudge:
    """Judges generated images of one class by its training frames, never by held-out ones.

    Args:
        images: Training frames, shape (n, side, side), uint8.
        patient_ids: Of each; frames of one patient are never compared with each other.
    """

    def __init__(self, images: np.ndarray, patient_ids: tuple[str, ...]):
        self.network, self.patient_ids = small_network(), patient_ids
        self.features = self.network(images).features

    def distance(self, made: np.ndarray) -> float:
        """Kernel distance (KID) of generated images, shape (n, side, side), uint8."""
        features = self.network(made).features
        return kernel_distance(features, self.features, None, self.patient_ids, n_resamples=0).value

    def diversity(self, made: np.ndarray) -> float:
        """Mean distance of two generated images, as a share of that of two patients' frames."""
        real = mean_pairwise_distance(self.features, self.patient_ids)
        return mean_pairwise_distance(self.network(made).features) / real


def train(
    kind: str,
    frames: FrameSet,
    options: GanOptions,
    *,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Weights:
    """Train one GAN a class on the training frames of one fold.

    Args:
        kind: "stacked_gan".
        frames: Of the fold's training patients only, prepared for ``options.size``.
        options: See :class:`.GanOptions`.
        folder: Keeps a checkpoint each round; called again with the same input it goes on from there, to the same
            bytes on the same machine.
        progress: Called before the first and after each round; it may raise to stop.
    Returns:
        Weights of the architecture :data:`ARCHITECTURE`.
    Raises:
        UnsuitableInputError: a class without frames or of one patient, frames of another size, another training's
            checkpoint, or no time for all rounds.
    """
    if kind != KIND:
        raise UnsuitableInputError(f"This trains the kind '{KIND}'; found {kind!r}. Ask for it.")
    check_frames(frames)
    if frames.side not in FRAME_SIZES[options.size]:
        raise UnsuitableInputError(
            f"The size '{options.size}' needs frames of {FRAME_SIZES[options.size][0]} x "
            f"{FRAME_SIZES[options.size][0]} pixels; found {frames.side} x {frames.side}. Prepare them for this size, "
            "or take the other."
        )
    return _Run(frames, options).train(folder, progress)


class _Run:
    """Stages of both classes, one after the other."""

    def __init__(self, frames: FrameSet, options: GanOptions):
        self.frames, self.options, self.device = frames, options, choose_device(options.device)
        stages = range(len(options.stages))
        self.parts = [(is_fatty, stage) for is_fatty in (False, True) for stage in stages]

    def train(self, folder, progress) -> Weights:
        config = {k: v for k, v in asdict(self.options).items() if k not in ("device", "max_minutes")}
        config |= {"betas": list(self.options.betas)}
        checkpoint = GanCheckpoint(folder, {"options": config, "data": self.frames.digest()})
        state = checkpoint.load()
        clock = _Clock(self.options, self.parts, state, progress)
        clock.tell(None, state.best_distance)
        while state.part < len(self.parts):
            part = self._part(*self.parts[state.part], state)
            if state.round:
                checkpoint.fill(part)
            while not self._is_over(state):
                losses = part.round(state.round)
                distance = part.judged()
                state.round += 1
                if state.best_distance is None or distance < state.best_distance:
                    state.best_round, state.best_distance = state.round, distance
                    state.best = arrays_of(part.average)
                losses = {name: round(value, 4) for name, value in losses.items()}
                state.curve.append(
                    {"part": self._name(state.part), "round": state.round, **losses, "distance": round(distance, 5)}
                )
                checkpoint.write(state, part)
                clock.tell(losses["generator"], distance)
                clock.stop_if_late()
            self._finish(state)
            checkpoint.write(state, None)
        if not clock.is_at_end:
            clock.tell(None, None)
        return Weights(state.done, self._card(state))

    def _name(self, number: int) -> str:
        is_fatty, stage = self.parts[number]
        return f"{CLASSES[is_fatty]}/{stage + 1}"

    def _real(self, is_fatty, stage):
        """The class's frames at the stage's side, and who judges by them."""
        kept = self.frames.subset(np.flatnonzero(self.frames.is_fatty == is_fatty))
        images = centre_cut(kept.images, self.options.stages[stage])
        return images, ClassJudge(images, kept.patient_ids)

    def _part(self, is_fatty, stage, state) -> Adversaries:
        images, judge = self._real(is_fatty, stage)
        first = _filled(self.options, 0, is_fatty, state.done).to(self.device) if stage else None
        seed = (self.options.seed, int(is_fatty), stage)
        return Adversaries(self.options, stage, images, judge.distance, first, self.device, seed)

    def _is_over(self, state) -> bool:
        stage = self.parts[state.part][1]
        is_flat = state.round - state.best_round >= self.options.chosen("patience")
        return state.round >= self.options.rounds_of(stage) or is_flat

    def _finish(self, state):
        generator = build_generator(self.options, self.parts[state.part][1])
        generator.load_state_dict({name: torch.from_numpy(value) for name, value in state.best.items()})
        arrays = arrays_of(without_spectral_normalisation(generator))
        state.done |= {f"{self._name(state.part)}/{name}": value for name, value in arrays.items()}
        state.part, state.round, state.best_round, state.best_distance, state.best = state.part + 1, 0, 0, None, {}

    def _card(self, state) -> dict[str, Any]:
        frames, options = self.frames, self.options
        patients = sorted(frames.patients)
        card = {
            "name": f"Stacked GAN, {options.variant}, {options.size}",
            "architecture": ARCHITECTURE,
            "config": {
                "kind": KIND,
                "variant": options.variant,
                "size": options.size,
                "mode": options.mode,
                "stage_one_side": options.stage_one_side,
                "width": options.chosen("width"),
            },
            "version": __version__,
            "training_patients": patients,
            "is_trained_on_simulated_data": frames.is_simulated,
            "trained_on": f"{len(frames)} frames of {len(patients)} {'simulated ' * frames.is_simulated}patients, "
            f"{int(frames.is_fatty.sum())} of them fatty",
            "options": {
                **{k: v for k, v in asdict(options).items() if k not in ("device", "max_minutes")},
                "betas": list(options.betas),
            },
            "stopped_by": f"{METRIC} of the class: held-out patients are never looked at",
            "curve": state.curve,
            "use": "Research tool, not a medical device. Makes B-mode images to train classifiers with.",
        }
        made = StackedGan(Weights(state.done, card), self.device)
        diversity = {}
        for is_fatty, name in enumerate(CLASSES):
            judge = self._real(bool(is_fatty), len(options.stages) - 1)[1]
            diversity[name] = round(judge.diversity(made.sample(np.full(N_DIVERSITY, bool(is_fatty)), options.seed)), 4)
        card["diversity"] = diversity
        card["warnings"] = [
            f"The {name} images are alike: their mean distance is {value:.2f} of that of real ones, below "
            f"{COLLAPSED_BELOW:g}. Train longer, or with differentiable augmentation."
            for name, value in diversity.items()
            if value < COLLAPSED_BELOW
        ]
        return card


class _Clock:
    """Tells how far a training is, and ends it when its time is over."""

    def __init__(self, options, parts, state, progress):
        self.options, self.parts, self.state = options, parts, state
        self.told = progress or (lambda report: None)
        self.started, self.cost_at_start = time.monotonic(), self._cost_left()
        self.is_at_end = False

    def _cost_left(self) -> float:
        """Of all rounds that may come; a round costs as its pixels, a second stage's a quarter more."""
        state = self.state
        costs = [
            self.options.rounds_of(stage) * self.options.stages[stage] ** 2 * (1 + stage / 4)
            for _, stage in self.parts[state.part :]
        ]
        if costs:
            costs[0] *= 1 - state.round / self.options.rounds_of(self.parts[state.part][1])
        return sum(costs)

    def tell(self, loss, distance):
        state = self.state
        rounds = [self.options.rounds_of(stage) for _, stage in self.parts]
        is_fatty, stage = self.parts[min(state.part, len(self.parts) - 1)]
        left, spent = self._cost_left(), time.monotonic() - self.started
        eta = None if left == self.cost_at_start else spent * left / (self.cost_at_start - left)
        done = sum(rounds[: state.part]) + state.round
        name = f"{CLASSES[is_fatty]}, stage {stage + 1} of {len(self.options.stages)}"
        self.is_at_end = done == sum(rounds)
        self.told(TrainingProgress(name, done, sum(rounds), loss, distance, METRIC, eta))

    def stop_if_late(self):
        limit = self.options.max_minutes
        if limit is not None and time.monotonic() - self.started > 60 * limit:
            raise UnsuitableInputError(
                "The time for training is over before its last round; what was learnt is kept. Start it again to go on."
            )


def _filled(options, stage, is_fatty, tensors) -> torch.nn.Module:
    """A finished generator, not to be trained."""
    network = build_generator(options, stage, is_spectral=False)
    start = f"{CLASSES[is_fatty]}/{stage + 1}/"
    state = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return network.eval().requires_grad_(False)


class StackedGan:
    """A trained stacked GAN; see :class:`.generator.Generator`.

    Args:
        weights: Of :func:`train`.
        device: Where it runs.
    Raises:
        UnsuitableInputError: a card or tensors that do not fit.
    """

    kind = KIND

    def __init__(self, weights: Weights, device: str = "cpu"):
        card = weights.card
        try:
            keys = ("variant", "size", "mode", "stage_one_side", "width")
            self.options = GanOptions(**{key: card["config"][key] for key in keys})
            self.training_patients = tuple(card["training_patients"])
            self.is_trained_on_simulated_data = bool(card["is_trained_on_simulated_data"])
        except (KeyError, TypeError) as error:
            raise UnsuitableInputError(
                f"A stacked GAN's card needs its variant, size and training patients; {error} is missing or of another "
                "kind. Train again."
            ) from error
        self.side, self.device = self.options.side, choose_device(device)
        stages = range(len(self.options.stages))
        with torch.device("meta"):
            shapes = [
                {
                    name: tuple(value.shape)
                    for name, value in build_generator(self.options, k, False).state_dict().items()
                }
                for k in stages
            ]
        expected = {
            f"{name}/{k + 1}/{tensor}": shape for name in CLASSES for k in stages for tensor, shape in shapes[k].items()
        }
        check_shapes(weights, expected)
        self.networks = [
            [_filled(self.options, stage, is_fatty, weights.tensors).to(self.device) for stage in stages]
            for is_fatty in (False, True)
        ]

    def sampler(self) -> dict[str, Any]:
        """How images are drawn."""
        return {"name": "one pass", "n_noise": N_NOISE, "variant": self.options.variant}

    def sample(
        self,
        is_fatty: np.ndarray,
        seed: int,
        *,
        first: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Draw images one by one, so that no rounding depends on how many are asked for.

        Args:
            is_fatty: Which class each image is to be of, shape (n,), bool.
            seed: Of the set.
            first: Number of the first image in the set.
            progress: Called with images done and images in all; it may raise to stop.
        Returns:
            Shape (n, side, side), uint8.
        """
        found = np.empty((len(is_fatty), self.side, self.side), np.uint8)
        for k, one in enumerate(np.asarray(is_fatty, bool)):
            if progress:
                progress(k, len(found))
            noise = np.random.default_rng([seed, first + k]).standard_normal((2, 1, N_NOISE)).astype(np.float32)
            image = ()
            with torch.inference_mode():
                for network, z in zip(self.networks[int(one)], noise, strict=False):
                    image = (network(torch.from_numpy(z).to(self.device), *image),)
            found[k] = to_pixels(image[0])[0]
        if progress:
            progress(len(found), len(found))
        return found


def load(weights: Weights, device: str = "cpu") -> StackedGan:
    """The generator of trained weights; see :class:`StackedGan`."""
    if weights.card.get("architecture") != ARCHITECTURE:
        raise UnsuitableInputError(
            f"A stacked GAN needs weights of the architecture '{ARCHITECTURE}'; found "
            f"'{weights.card.get('architecture')}'. Give its own."
        )
    return StackedGan(weights, device)
