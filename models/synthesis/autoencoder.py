"""The autoencoder whose latents are diffused: KL or VQ of diffusers, trained here on the fold or loaded.

Grey frames in [-1, 1] go in. Ours makes blocks of pixels channels before its first layer (``patch``), which loses
nothing and saves most of the time at full resolution; a loaded one of three colours sees the same grey three times.

The loss is L1 of pixels, L1 of differences of neighbours, and of local texture energy. L1 alone answers speckle that
the latents cannot hold with its mean, grey; the third term asks for its strength instead.

Source: Rombach R et al., CVPR 2022, 10.1109/CVPR52688.2022.01042, section 3.1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..errors import UnsuitableInputError
from ..learning.device import choose_device
from ..learning.training_progress import TrainingProgress
from ..ultrasound.frames import apply_crops, draw_crops, sides_of
from ..weights import Weights, check_shapes, load_weights, save_weights
from .ldm_options import AutoencoderSize, LdmOptions
from .step_training import AUTOENCODER, StepOptions, draws_of, train_steps

ARCHITECTURE = "frame_autoencoder"
"""Name on the card of a trained autoencoder."""
KL_WEIGHT, GRADIENT_WEIGHT, TEXTURE_WEIGHT = 1e-3, 0.5, 1.0
"""Of the mean divergence of a latent, and of the second and third term of the loss."""
TEXTURE_WINDOW = 5
"""Side over which texture energy is averaged, pixels."""
WARMUP = 20
"""Steps to the full learning rate."""
SPECKLE_WINDOW = 7
"""Side of the windows whose standard deviation over mean is the speckle contrast, pixels."""


class Autoencoder(torch.nn.Module):
    """Frames to latents and back.

    Args:
        config: As :func:`own_config` makes it, or :func:`load_autoencoder`.
    Raises:
        UnsuitableInputError: a configuration that diffusers does not build.
    """

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        from diffusers import AutoencoderKL, VQModel

        self.config = dict(config)
        self.patch, self.is_vq = config["patch"], config["family"] == "vq"
        self.latent_channels, self.factor = config["latent_channels"], config["factor"]
        try:
            self.network = (VQModel if self.is_vq else AutoencoderKL)(**config["network"])
        except (TypeError, ValueError) as error:
            raise UnsuitableInputError(
                f"An autoencoder needs a configuration that diffusers builds; it refused: {error}. Export it again."
            ) from error
        self.n_inputs = self.network.config.in_channels

    def _unpatched(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pixel_unshuffle(x, self.patch) if self.patch > 1 else x
        return x.expand(-1, self.n_inputs, -1, -1)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Latents before quantisation, or their means: shape (n, channels, side / factor, side / factor)."""
        x = self._unpatched(x)
        return self.network.encode(x).latents if self.is_vq else self.network.encode(x).latent_dist.mode()

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Frames, shape (n, 1, side, side)."""
        found = self.network.decode(z).sample
        return self._patched(found)

    def _patched(self, found: torch.Tensor) -> torch.Tensor:
        if self.patch > 1:
            return functional.pixel_shuffle(found, self.patch)
        return found.mean(1, keepdim=True)

    def losses(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """What training lowers, for frames of shape (n, 1, side, side)."""
        if self.is_vq:
            latents = self.network.encode(self._unpatched(x)).latents
            decoded = self.network.decode(latents)
            found, cost = self._patched(decoded.sample), decoded.commit_loss.mean()
        else:
            spread = self.network.encode(self._unpatched(x)).latent_dist
            noise = torch.randn(spread.mean.shape, generator=generator).to(x)
            found = self._patched(self.network.decode(spread.mean + spread.std * noise).sample)
            cost = KL_WEIGHT * spread.kl().mean() / spread.mean[0].numel()
        return reconstruction_loss(found, x) + cost


def reconstruction_loss(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """L1 of pixels, of differences of neighbours, and of the local mean of their absolute values."""
    loss = (found - true).abs().mean()
    for axis in (2, 3):
        for lag in (1, 2):  # A chequerboard, which decoders like to draw for texture, has no differences at lag 2.
            n = true.shape[axis] - lag
            a, b = (one.narrow(axis, lag, n) - one.narrow(axis, 0, n) for one in (found, true))
            energy = [functional.avg_pool2d(one.abs(), TEXTURE_WINDOW, 2) for one in (a, b)]
            loss = loss + TEXTURE_WEIGHT * (energy[0] - energy[1]).abs().mean() / 4
            if lag == 1:
                loss = loss + GRADIENT_WEIGHT * (a - b).abs().mean() / 2
    return loss


def own_config(size: AutoencoderSize) -> dict[str, Any]:
    """Configuration of an autoencoder that is trained here, JSON-ready.

    Raises:
        UnsuitableInputError: levels that do not give the factor.
    """
    n = len(size.channels)
    if size.patch * 2 ** (n - 1) != size.factor:
        raise UnsuitableInputError(
            f"An autoencoder of factor {size.factor} needs patch times 2 to the number of halvings to be it; found "
            f"patch {size.patch} and {n - 1} halvings. Change one of them."
        )
    network = {
        "in_channels": size.patch**2,
        "out_channels": size.patch**2,
        "latent_channels": size.latent_channels,
        "block_out_channels": list(size.channels),
        "layers_per_block": size.layers,
        "down_block_types": ["DownEncoderBlock2D"] * n,
        "up_block_types": ["UpDecoderBlock2D"] * n,
        "norm_num_groups": math.gcd(32, *size.channels) if size.family == "vq" else math.gcd(8, *size.channels),
        "mid_block_add_attention": size.family == "vq",
    }
    if size.family == "vq":
        network["num_vq_embeddings"] = size.n_codes
    shape = {"latent_channels": size.latent_channels, "factor": size.factor, "patch": size.patch}
    return {"family": size.family, **shape, "network": network, "source": "trained on the fold"}


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Grey levels, shape (n, side, side), uint8, as (n, 1, side, side) in [-1, 1]."""
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1


