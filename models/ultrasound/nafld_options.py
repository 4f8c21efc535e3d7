"""What can be asked of a training of the classifier of fatty liver."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnsuitableInputError
from ..learning.training_limits import check_training
from .frames import sides_of

MODELS = ("small", "resnet50", "efficientnet_b0", "efficientnet_v2_s")
"""A network of our own for small frames, and the paper's three."""
MODES = ("default", "paper")
"""What we would defend: patients inside the training part calibrate; and the paper: all are learnt from."""
FREEZE = ("none", "partial", "all")
"""Of a network that starts from ImageNet: everything learns; the last stages (the paper); the logit alone."""
AUGMENT = ("none", "geometric")
"""What is mixed in where no synthetic images are given."""
MAX_MIXING_RATE = 10.0
STEPS = {"small": 300, "paper": 1000}
"""Size -> steps of a training."""
LEARNING_RATES = {"small": 2e-3, "resnet50": 2e-5, "efficientnet_b0": 2e-5, "efficientnet_v2_s": 2e-5}
"""Model -> AdamW's rate: the paper's for its networks; the small one starts from nothing."""


@dataclass(frozen=True)
class NafldOptions:
    """One training.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    model: str = "small"
    """One of :data:`MODELS`."""
    mode: str = "default"
    """"default" or "paper"."""
    size: str = "small"
    """Of :data:`.frames.FRAME_SIZES`."""
    freeze: str | None = None
    """One of :data:`FREEZE`; None: "partial" with ImageNet weights, "none" without."""
    augment: str = "none"
    """"geometric": more crops of the real frames, some turned, are mixed in at the mixing rate."""
    mixing_rate: float = 0.0
    """Images mixed in for each real one: synthetic, or geometric."""
    is_oversampled: bool = False
    """Real frames of the rarer class are drawn as often as those of the other (the paper's supplement)."""
    has_class_weights: bool = False
    """The loss weighs both classes alike instead."""
    steps: int | None = None
    """None: :data:`STEPS`."""
    learning_rate: float | None = None
    """None: :data:`LEARNING_RATES`."""
    batch_size: int = 32
    """Frames a step."""
    seed: int = 0
    """Of the split, the start, the order, the crops, and which images are mixed in."""
    device: str = "cpu"
    """"cpu", "cuda", or "auto" for a GPU if there is one."""
    validation_fraction: float = 0.25
    """Share of the training patients that calibrate; in ``paper`` mode none."""
    max_minutes: float | None = None
    """Stop after so long and keep the checkpoint; None: no limit."""
    imagenet: str | None = None
    """Path or URL of ImageNet weights of the model in torchvision's format; None: from nothing."""
    imagenet_sha256: str | None = None
    """Their digest; needed with ``imagenet``."""

    def __post_init__(self):
        for name, known in (("model", MODELS), ("mode", MODES), ("augment", AUGMENT), ("freeze", (None, *FREEZE))):
            if getattr(self, name) not in known:
                raise UnsuitableInputError(
                    f"The {name} needs to be one of {', '.join(str(one) for one in known if one)}; found "
                    f"{getattr(self, name)!r}."
                )
        sides_of(self.size)
        check_training(self)
        if self.steps is not None and not 1 <= self.steps <= 100_000:
            raise UnsuitableInputError(f"A training needs 1 to 100000 steps; found {self.steps}.")
        if not 0 <= self.mixing_rate <= MAX_MIXING_RATE:
            raise UnsuitableInputError(
                f"The mixing rate needs 0 to {MAX_MIXING_RATE:g} images for each real one; found {self.mixing_rate:g}."
            )
        if self.is_oversampled and self.has_class_weights:
            raise UnsuitableInputError(
                "A training needs one cure for rare classes; found oversampling and class weights, which would be "
                "twice too much. Choose one."
            )
        if self.imagenet is not None and self.model == "small":
            raise UnsuitableInputError(
                "ImageNet weights fit resnet50, efficientnet_b0 and efficientnet_v2_s; found 'small'. Leave them out, "
                "or choose one of these."
            )
        if self.freeze in ("partial", "all") and self.imagenet is None:
            raise UnsuitableInputError(
                "Frozen stages need ImageNet weights; without them they would be frozen noise. Give --imagenet FILE, "
                "or freeze none."
            )

    @property
    def frozen(self) -> str:
        """What is frozen, the default filled in."""
        return self.freeze or ("partial" if self.imagenet else "none")

    @property
    def n_steps(self) -> int:
        """Steps, the default filled in."""
        return self.steps or STEPS[self.size]

    @property
    def rate(self) -> float:
        """Learning rate, the default filled in."""
        return self.learning_rate or LEARNING_RATES[self.model]
