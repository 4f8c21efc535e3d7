"""DCGAN, spectral normalisation, self-attention, and the second stage that refines a first stage's image.

| symbol | here |
|---|---|
| z | noise, 100 standard normal numbers |
| G, D | :class:`DcganGenerator` or :class:`RefiningGenerator`; :class:`Discriminator` |
| σ(W) | largest singular value of a convolution's weight as a matrix, which spectral normalisation brings to 1 |
| γ | weight of self-attention beside what goes into it; starts at 0 |

Images run from -1 to 1. A discriminator gives log-odds: the paper's sigmoid is part of the loss. With spectral
normalisation a discriminator has no batch normalisation, which would undo the bound; the paper is silent there.

Source: Che H et al., 10.1007/978-3-030-87583-1_18, sections 2.1 and 2.2; Radford A et al., 10.48550/arXiv.1511.06434;
Miyato T et al., 10.48550/arXiv.1802.05957; Zhang H et al., 10.48550/arXiv.1805.08318, equations 1 to 3.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

N_NOISE = 100
"""Numbers in z."""
FIRST_SIDE = 4
"""Of a generator's first map, and of a discriminator's last."""
MOST_CHANNELS = 8
"""Widest map, as a multiple of the narrowest."""

MOST_GREY = 0.99
"""Of an image whose residual is learnt: tanh reaches 1 nowhere."""


def channels_at(side: int, full_side: int, width: int) -> int:
    """Channels of a map: twice as many at half the side, up to eight times the narrowest."""
    return width * min(MOST_CHANNELS, full_side // (2 * side))


def sides_between(first: int, last: int) -> list[int]:
    """first, 2·first, ... up to ``last``."""
    found = [first]
    while found[-1] < last:
        found.append(2 * found[-1])
    return found


def _normalised(layer: nn.Module, is_spectral: bool) -> nn.Module:
    return spectral_norm(layer) if is_spectral else layer


class SelfAttention(nn.Module):
    """x + γ·v(softmax(f(x)ᵀg(x))·h(x)): each place reads all others.

    Keys and values are pooled to half the side, which quarters the cost.

    Args:
        channels: Of the map; a multiple of 8.
        is_spectral: Normalise its convolutions, as SAGAN does.
    Source: Zhang H et al., 10.48550/arXiv.1805.08318, equations 1 to 3.
    """

    def __init__(self, channels: int, is_spectral: bool = True):
        super().__init__()
        narrow, middle = max(channels // 8, 1), max(channels // 2, 1)
        self.query, self.key = (_normalised(nn.Conv2d(channels, narrow, 1), is_spectral) for _ in range(2))
        self.value = _normalised(nn.Conv2d(channels, middle, 1), is_spectral)
        self.out = _normalised(nn.Conv2d(middle, channels, 1), is_spectral)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels, side, side), kept."""
        n, _, rows, columns = x.shape
        query = self.query(x).flatten(2)
        key, value = (functional.max_pool2d(layer(x), 2).flatten(2) for layer in (self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        read = (value @ weights.transpose(1, 2)).view(n, -1, rows, columns)
        return x + self.gamma * self.out(read)


class DcganGenerator(nn.Module):
    """Noise to an image: transposed convolutions that double the side, batch normalisation, ReLU, tanh at the end.

    Args:
        side: Of the image, a power of two.
        width: Channels of the map before the image.
        is_spectral: Normalise every convolution.
        attention_side: Of the map that self-attention follows; None: none.
        n_inputs: Numbers that an image is made from.
        skips: Side of a map -> channels that are joined to it from elsewhere.
    """

    def __init__(
        self,
        side: int,
        width: int,
        is_spectral: bool = False,
        attention_side: int | None = None,
        n_inputs: int = N_NOISE,
        skips: dict[int, int] | None = None,
    ):
        super().__init__()
        self.skips = dict(skips or {})
        self.blocks, self.attention = nn.ModuleDict(), nn.ModuleDict()
        n_before = n_inputs
        for map_side in sides_between(FIRST_SIDE, side // 2):
            n_channels = channels_at(map_side, side, width)
            stride, padding = (1, 0) if map_side == FIRST_SIDE else (2, 1)
            layer = nn.ConvTranspose2d(n_before, n_channels, 4, stride, padding, bias=False)
            block = nn.Sequential(_normalised(layer, is_spectral), nn.BatchNorm2d(n_channels), nn.ReLU())
            self.blocks[str(map_side)] = block
            if map_side == attention_side:
                self.attention[str(map_side)] = SelfAttention(n_channels, is_spectral)
            n_before = n_channels + self.skips.get(map_side, 0)
        self.image = _normalised(nn.ConvTranspose2d(n_before, 1, 4, 2, 1), is_spectral)

    def forward(
        self, z: torch.Tensor, maps: dict[int, torch.Tensor] | None = None, base: torch.Tensor | None = None
    ) -> torch.Tensor:
        """An image for each z.

        Args:
            z: Shape (n, n_inputs).
            maps: Side -> what is joined to the map of that side.
            base: Added before the tanh, shape (n, 1, side, side).
        Returns:
            Shape (n, 1, side, side), from -1 to 1.
        """
        x = z[:, :, None, None]
        for name, block in self.blocks.items():
            x = block(x)
            if name in self.attention:
                x = self.attention[name](x)
            if int(name) in self.skips:
                x = torch.cat([x, maps[int(name)]], dim=1)
        x = self.image(x)
        return torch.tanh(x if base is None else x + base)


class RefiningGenerator(nn.Module):
    """Stage II: a first stage's image and noise to an image of a larger side.

    1. Each block of the encoder is a convolution, then a max-pooling that halves the side, down to 4 x 4; the last
       pooling leaves a vector.
    2. z is joined to that vector, and a DCGAN generator decodes both.
    3. What each block found before its pooling is joined to the decoder's map of the same side.

    Args:
        image_side: Of the first stage's images.
        side: Of the result.
        width: Channels of the narrowest maps.
        is_spectral: Normalise every convolution.
        attention_side: As in :class:`DcganGenerator`.
        is_residual: Learn what is to be added to the enlarged image: ours, for trainings of a few hundred steps.
    Source: Che H et al., section 2.2 and Figure 1.
    """

    def __init__(
        self,
        image_side: int,
        side: int,
        width: int,
        is_spectral: bool = False,
        attention_side: int | None = None,
        is_residual: bool = False,
    ):
        super().__init__()
        self.side, self.is_residual = side, is_residual
        self.encoder, skips, n_before = nn.ModuleDict(), {}, 1
        for map_side in reversed(sides_between(FIRST_SIDE, image_side)):
            n_channels = width * min(MOST_CHANNELS, image_side // map_side)
            layer = nn.Conv2d(n_before, n_channels, 3, padding=1, bias=False)
            self.encoder[str(map_side)] = nn.Sequential(
                _normalised(layer, is_spectral), nn.BatchNorm2d(n_channels), nn.ReLU()
            )
            if map_side < side:
                skips[map_side] = n_channels
            n_before = n_channels
        self.decoder = DcganGenerator(side, width, is_spectral, attention_side, n_before + N_NOISE, skips)

    def forward(self, z: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """An image for each z.

        Args:
            z: Shape (n, 100).
            image: The first stage's, shape (n, 1, image_side, image_side).
        Returns:
            Shape (n, 1, side, side), from -1 to 1.
        """
        maps, x = {}, image
        for name, block in self.encoder.items():
            maps[int(name)] = block(x)
            x = functional.max_pool2d(maps[int(name)], FIRST_SIDE if int(name) == FIRST_SIDE else 2)
        base = None
        if self.is_residual:
            enlarged = functional.interpolate(image, size=self.side, mode="bilinear", align_corners=False)
            base = torch.atanh(enlarged.clamp(-MOST_GREY, MOST_GREY))
        return self.decoder(torch.cat([x.flatten(1), z], dim=1), maps, base)


class Discriminator(nn.Module):
    """An image to the log-odds that it is real: strided convolutions and LeakyReLU.

    Args:
        side: Of the image, a power of two.
        width: Channels of the first map.
        is_spectral: Normalise every convolution, in place of batch normalisation.
        attention_side: Of the map that self-attention follows; None: none.
    """

    def __init__(self, side: int, width: int, is_spectral: bool = False, attention_side: int | None = None):
        super().__init__()
        layers, n_before = [], 1
        for map_side in reversed(sides_between(FIRST_SIDE, side // 2)):
            n_channels, is_first = channels_at(map_side, side, width), map_side == side // 2
            has_norm = not is_first and not is_spectral
            layer = nn.Conv2d(n_before, n_channels, 4, 2, 1, bias=not has_norm)
            layers += [_normalised(layer, is_spectral)]
            layers += [nn.BatchNorm2d(n_channels)] if has_norm else []
            layers += [nn.LeakyReLU(0.2)]
            if map_side == attention_side:
                layers.append(SelfAttention(n_channels, is_spectral))
            n_before = n_channels
        self.layers = nn.Sequential(*layers, _normalised(nn.Conv2d(n_before, 1, FIRST_SIDE), is_spectral))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Log-odds of shape (n,) for images of shape (n, 1, side, side)."""
        return self.layers(images).flatten()


def start_as_dcgan(network: nn.Module, generator: torch.Generator) -> None:
    """DCGAN's start: weights of convolutions ~ N(0, 0.02), of batch normalisation ~ N(1, 0.02), biases 0."""
    for name, value in network.named_parameters():
        with torch.no_grad():
            if name.endswith("gamma"):
                value.zero_()
            elif value.ndim == 4:
                value.copy_(0.02 * torch.randn(value.shape, generator=generator))
            elif name.endswith("weight"):
                value.copy_(1 + 0.02 * torch.randn(value.shape, generator=generator))
            else:
                value.zero_()


def without_spectral_normalisation(network: nn.Module) -> nn.Module:
    """The same function with the normalised weights written into its layers; changes the network and returns it."""
    network.eval()
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    return network


def use_standing_statistics(network: nn.Module, batches) -> None:
    """Take the mean and variance of batch normalisation over many batches, so that an image depends on no other.

    The statistics that training leaves are a moving average over generators that are no more, and an averaged generator
    has none of its own.

    Args:
        network: Left in evaluation mode.
        batches: Arguments of each forward pass, one tuple a batch of one size.
    Source: Brock A et al., 10.48550/arXiv.1809.11096, appendix.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    with torch.no_grad():
        for arguments in batches:
            network(*arguments)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()
