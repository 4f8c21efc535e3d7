"""The networks that AI-DEAL is compared with, which learn from labels: U-Net, MDWF-Net and VET-Net.

Each maps the complex echoes of a slice, shape (batch, n_echoes, 2, x, y) with real and imaginary part, and its echo
times, shape (batch, n_echoes) in seconds, to its ``MAPS`` in the units of :data:`MAP_SCALES`, shape (batch, n_maps, x,
y). The published sizes have widths of 72, 144, 288, 576 and 1152.

| network | maps | echo times |
|---|---|---|
| U-Net | water, fat | those of its training; their order in the channels tells them apart |
| MDWF-Net | water, fat, R2*, field | the same |
| VET-Net | R2*, field; water and fat follow by least squares | any: they adapt the encoder |

Source: Goldfarb JW et al., J Magn Reson Imaging 2019;50:655-665 (U-Net); Meneses JP et al., Eur Radiol 2023,
10.1007/s00330-023-09576-2 (MDWF-Net); Meneses JP et al., Eur Radiol 2025, 10.1007/s00330-024-11164-x (VET-Net).
"""

from __future__ import annotations

import torch
from torch import nn

from .conv_lstm import N_ECHO_TIME_UNITS, AdaptiveInstanceNorm, ConvLSTM2d, EchoTimeEncoder
from .supervised import SupervisedConfig
from .unet_blocks import Decoder, Encoder, to_grid

MAP_SCALES = {"water": 1.4, "fat": 1.4, "r2_star_per_s": 200.0, "field_map_hz": 300.0}
"""What 1 at the output of a network means: water and fat in units of the slice's maximum, R2* in 1/s, field in Hz."""
TYPICAL_R2_STAR_PER_S = 40.0
"""R2* that an untrained ReLU head gives on average: at 0 it could stay there, without a gradient."""


class UNet(nn.Module):
    """Echoes as channels to water and fat.

    Args:
        n_echoes: Echoes of the one protocol it is for.
        widths: Channels at each level.
    """

    MAPS = ("water", "fat")

    def __init__(self, n_echoes: int, widths: tuple[int, ...]):
        super().__init__()
        self.widths = tuple(widths)
        self.encoder = Encoder(2 * n_echoes, self.widths)
        self.decoder = Decoder(self.widths)
        self.head = nn.Conv2d(self.widths[0], 2, 1)

    def forward(self, echoes: torch.Tensor, echo_times_s: torch.Tensor) -> torch.Tensor:
        """Water and fat, 0 to 1; the echo times are not looked at."""
        image, inside = to_grid(echoes.flatten(1, 2), self.widths)
        return torch.sigmoid(self.head(self.decoder(self.encoder(image))))[inside]


class MDWFNet(nn.Module):
    """Echoes as channels, one encoder, and a decoder each for water and fat, R2* and field.

    Args:
        n_echoes: Echoes of the one protocol it is for.
        widths: Channels at each level.
    """

    MAPS = ("water", "fat", "r2_star_per_s", "field_map_hz")

    def __init__(self, n_echoes: int, widths: tuple[int, ...]):
        super().__init__()
        self.widths = tuple(widths)
        self.encoder = Encoder(2 * n_echoes, self.widths)
        self.water_fat = nn.Sequential(Decoder(self.widths), nn.Conv2d(self.widths[0], 2, 1), nn.Sigmoid())
        self.r2_star = nn.Sequential(Decoder(self.widths), nn.Conv2d(self.widths[0], 1, 1), nn.ReLU())
        self.field_map = nn.Sequential(
            Decoder(self.widths, has_attention=True), nn.Conv2d(self.widths[0], 1, 1), nn.Tanh()
        )
        nn.init.constant_(self.r2_star[1].bias, TYPICAL_R2_STAR_PER_S / MAP_SCALES["r2_star_per_s"])

    def forward(self, echoes: torch.Tensor, echo_times_s: torch.Tensor) -> torch.Tensor:
        """Water, fat, R2* and field; the echo times are not looked at."""
        image, inside = to_grid(echoes.flatten(1, 2), self.widths)
        features = self.encoder(image)
        return torch.cat([self.water_fat(features), self.r2_star(features), self.field_map(features)], dim=1)[inside]


class VETNet(nn.Module):
    """Echoes as a sequence, echo times that adapt every level of the encoder, and decoders for R2* and field.

    Args:
        n_echoes: Echoes of the protocols it is trained on; the network itself can read any number.
        widths: Channels at each level.
    """

    MAPS = ("r2_star_per_s", "field_map_hz")

    def __init__(self, n_echoes: int, widths: tuple[int, ...]):
        super().__init__()
        self.widths = tuple(widths)
        self.over_echoes = ConvLSTM2d(2, self.widths[0])
        self.over_times = EchoTimeEncoder()
        self.norms = nn.ModuleList(AdaptiveInstanceNorm(width, N_ECHO_TIME_UNITS) for width in self.widths)
        self.encoder = Encoder(self.widths[0], self.widths)
        self.r2_star = nn.Sequential(Decoder(self.widths), nn.Conv2d(self.widths[0], 1, 1), nn.Sigmoid())
        self.field_map = nn.Sequential(
            Decoder(self.widths, has_attention=True), nn.Conv2d(self.widths[0], 1, 1), nn.Tanh()
        )

    def forward(self, echoes: torch.Tensor, echo_times_s: torch.Tensor) -> torch.Tensor:
        """R2* and field."""
        image, inside = to_grid(echoes, self.widths)
        code = self.over_times(echo_times_s)
        features = self.encoder(self.over_echoes(image), lambda level, found: self.norms[level](found, code))
        return torch.cat([self.r2_star(features), self.field_map(features)], dim=1)[inside]


NETWORKS = {"u_net": UNet, "mdwf_net": MDWFNet, "vet_net": VETNet}
"""Name of the method -> its network."""


def make_network(method: str, config: SupervisedConfig, seed: int = 0) -> nn.Module:
    """An untrained network with its ``config``; the same seed gives the same weights, whatever torch drew before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[method](config.n_echoes, config.widths)
    network.config = config
    return network
