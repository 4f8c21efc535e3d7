"""What the experiment on the stacked GAN compares, and what its paper reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import UnsuitableInputError
from ...learning.device import DEVICES
from ...ultrasound.frames import FRAME_SIZES
from ..gan_options import VARIANTS as GAN_VARIANTS
from ..gan_published import REAL_ONLY, VARIANT_NAMES
from .options import MODELS, SMALL_GENERATOR

ORIGINAL = REAL_ONLY
"""Training on real images only."""
GAN_LABELS = {ORIGINAL: "original images", **VARIANT_NAMES}
"""Variant -> its name in headings."""
TEST_SHARE = 7 / 17
"""Of the healthy patients that is tested, with as many fatty ones: 7 and 7 of the paper's 17 and 38."""
_REPEATS = {"small": 2, "paper": 5}
_IMAGES = {"small": 120, "paper": 400}


@dataclass(frozen=True)
class GanExperimentOptions:
    """What is computed.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    size: str = "small"
    """Of images and networks: "small" or "paper"."""
    gans: tuple[str, ...] = GAN_VARIANTS
    """Of :data:`..gan_options.VARIANTS`, in the order of the tables."""
    model: str | None = None
    """Classifier of Table 2; None: small, or EfficientNet-B0 in the size "paper"."""
    n_repeats: int | None = None
    """Random splits; None: 2, or the paper's 5."""
    n_judged: int | None = None
    """Images of each class that Table 1 judges; None: 120, or the paper's 400."""
    seed: int = 0
    """Of splits, generators, trainings, resampling and simulated patients."""
    simulated: tuple[int, int, int] = (17, 38, 10)
    """As :attr:`.options.NafldExperimentOptions.simulated`."""
    generator: dict[str, Any] = field(default_factory=dict)
    """Options of the GANs' training that differ from their own."""
    classifier: dict[str, Any] = field(default_factory=dict)
    """Options of the classifiers that differ from their own."""
    n_resamples: int = 2000
    """Of patients, for intervals."""
    device: str = "cpu"
    """"cpu", "cuda" or "auto"."""

    def __post_init__(self):
        unknown = [one for one in self.gans if one not in GAN_VARIANTS]
        if unknown or not self.gans or len(set(self.gans)) < len(self.gans):
            raise UnsuitableInputError(
                f"An experiment needs GANs among {', '.join(GAN_VARIANTS)}, each once; found "
                f"{', '.join(self.gans) or 'none'}. Correct --gans."
            )
        if self.size not in FRAME_SIZES or self.device not in DEVICES or self.network not in MODELS:
            raise UnsuitableInputError(
                f"An experiment needs a size of {', '.join(FRAME_SIZES)}, a device of {', '.join(DEVICES)} and a model "
                f"of {', '.join(MODELS)}; found {self.size!r}, {self.device!r} and {self.network!r}."
            )
        if not 1 <= self.repeats <= 100 or not 2 <= self.judged <= 100_000 or self.seed < 0 or self.n_resamples < 1:
            raise UnsuitableInputError(
                "An experiment needs 1 to 100 repeats, 2 to 100000 judged images of each class, a seed of 0 or above "
                f"and at least one resample; found {self.repeats}, {self.judged}, {self.seed}, {self.n_resamples}."
            )

    @property
    def generator_options(self) -> dict[str, Any]:
        """Options of every GAN's training besides its variant."""
        return {**(SMALL_GENERATOR["stacked_gan"] if self.size == "small" else {}), **self.generator}

    @property
    def network(self) -> str:
        """The classifier."""
        return self.model or {"small": "small", "paper": "efficientnet_b0"}.get(self.size, "small")

    @property
    def repeats(self) -> int:
        """Random splits."""
        return _REPEATS.get(self.size, 1) if self.n_repeats is None else self.n_repeats

    @property
    def judged(self) -> int:
        """Images of each class that are judged."""
        return _IMAGES.get(self.size, 2) if self.n_judged is None else self.n_judged
