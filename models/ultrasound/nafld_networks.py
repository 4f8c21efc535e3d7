"""Networks that say from a B-mode frame whether a liver is fatty: ResNet-50, EfficientNet-B0 and V2-S, and a small one.

The backbone of each has torchvision's names and shapes, so that a file of torchvision's ImageNet weights fills it; in
place of its classifier there is one logit.

| | maps of a frame | trained parameters of the backbone | stages behind the stem |
|---|---|---|---|
| ``small`` | 64 channels, side/16 | 0.1 million | 4 |
| ``resnet50`` | 2048, side/32 | 23.5 million | 4 |
| ``efficientnet_b0`` | 1280, side/32 | 4.0 million | 7, and a last convolution |
| ``efficientnet_v2_s`` | 1280, side/32 | 20.2 million | 6, and a last convolution |

Source: He K et al., CVPR 2016, 10.1109/CVPR.2016.90; Tan M, Le QV, ICML 2019, 10.48550/arXiv.1905.11946, and ICML
2021, 10.48550/arXiv.2104.00298; what is frozen: Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..learning.foreign_weights import fill, read_state
from .efficientnet import efficientnet_b0, efficientnet_v2_s
from .fusion_networks import SMALL_CHANNELS, SmallBranch

FROZEN_STAGES = {"resnet50": 3, "efficientnet_b0": 5, "efficientnet_v2_s": 5}
"""Stages behind the stem that the paper does not train; the stem is not trained with them."""
DROPOUT = {"small": 0.2, "resnet50": 0.0, "efficientnet_b0": 0.2, "efficientnet_v2_s": 0.2}
"""Before the logit, as the networks have it."""
N_CHANNELS = {"small": SMALL_CHANNELS[-1], "resnet50": 2048, "efficientnet_b0": 1280, "efficientnet_v2_s": 1280}
"""Of the last maps."""
WITHOUT_CLASSIFIER = {"resnet50": ("fc.",), "efficientnet_b0": ("classifier.",), "efficientnet_v2_s": ("classifier.",)}
"""Names in a torchvision file that the backbone does not have."""


class NafldNetwork(nn.Module):
    """One backbone and one logit.

    Args:
        model: One of :data:`N_CHANNELS`.
    """

    def __init__(self, model: str):
        super().__init__()
        self.model, self.n_frozen = model, 0
        self.backbone = _BACKBONES[model]()
        self.dropout, self.head = nn.Dropout(DROPOUT[model]), nn.Linear(N_CHANNELS[model], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Log-odds of fatty liver.

        Args:
            x: Grey levels scaled to [-1, 1], shape (n, 1, side, side).
        Returns:
            Shape (n,).
        """
        return self.decide(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Last maps, shape (n, n_channels, rows, columns); argument as :meth:`forward`."""
        if self.model == "small":
            return self.backbone(x)
        x = x.expand(-1, 3, -1, -1)
        if self.model != "resnet50":
            return self.backbone.features(x)
        net = self.backbone
        x = net.maxpool(net.act(net.bn1(net.conv1(x))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    def decide(self, maps: Tensor) -> Tensor:
        """Log-odds from maps of :meth:`encode`."""
        return self.head(self.dropout(maps.mean(dim=(2, 3))))[:, 0]

    def freeze(self, which: str) -> None:
        """Stop training a part of the backbone; its statistics stay as they are, too.

        Args:
            which: "none", "partial": stem and the stages of :data:`FROZEN_STAGES`, or "all": only the logit learns.
        """
        n_stages = len(self._stages())
        self.n_frozen = {"none": 0, "partial": 1 + FROZEN_STAGES.get(self.model, 0), "all": n_stages}[which]
        for stage in self._stages()[: self.n_frozen]:
            for part in stage:
                part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> NafldNetwork:
        """As in torch; frozen parts stay in evaluation, else their statistics would follow the new images."""
        super().train(mode)
        for stage in self._stages()[: self.n_frozen]:
            for part in stage:
                part.eval()
        return self

    def _stages(self) -> Sequence[Sequence[nn.Module]]:
        """Parts of the backbone from the input on, the stem first."""
        net = self.backbone
        if self.model == "small":
            return [(stage,) for stage in net.stages]
        if self.model == "resnet50":
            return [(net.conv1, net.bn1), (net.layer1,), (net.layer2,), (net.layer3,), (net.layer4,)]
        return [(part,) for part in net.features]


def load_imagenet(network: NafldNetwork, source: str, sha256: str | None) -> None:
    """Fill the backbone with a file of torchvision's ImageNet weights; every tensor has to be there and fit.

    Args:
        network: Filled in place; its logit stays.
        source: A path, or an ``https://`` or ``file://`` address.
        sha256: Hex digest of the file.
    Raises:
        UnsuitableInputError: as :func:`~..learning.foreign_weights.read_state` and its ``fill``.
    """
    state = read_state(source, sha256, "ImageNet weights", "Give --imagenet-sha256.")
    whose = f"torchvision's {network.model}"
    fill(network.backbone, state, "ImageNet weights", whose, without=WITHOUT_CLASSIFIER[network.model])


def _resnet50() -> nn.Module:
    """MONAI's in torchvision's form."""
    from monai.networks.nets import resnet50

    net = resnet50(spatial_dims=2, n_input_channels=3, num_classes=1, conv1_t_stride=2, bias_downsample=False)
    net.fc = nn.Identity()
    return net


_BACKBONES = {
    "small": lambda: SmallBranch(1),
    "resnet50": _resnet50,
    "efficientnet_b0": efficientnet_b0,
    "efficientnet_v2_s": efficientnet_v2_s,
}
