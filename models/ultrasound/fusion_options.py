"""What can be asked of a model of fibrotic NASH."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnsuitableInputError
from ..learning.training_limits import check_training

MODELS = ("combined", "b_mode_swe", "b_mode", "swe", "clinical", "swe_value")
"""ResHy-Net and the five models it is compared with."""
IMAGES_OF = {"combined": ("b_mode", "swe"), "b_mode_swe": ("b_mode", "swe"), "b_mode": ("b_mode",), "swe": ("swe",)}
"""Model -> kinds of images it reads."""
VALUE_MODELS = ("clinical", "swe_value")
"""Models without images: logistic regressions."""
MODES = ("default", "paper")
"""What we would defend, and the paper as it stands."""
IMAGE_SIZES = {"small": 96, "full": 224}
"""Size of the networks -> rows and columns of their input."""
EPOCHS = {"small": 25, "full": 200}
"""Size -> most epochs."""
PATIENCE = {"small": 8, "full": 30}
"""Size -> epochs without a lower validation loss after which training stops."""
LEARNING_RATES = {"small": 1e-3, "full": 1e-4}
"""Size -> Adam's rate: the paper's for its networks; small ones start from nothing."""


@dataclass(frozen=True)
class FusionOptions:
    """One training.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    model: str = "combined"
    """One of :data:`MODELS`."""
    mode: str = "default"
    """"default" or "paper"."""
    size: str = "small"
    """"small": narrow networks at 96 x 96; "full": two ResNet-18 at 224 x 224, as the paper."""
    epochs: int | None = None
    """Most epochs; None: :data:`EPOCHS`."""
    patience: int | None = None
    """None: :data:`PATIENCE`."""
    learning_rate: float | None = None
    """None: :data:`LEARNING_RATES`."""
    batch_size: int = 8
    """Image pairs a step."""
    seed: int = 0
    """Of the split, the start, the order, the augmentation."""
    device: str = "cpu"
    """"cpu", "cuda", or "auto" for a GPU if there is one."""
    validation_fraction: float = 0.25
    """Share of the training patients that stop and calibrate it."""
    max_minutes: float | None = None
    """Stop after so long and keep the checkpoint; None: no limit."""
    imagenet: str | None = None
    """Path or URL of ImageNet ResNet-18 weights in torchvision's format, for "full"; None: from nothing."""
    imagenet_sha256: str | None = None
    """Their digest; needed with ``imagenet``."""
    n_frozen_stages: int = 0
    """Stages of each ResNet, from the input on, that are not trained; only with ImageNet weights."""

    def __post_init__(self):
        for name, known in (("model", MODELS), ("mode", MODES), ("size", tuple(IMAGE_SIZES))):
            if getattr(self, name) not in known:
                raise UnsuitableInputError(
                    f"The {name} needs to be one of {', '.join(known)}; found {getattr(self, name)!r}."
                )
        check_training(self)
        if self.imagenet is not None and self.size != "full":
            raise UnsuitableInputError(
                "ImageNet weights fit the size 'full' only; found 'small'. Leave them out, or ask for full."
            )
        if self.n_frozen_stages and self.imagenet is None:
            raise UnsuitableInputError(
                "Frozen stages need ImageNet weights; without them they would be frozen noise. Give --imagenet FILE, "
                "or "
                "freeze none."
            )
        if not 0 <= self.n_frozen_stages <= 4:
            raise UnsuitableInputError(f"A ResNet-18 has 4 stages to freeze; found {self.n_frozen_stages}.")

    @property
    def images(self) -> tuple[str, ...]:
        """Kinds of images that are read."""
        return IMAGES_OF.get(self.model, ())

    @property
    def reads_clinical(self) -> bool:
        """Whether clinical values are read."""
        return self.model in ("combined", "clinical")
