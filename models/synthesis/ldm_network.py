"""The network that takes noise from latents, and how it is told what to draw.

``ldm_semantic`` is a UNet2DModel whose input has the semantic map beside the noisy latents, brought to their side and
number of channels; ``ldm_class`` a UNet2DConditionModel that reads an embedding of the class by cross-attention.
Both are diffusers'. A map of zeros and the class :data:`UNKNOWN` stand for "not told".

Source: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z; Ho J & Salimans T, 2022, arXiv:2207.12598 (guidance);
Hang T et al., ICCV 2023, 10.1109/ICCV51070.2023.00684 (min-SNR).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from .ldm_options import BETA_START, N_MAP_CLASSES, N_TRAIN_TIMESTEPS, LdmSize

HEALTHY, FATTY, UNKNOWN = range(3)
"""Classes as the networks know them."""


@dataclass(frozen=True)
class Condition:
    """What is to be drawn."""

    labels: torch.Tensor
    """Shape (n,), of the three classes."""
    maps: torch.Tensor | None = None
    """One-hot, shape (n, 5, side, side); None for ldm_class."""

    def dropped(self, is_dropped: torch.Tensor) -> Condition:
        """The same, not told where ``is_dropped``, shape (n,), is true."""
        labels = torch.where(is_dropped, torch.full_like(self.labels, UNKNOWN), self.labels)
        maps = None if self.maps is None else self.maps * ~is_dropped[:, None, None, None]
        return Condition(labels, maps)

    def doubled(self) -> Condition:
        """Told, then not told: shape (2n, ...)."""
        none = self.dropped(torch.ones_like(self.labels, dtype=torch.bool))
        maps = None if self.maps is None else torch.cat([self.maps, none.maps])
        return Condition(torch.cat([self.labels, none.labels]), maps)


class Denoiser(torch.nn.Module):
    """Predicts noise or velocity of noisy latents.

    Args:
        kind: ldm_semantic or ldm_class.
        size: Its configuration.
        latent_side: Rows, and columns, of the latents.
    """

    def __init__(self, kind: str, size: LdmSize, latent_side: int):
        super().__init__()
        from diffusers import UNet2DConditionModel, UNet2DModel

        channels, n = size.autoencoder.latent_channels, len(size.channels)
        shared = {
            "sample_size": latent_side,
            "out_channels": channels,
            "block_out_channels": size.channels,
            "layers_per_block": size.layers,
            "norm_num_groups": size.norm_groups,
        }
        self.is_semantic, self.is_told_class = kind == "ldm_semantic", size.is_class_conditioned
        if self.is_semantic:
            self.project = torch.nn.Conv2d(N_MAP_CLASSES, channels, 1, bias=False)
            self.unet = UNet2DModel(
                in_channels=2 * channels,
                down_block_types=tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in size.attention),
                up_block_types=tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in reversed(size.attention)),
                attention_head_dim=size.channels[n - 1] // size.heads[n - 1],
                num_class_embeds=3 if self.is_told_class else None,
                **shared,
            )
        else:
            self.embed = torch.nn.Embedding(3, size.class_embedding)
            self.unet = UNet2DConditionModel(
                in_channels=channels,
                cross_attention_dim=size.class_embedding,
                down_block_types=tuple("CrossAttnDownBlock2D" if one else "DownBlock2D" for one in size.attention),
                up_block_types=tuple("CrossAttnUpBlock2D" if one else "UpBlock2D" for one in reversed(size.attention)),
                attention_head_dim=size.heads,
                **shared,
            )

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Prediction for noisy latents of shape (n, channels, side, side) at noise levels of shape (n,) or one."""
        if self.is_semantic:
            maps = functional.interpolate(condition.maps, x.shape[-2:], mode="bilinear", antialias=False)
            labels = condition.labels if self.is_told_class else None
            return self.unet(torch.cat([x, self.project(maps)], 1), timesteps, class_labels=labels).sample
        return self.unet(x, timesteps, encoder_hidden_states=self.embed(condition.labels)[:, None]).sample


def alphas_cumprod(beta_end: float) -> torch.Tensor:
    """Share of the signal's variance at each of the 1000 noise levels: scaled-linear betas."""
    betas = torch.linspace(BETA_START**0.5, beta_end**0.5, N_TRAIN_TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def loss_weights(snr: torch.Tensor, prediction: str, bound: float | None) -> torch.Tensor:
    """Min-SNR weights of a squared error: min(SNR, bound) on the clean latents, whatever is predicted.

    An error of the noise is SNR times, and one of the velocity SNR + 1 times, the same error of the clean latents.

    Args:
        snr: Of each image's noise level.
        prediction: epsilon or v_prediction.
        bound: None: every weight is 1.
    Source: Hang T et al., 10.1109/ICCV51070.2023.00684, section 3.4.
    """
    if bound is None:
        return torch.ones_like(snr)
    return snr.clamp_max(bound) / (snr + 1 if prediction == "v_prediction" else snr)


def diffusion_loss(
    network: Denoiser,
    latents: torch.Tensor,
    condition: Condition,
    size: LdmSize,
    generator: torch.Generator,
    dropout: float,
) -> torch.Tensor:
    """Loss of one batch at random noise levels.

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps;  v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0
    """
    n = len(latents)
    t = torch.randint(N_TRAIN_TIMESTEPS, (n,), generator=generator)
    abar = alphas_cumprod(size.beta_end)[t].float().to(latents)
    eps = torch.randn(latents.shape, generator=generator).to(latents)
    is_dropped = (torch.rand(n, generator=generator) < dropout).to(latents.device)
    signal, noise = (root.sqrt()[:, None, None, None] for root in (abar, 1 - abar))
    target = signal * eps - noise * latents if size.prediction == "v_prediction" else eps
    found = network(signal * latents + noise * eps, t.to(latents.device), condition.dropped(is_dropped))
    error = (found.float() - target).abs() if size.loss == "l1" else (found.float() - target) ** 2
    weights = loss_weights(abar / (1 - abar), size.prediction, size.min_snr)
    return (weights * error.mean((1, 2, 3))).mean()


def labels_of(is_fatty: np.ndarray) -> torch.Tensor:
    """Answers as classes."""
    return torch.from_numpy(np.where(is_fatty, FATTY, HEALTHY)).long()
