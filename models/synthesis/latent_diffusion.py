"""Latent diffusion models of B-mode images: trained on one fold, and drawn from.

1. An autoencoder is trained on crops of the fold's frames, or loaded; it is frozen.
2. The UNet learns to take noise from its latents, told the class, a semantic map, or both.
3. Weights hold the moving mean of the UNet, the autoencoder, the latents' mean and scale, and for ``ldm_semantic`` the
   maps of the training frames: coarse pictures of patients, so its weights are as confidential as the frames.

The text's semantic model is told the map only; the image's answer is that of the frame whose map it was. ``small`` is
told the class too: Otsu's levels are relative to each frame, and much of how bright a liver is against its kidney, and
how it fades with depth, is not in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..errors import UnsuitableInputError
from ..learning.device import choose_device
from ..learning.training_progress import TrainingProgress
from ..ultrasound.frames import FrameSet, apply_crops, draw_crops, sides_of
from ..weights import Weights, check_shapes
from .autoencoder import (
    Autoencoder,
    filled,
    latent_statistics,
    load_autoencoder,
    to_images,
    to_tensor,
    trained_autoencoder,
)
from .ldm_network import Condition, Denoiser, diffusion_loss, labels_of
from .ldm_options import LDM_KINDS, LdmOptions, LdmSize, configuration_from
from .samplers import SamplerOptions, guided, make_scheduler, noise_of, sample_latents
from .semantic_maps import crop_maps, distort_map, one_hot, semantic_maps
from .step_training import TRAINING, StepOptions, draws_of, train_steps

ARCHITECTURE = "ldm"
"""Name on the card of both kinds' weights."""
DECODED = 8
"""Images that are decoded at once."""
_MAP_DRAWS = 1
"""What a seed is for, besides the noise."""