def to_images(x: torch.Tensor) -> np.ndarray:
    """The way back, cut to what grey levels there are."""
    return ((x[:, 0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def trained_autoencoder(
    images: np.ndarray,
    size: AutoencoderSize,
    options: LdmOptions,
    *,
    digest: str,
    folder: Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Autoencoder:
    """Train an autoencoder on random crops of the frames of one fold, or take the one that was trained before.

    Args:
        images: Prepared frames of the fold's training patients, shape (n, prepared, prepared), uint8.
        size: Its shape and steps.
        options: Whose seed, configuration and device are used.
        digest: Of the frames.
        folder: Keeps the checkpoint and the finished autoencoder; it may be shared by generators of a fold.
        progress: Called before the first and after some steps; it may raise to stop.
    """
    config, side = own_config(size), sides_of(options.size)[1]
    identity = {"autoencoder": config, "seed": options.seed, "frames": digest, "crop": side}
    identity |= {"steps": size.steps, "batch": size.batch, "learning_rate": size.learning_rate}
    work = done = None
    if folder is not None:
        name = _short_digest(identity)
        work, done = Path(folder) / f"autoencoder-{name}", Path(folder) / f"autoencoder-{name}.safetensors"
    device = choose_device(options.device)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        autoencoder = Autoencoder(config)
    if done is not None and done.exists():
        return filled(autoencoder, load_weights(done, ARCHITECTURE)).to(device)
    autoencoder.to(device)
    optimiser = torch.optim.AdamW(autoencoder.parameters(), size.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = draws_of(options.seed, AUTOENCODER, step)
        chosen = rng.integers(len(images), size=size.batch)
        crops = apply_crops(images[chosen], draw_crops(size.batch, rng), side)
        return autoencoder.losses(to_tensor(crops).to(device), generator)

    steps = StepOptions(size.steps, size.learning_rate, WARMUP, None, AUTOENCODER)
    tensors, curve = train_steps(
        autoencoder,
        optimiser,
        loss_of,
        steps,
        architecture=f"{ARCHITECTURE}_checkpoint",
        config=identity,
        folder=work,
        progress=progress,
    )
    if done is not None:
        save_weights(done, tensors, {"architecture": ARCHITECTURE, "config": identity, "curve": curve})
    return autoencoder


def _short_digest(values: Mapping[str, Any]) -> str:
    from ..io.files import sha256_of_bytes

    return sha256_of_bytes(json.dumps(values, sort_keys=True).encode())[:16]


def filled(autoencoder: Autoencoder, weights: Weights) -> Autoencoder:
    """The autoencoder with these weights, which have to fit exactly.

    Raises:
        UnsuitableInputError: a tensor that is missing, of another shape, or too many.
    """
    check_shapes(weights, {name: tuple(value.shape) for name, value in autoencoder.state_dict().items()})
    autoencoder.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.tensors.items()})
    return autoencoder


def load_autoencoder(folder: Path | str, latent_channels: int, factor: int) -> Autoencoder:
    """A trained AutoencoderKL or VQModel in diffusers' format, to be frozen.

    Args:
        folder: Holds ``config.json`` and ``diffusion_pytorch_model.safetensors``.
        latent_channels: That the diffusion model needs.
        factor: Pixels to a latent's side that it needs.
    Raises:
        UnsuitableInputError: no such files, another class, tensors that do not fit, or latents of another size.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise UnsuitableInputError(
            "An autoencoder needs a folder with config.json and diffusion_pytorch_model.safetensors, as diffusers "
            f"saves them; '{folder.name}' has none that can be read. Save it with save_pretrained."
        ) from error
    name = config.get("_class_name") if isinstance(config, dict) else None
    families = {"AutoencoderKL": "kl", "VQModel": "vq"}
    if name not in families:
        raise UnsuitableInputError(
            f"An autoencoder needs to be an {' or a '.join(families)} of diffusers; found {name!r}. Give another."
        )
    network = {key: value for key, value in config.items() if not key.startswith("_")}
    levels = network.get("block_out_channels") or [0]
    found = {"latent_channels": network.get("latent_channels"), "factor": 2 ** (len(levels) - 1)}
    if found != {"latent_channels": latent_channels, "factor": factor}:
        raise UnsuitableInputError(
            f"This latent diffusion model needs an autoencoder with {latent_channels} latent channels and {factor} "
            f"pixels a latent; '{folder.name}' has {found['latent_channels']} and {found['factor']}. Give one of that "
            "size, or have one trained."
        )
    autoencoder = Autoencoder(
        {"family": families[name], **found, "patch": 1, "network": network, "source": f"loaded from '{folder.name}'"}
    )
    if autoencoder.n_inputs not in (1, 3):
        raise UnsuitableInputError(
            f"An autoencoder needs to read 1 or 3 channels of grey; '{folder.name}' reads {autoencoder.n_inputs}. "
            "Give another."
        )
    named = {f"network.{key}": value for key, value in tensors.items()}
    return filled(autoencoder, Weights(named, {"architecture": name, "config": {}}))


def latent_statistics(autoencoder: Autoencoder, images: np.ndarray, side: int, seed: int) -> dict[str, list[float]]:
    """Mean, scale (1 / standard deviation) and range of each latent channel over one random crop of each frame."""
    rng = np.random.default_rng([seed, len(images)])
    crops = apply_crops(images, draw_crops(len(images), rng), side)
    device = next(autoencoder.parameters()).device
    with torch.inference_mode():
        z = torch.cat([autoencoder.encode(to_tensor(part).to(device)).cpu() for part in _chunks(crops)])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3)).clamp_min(1e-6)
    scaled = (z - mean[:, None, None]) / std[:, None, None]
    return {
        "mean": [float(v) for v in mean],
        "scale": [float(v) for v in 1 / std],
        "low": [float(v) for v in scaled.amin((0, 2, 3))],
        "high": [float(v) for v in scaled.amax((0, 2, 3))],
    }


def _chunks(images: np.ndarray, n: int = 16):
    return (images[k : k + n] for k in range(0, len(images), n))


def reconstruction_quality(autoencoder: Autoencoder, images: np.ndarray) -> dict[str, float]:
    """How frames come back: of held-out patients, what an autoencoder may lose.

    Args:
        autoencoder: Trained.
        images: Shape (n, side, side), uint8.
    Returns:
        ``psnr_db``, and ``speckle_contrast_ratio``: mean over tissue of the local standard deviation over mean, after
        over before; 1 when speckle is as strong as it was.
    """
    device = next(autoencoder.parameters()).device
    with torch.inference_mode():
        found = np.concatenate(
            [to_images(autoencoder.decode(autoencoder.encode(to_tensor(part).to(device)))) for part in _chunks(images)]
        )
    error = (found.astype(np.float64) - images).reshape(len(images), -1)
    psnr = 10 * np.log10(255**2 / np.maximum((error**2).mean(1), 1e-9))
    ratio = speckle_contrast(found, images) / speckle_contrast(images, images)
    return {"psnr_db": float(psnr.mean()), "speckle_contrast_ratio": float(ratio)}


def speckle_contrast(images: np.ndarray, tissue: np.ndarray | None = None) -> float:
    """Median local standard deviation over mean in windows without black in ``tissue`` (default: the images)."""
    x = torch.from_numpy(images).float()[:, None]
    mean = functional.avg_pool2d(x, SPECKLE_WINDOW, SPECKLE_WINDOW)
    spread = (functional.avg_pool2d(x**2, SPECKLE_WINDOW, SPECKLE_WINDOW) - mean**2).clamp_min(0).sqrt()
    inside = torch.from_numpy(images if tissue is None else tissue).float()[:, None]
    inside = -functional.max_pool2d(-inside, SPECKLE_WINDOW, SPECKLE_WINDOW) > 0
    return float((spread / mean.clamp_min(1))[inside].median()) if inside.any() else float("nan")
