"""ResHy-Net: two image branches and clinical values, joined by self-attention over the places of the image.

1. Each branch is a ResNet-18 without its classifier; its last maps are concatenated along channels.
2. A 1x1 convolution brings them to D channels; every place becomes a token, with a learned position.
3. Clinical values become a vector of 100: ``paper`` appends it to every token; by default it is a token of its own.
4. One layer of multi-head self-attention, the mean over tokens, a perceptron, one logit.
5. By default a linear term of the values is added. It starts as their logistic regression and the perceptron's last
   layer at 0, so that images can only add to what the values already say.

| | small | full |
|---|---|---|
| branch | four residual stages of 16, 32, 48, 64 channels | ResNet-18, torchvision's names |
| D | 64 | 512 |
| input, places | 96 x 96, 6 x 6 | 224 x 224, 7 x 7 |

A kind of image that is missing is stood in for by a learned map, a clinical value by the training median and a flag.

Source: Xia F et al. (ResHy-Net), SPECS section 1; He K et al., CVPR 2016, 10.1109/CVPR.2016.90; the linear term Cheng
HT et al., 2016, 10.1145/2988450.2988454.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fusion_options import FusionOptions

N_CLINICAL_FEATURES = 100
"""Length of the clinical vector (the paper's)."""
N_HEADS = 4
"""Of the self-attention."""
SMALL_CHANNELS = (16, 32, 48, 64)
"""Channels of the small branch's stages."""
PLACES = {"small": 36, "full": 49}
"""Tokens of an image."""
WIDTHS = {"small": 64, "full": 512}
"""Channels of a token."""
N_CHANNELS = {"b_mode": 1, "swe": 2}
"""Channels that a small branch reads: grey level; stiffness and where it was measured."""


class FusionNetwork(nn.Module):
    """The networks of every model that reads images.

    Args:
        options: Which model, mode and size.
        n_clinical: Clinical values read; 0: none.
    """

    def __init__(self, options: FusionOptions, n_clinical: int):
        super().__init__()
        self.images, self.is_paper, size = options.images, options.mode == "paper", options.size
        width = WIDTHS[size]
        self.branches = nn.ModuleDict({name: branch(size, name, self.is_paper) for name in self.images})
        last = SMALL_CHANNELS[-1] if size == "small" else 512
        side = int(PLACES[size] ** 0.5)
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(last, side, side)) for name in self.images})
        self.join = nn.Conv2d(last * len(self.images), width, 1)
        self.position = nn.Parameter(0.02 * torch.randn(1, PLACES[size], width))
        self.clinical = nn.Linear(2 * n_clinical, N_CLINICAL_FEATURES) if n_clinical else None
        token = width
        if n_clinical and self.is_paper:
            token += N_CLINICAL_FEATURES
        elif n_clinical:
            self.project = nn.Linear(N_CLINICAL_FEATURES, width)
            self.linear = nn.Linear(2 * n_clinical, 1)
        token_heads = N_HEADS if token % N_HEADS == 0 else 1
        self.attention = nn.TransformerEncoderLayer(
            token, token_heads, 2 * token, dropout=0.1, batch_first=True, norm_first=True
        )
        self.head = nn.Sequential(nn.LayerNorm(token), nn.Linear(token, token // 4), nn.ReLU(), nn.Dropout(0.2))
        self.logit = nn.Linear(token // 4, 1)
        if n_clinical and not self.is_paper:
            nn.init.zeros_(self.logit.weight)
            nn.init.zeros_(self.logit.bias)

    def forward(self, images: dict[str, Tensor], present: dict[str, Tensor], clinical: Tensor | None) -> Tensor:
        """Log-odds of each pair.

        Args:
            images: Kind -> shape (n, n_channels, rows, columns).
            present: Kind -> whether each pair has it, shape (n,), bool.
            clinical: Standardised values and flags of missing ones, shape (n, 2·n_clinical).
        Returns:
            Shape (n,).
        """
        return self.decide(self.encode(images, present), clinical)

    def encode(self, images: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        """Last maps of each kind of image, the learned ones where it is absent; arguments as :meth:`forward`."""
        maps = {}
        for name in self.images:
            found = self.branches[name](images[name])
            maps[name] = torch.where(present[name][:, None, None, None], found, self.absent[name].to(found.dtype))
        return maps

    def decide(self, maps: dict[str, Tensor], clinical: Tensor | None) -> Tensor:
        """Log-odds of each pair from maps of :meth:`encode` and clinical values as in :meth:`forward`."""
        joined = torch.cat([maps[name] for name in self.images], dim=1)
        tokens = self.join(joined).flatten(2).transpose(1, 2) + self.position
        if self.clinical is not None:
            vector = functional.relu(self.clinical(clinical))
            if self.is_paper:
                tokens = torch.cat([tokens, vector[:, None].expand(-1, tokens.shape[1], -1)], dim=2)
            else:
                tokens = torch.cat([self.project(vector)[:, None], tokens], dim=1)
        found = self.logit(self.head(self.attention(tokens).mean(dim=1)))[:, 0]
        if self.clinical is not None and not self.is_paper:
            found = found + self.linear(clinical)[:, 0]
        return found


def branch(size: str, name: str, is_paper: bool) -> nn.Module:
    """The part of a model that reads one kind of image and gives its last maps.

    Args:
        size: "small" or "full".
        name: "b_mode" or "swe".
        is_paper: True: elastograms come as colours.
    """
    if size == "full":
        return FullBranch()
    return SmallBranch(3 if is_paper and name == "swe" else N_CHANNELS[name])


class SmallBranch(nn.Module):
    """Four residual stages, each halving the image; group normalisation, as batches are small."""

    def __init__(self, n_channels: int):
        super().__init__()
        widths = (n_channels, *SMALL_CHANNELS)
        self.stages = nn.ModuleList(
            [_Residual(before, after) for before, after in zip(widths, SMALL_CHANNELS, strict=False)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, n_channels, 96, 96) -> (n, 64, 6, 6)."""
        for stage in self.stages:
            x = stage(x)
        return x


class _Residual(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, 2, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.around = nn.Conv2d(before, after, 1, 2, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(8, after) for _ in range(2)])

    def forward(self, x):
        out = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(out)) + self.around(x))


class FullBranch(nn.Module):
    """MONAI's ResNet-18 in torchvision's form, without pooling and classifier; images of three channels."""

    def __init__(self):
        super().__init__()
        from monai.networks.nets import resnet18

        self.resnet = resnet18(
            spatial_dims=2, n_input_channels=3, num_classes=1, conv1_t_stride=2, bias_downsample=False
        )
        self.resnet.fc = nn.Identity()
        self.n_frozen = 0

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, 1 to 3 channels, 224, 224) -> (n, 512, 7, 7)."""
        if x.shape[1] < 3:
            x = x[:, [0, 0, x.shape[1] - 1]]
        net = self.resnet
        x = net.maxpool(net.act(net.bn1(net.conv1(x))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    def freeze(self, n_stages: int) -> None:
        """Stop training the stem and the first stages; their statistics stay as they are, too."""
        self.n_frozen = n_stages
        for part in self._frozen():
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> FullBranch:
        """As in torch; frozen parts stay in evaluation, else their statistics would follow the new images."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self):
        net = self.resnet
        parts = [net.conv1, net.bn1, net.layer1, net.layer2, net.layer3, net.layer4]
        return parts[: 2 + self.n_frozen] if self.n_frozen else []