def train(
    kind: str,
    frames: FrameSet,
    options: LdmOptions,
    *,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Weights:
    """Train one; see :func:`.generator.train_generator`.

    Raises:
        UnsuitableInputError: frames of another size than the options', an autoencoder that does not fit, or a
            checkpoint of another training.
    """
    prepared, side = sides_of(options.size)
    if frames.side != prepared:
        raise UnsuitableInputError(
            f"A latent diffusion model of size '{options.size}' needs frames of {prepared} x {prepared} pixels; found "
            f"{frames.side} x {frames.side}. Prepare them for that size."
        )
    size, digest = options.configuration(kind), frames.digest()
    device = choose_device(options.device)
    autoencoder = _autoencoder(frames, size, options, digest, folder, progress).eval().requires_grad_(False)
    latents = latent_statistics(autoencoder, frames.images, side, options.seed)
    maps = semantic_maps(frames.images) if kind == "ldm_semantic" else None
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = Denoiser(kind, size, side // size.autoencoder.factor)
    network.to(device)
    optimiser = torch.optim.AdamW(network.parameters(), size.learning_rate, weight_decay=size.weight_decay)
    weights = _frame_weights(frames.is_fatty) if size.is_balanced else None

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = draws_of(options.seed, TRAINING, step)
        chosen = rng.choice(len(frames), size.batch, p=weights)
        crops = draw_crops(size.batch, rng)
        x = to_tensor(apply_crops(frames.images[chosen], crops, side)).to(device)
        with torch.no_grad():
            z = _scaled(autoencoder.encode(x), latents)
        condition = Condition(labels_of(frames.is_fatty[chosen]).to(device))
        if maps is not None:
            condition = replace(condition, maps=one_hot(crop_maps(maps[chosen], crops, side // 2)).to(device))
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            return diffusion_loss(network, z, condition, size, generator, options.guidance_dropout)

    found = {"kind": kind, "size": options.size, "configuration": _json(size), "guidance_dropout": _dropout(options)}
    found |= {"autoencoder": autoencoder.config, "latents": latents, "side": side}
    state, curve = train_steps(
        network,
        optimiser,
        loss_of,
        StepOptions(size.steps, size.learning_rate, size.warmup, size.ema, TRAINING),
        architecture=f"{ARCHITECTURE}_checkpoint",
        config={**found, "seed": options.seed, "frames": digest},
        folder=None if folder is None else Path(folder) / kind,
        progress=progress,
    )
    tensors = {f"unet/{name}": value for name, value in state.items()}
    tensors |= {f"autoencoder/{name}": value.cpu().numpy() for name, value in autoencoder.state_dict().items()}
    if maps is not None:
        tensors |= {"maps": maps, "is_fatty": np.asarray(frames.is_fatty, np.uint8)}
    return Weights(tensors, _card(kind, frames, options, found, curve, digest))


def _autoencoder(frames, size: LdmSize, options: LdmOptions, digest, folder, progress) -> Autoencoder:
    shape = size.autoencoder
    if options.autoencoder is not None:
        loaded = load_autoencoder(options.autoencoder, shape.latent_channels, shape.factor)
        return loaded.to(choose_device(options.device))
    kept = options.cache or folder
    return trained_autoencoder(
        frames.images,
        shape,
        options,
        digest=digest,
        folder=None if kept is None else Path(kept),
        progress=progress,
    )


def _frame_weights(is_fatty: np.ndarray) -> np.ndarray:
    """Both classes equally often."""
    return np.where(is_fatty, 0.5 / is_fatty.sum(), 0.5 / (~is_fatty).sum())


def _scaled(z: torch.Tensor, latents: Mapping[str, list[float]]) -> torch.Tensor:
    mean, scale = (torch.tensor(latents[key], device=z.device)[:, None, None] for key in ("mean", "scale"))
    return (z - mean) * scale


def _dropout(options: LdmOptions) -> float:
    return float(options.guidance_dropout)


def _json(size: LdmSize) -> dict[str, Any]:
    """A configuration as JSON gives it back."""
    import json

    return json.loads(json.dumps(asdict(size)))


def _card(kind, frames: FrameSet, options: LdmOptions, config, curve, digest) -> dict[str, Any]:
    patients = sorted(frames.patients)
    source = "simulated frames" if frames.is_simulated else "measured frames"
    maps = " Its weights hold coarse maps of these frames: as confidential as they are."
    return {
        "name": {"ldm_semantic": "Latent diffusion, semantic maps", "ldm_class": "Latent diffusion, class"}[kind],
        "architecture": ARCHITECTURE,
        "config": config,
        "version": __version__,
        "training_patients": patients,
        "is_trained_on_simulated_data": bool(frames.is_simulated),
        "trained_on": f"{len(frames)} {source} of {len(patients)} patients",
        "frames_sha256": digest,
        "seed": options.seed,
        "curve": curve,
        "use": "Research tool, not a medical device. Draws B-mode images for training within the fold it was trained "
        "on." + (maps if kind == "ldm_semantic" else ""),
    }


class LatentDiffusion:
    """A trained model to draw from; a :class:`.generator.Generator`."""

    def __init__(self, weights: Weights, device: str = "auto"):
        card, config = weights.card, weights.card["config"]
        self.card, self.device, self.options = card, choose_device(device), SamplerOptions()
        try:
            self.kind, self.side, self.latents = config["kind"], int(config["side"]), config["latents"]
            self.training_patients = tuple(card["training_patients"])
            self.is_trained_on_simulated_data = bool(card["is_trained_on_simulated_data"])
            self.size = configuration_from(config["configuration"])
            autoencoder = Autoencoder(config["autoencoder"])
        except KeyError as error:
            raise UnsuitableInputError(
                f"A latent diffusion model needs {error} on its card; it is missing. Train it again."
            ) from error
        parts = {"unet": {}, "autoencoder": {}, "": {}}
        for name, value in weights.tensors.items():
            part, _, rest = name.rpartition("/")
            if part not in parts:
                raise UnsuitableInputError(f"A latent diffusion model has no tensor '{name}'. Train it again.")
            parts[part][rest] = value
        self.latent_side = self.side // self.size.autoencoder.factor
        self.network = Denoiser(self.kind, self.size, self.latent_side)
        unet = Weights(parts["unet"], card)
        check_shapes(unet, {name: tuple(value.shape) for name, value in self.network.state_dict().items()})
        self.network.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in unet.tensors.items()})
        self.network.to(self.device).eval()
        self.autoencoder = filled(autoencoder, Weights(parts["autoencoder"], card)).to(self.device).eval()
        _check_latents(self.latents, self.size.autoencoder.latent_channels)
        self.maps, self.map_is_fatty = self._checked_maps(parts[""])

    def _checked_maps(self, found: Mapping[str, np.ndarray]):
        if self.kind != "ldm_semantic":
            return None, None
        try:
            maps, is_fatty = found["maps"], found["is_fatty"].astype(bool)
        except KeyError as error:
            raise UnsuitableInputError(
                f"A semantic latent diffusion model needs {error} in its weights; it is missing. Train it again."
            ) from error
        if len(maps) != len(is_fatty) or is_fatty.all() or not is_fatty.any():
            raise UnsuitableInputError("A semantic latent diffusion model needs maps of both classes. Train it again.")
        return maps, is_fatty

    def with_sampler(self, options: SamplerOptions) -> LatentDiffusion:
        """The same model, drawn from in another way; returns itself."""
        self.options = options
        return self

    def sampler(self) -> Mapping[str, Any]:
        """How images are drawn, JSON-ready."""
        return self.options.described() | {"block": self.size.block}

    def sample(
        self,
        is_fatty: np.ndarray,
        seed: int,
        *,
        first: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Draw images; see :class:`.generator.Generator`.

        Images are drawn in blocks of fixed size and place in the set, filled up where a block is not asked for whole:
        what a processor adds up in which order then never depends on what else is asked for.
        """
        is_fatty, n, block = np.asarray(is_fatty, bool), len(is_fatty), self.size.block
        starts = range(first // block * block, first + n, block)
        found = []
        for number, start in enumerate(starts):
            wanted = np.zeros(block, bool)
            low, high = max(start, first), min(start + block, first + n)
            wanted[low - start : high - start] = is_fatty[low - first : high - first]

            def told(done: int, steps: int, number: int = number) -> None:
                progress(number * steps + done, len(starts) * steps)

            images = self._block(wanted, seed, start, told if progress else None)
            found.append(images[low - start : high - start])
        return np.concatenate(found) if found else np.zeros((0, self.side, self.side), np.uint8)

    @torch.inference_mode()
    def _block(self, is_fatty, seed, start, progress) -> np.ndarray:
        numbers = range(start, start + len(is_fatty))
        channels = self.size.autoencoder.latent_channels
        noise = noise_of(seed, numbers, (channels, self.latent_side, self.latent_side)).to(self.device)
        condition = Condition(labels_of(is_fatty).to(self.device))
        if self.maps is not None:
            drawn = [self._map(answer, seed, k) for answer, k in zip(is_fatty, numbers, strict=True)]
            condition = replace(condition, maps=one_hot(np.stack(drawn)).to(self.device))
        predict = guided(
            self.network, condition, self.options.guidance, in_halves=self.side > 64 and self.device == "cpu"
        )
        scheduler = make_scheduler(self.options, self.size.beta_end, self.size.prediction)
        z = sample_latents(predict, scheduler, noise, progress)
        mean, scale, low, high = (
            torch.tensor(self.latents[key], device=z.device)[:, None, None] for key in ("mean", "scale", "low", "high")
        )
        z = torch.minimum(torch.maximum(z, low), high) / scale + mean
        return np.concatenate([to_images(self.autoencoder.decode(part)) for part in z.split(DECODED)])

    def _map(self, is_fatty: bool, seed: int, number: int) -> np.ndarray:
        """A training frame's map of the class, cropped and distorted at random."""
        rng = np.random.default_rng([seed, number, _MAP_DRAWS])
        chosen = rng.choice(np.flatnonzero(self.map_is_fatty == is_fatty), 1)
        return distort_map(crop_maps(self.maps[chosen], draw_crops(1, rng), self.side // 2)[0], rng)


def _check_latents(latents: Any, n_channels: int) -> None:
    keys = ("mean", "scale", "low", "high")
    if not isinstance(latents, dict) or any(np.shape(latents.get(key)) != (n_channels,) for key in keys):
        raise UnsuitableInputError(
            f"A latent diffusion model's card needs mean, scale, low and high of {n_channels} latent channels; found "
            "others. Train it again."
        )


def load(weights: Weights) -> LatentDiffusion:
    """The model of trained weights.

    Raises:
        UnsuitableInputError: weights of something else, or a card or tensors that do not fit.
    """
    if weights.card.get("architecture") != ARCHITECTURE or weights.card["config"].get("kind") not in LDM_KINDS:
        raise UnsuitableInputError(
            f"Weights of the architecture '{ARCHITECTURE}' are needed; found '{weights.card.get('architecture')}'. "
            "Give a latent diffusion model's."
        )
    return LatentDiffusion(weights)
