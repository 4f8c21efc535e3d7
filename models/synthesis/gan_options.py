"""What can be asked of the stacked GAN.

Stated: the six variants, one GAN a class, binary cross-entropy, Adam at 2e-4 with betas 0.5 and 0.999, batches of 16,
images of 256 x 256. Silent, and ours: the sides of the first stage and of self-attention, widths, how long to train,
differentiable augmentation, the averaged generator, and that Stage II learns what is to be added to the first image;
``paper`` mode has none of the last three.

Source: Che H et al., 10.1007/978-3-030-87583-1_18, sections 2 and 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnsuitableInputError
from ..learning.device import DEVICES
from ..ultrasound.frames import FRAME_SIZES

VARIANTS = tuple(f"{name}{end}" for name in ("dcgan", "dcgan_sn", "dcgan_sn_sa") for end in ("", "_stacked"))
"""DCGAN; with spectral normalisation; with self-attention too; each alone, making full images directly, and stacked."""
MODES = ("default", "paper")
"""What we would defend, and the paper as it stands."""
STAGE_ONE_SIDES = {"small": (32,), "paper": (64, 128)}
"""Size -> sides that the first stage's images may have; the first is the default."""
ATTENTION_SIDES = {"small": 16, "paper": 32}
"""Size -> side of the maps that self-attention follows."""
WIDTHS = {"small": 16, "paper": 64}
"""Size -> channels of the narrowest maps; 64 is DCGAN's."""
STEPS = {"small": (800, 400), "paper": (20_000, 20_000)}
"""Size -> most steps of a stage that makes images from noise, and of one that refines them."""
STEPS_PER_ROUND = {"small": 100, "paper": 500}
"""Size -> steps between two judgements, each with a checkpoint."""
PATIENCE = {"small": 4, "paper": 8}
"""Size -> rounds without a lower kernel distance after which a stage stops."""
LEARNING_RATES = {"small": (1e-3, 5e-4), "paper": (2e-4, 2e-4)}
"""Size -> Adam's rate in either stage: the paper's for its networks; small ones have few steps."""
EMA_DECAYS = {"small": 0.98, "paper": 0.999}
"""Size -> share that the averaged generator keeps at each step."""
MOST = {"steps": 1_000_000, "batch_size": 1024, "width": 256, "patience": 10_000, "steps_per_round": 100_000}
"""Whole-number option -> the most it may be. None stands for the size's own."""
LEAST = {"batch_size": 2}
"""Option -> the least it may be, where that is not 1: batch normalisation needs two images."""


@dataclass(frozen=True)
class GanOptions:
    """One training, of both classes.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    variant: str = "dcgan_stacked"
    """One of :data:`VARIANTS`."""
    size: str = "small"
    """"small": images of 64 x 64 from first ones of 32 x 32; "paper": 256 x 256 from 64 x 64."""
    mode: str = "default"
    """"default" or "paper"."""
    stage_one_side: int | None = None
    """Rows, and columns, of the first stage's images; None: the first of :data:`STAGE_ONE_SIDES`."""
    steps: int | None = None
    """Most steps of each stage; None: :data:`STEPS`."""
    steps_per_round: int | None = None
    """Steps between two judgements; None: :data:`STEPS_PER_ROUND`."""
    patience: int | None = None
    """Rounds without a lower kernel distance; None: :data:`PATIENCE`."""
    width: int | None = None
    """Channels of the narrowest maps, a multiple of 8; None: :data:`WIDTHS`."""
    batch_size: int = 16
    """Real, and generated, images a step."""
    learning_rate: float | None = None
    """Adam's, in both stages; None: :data:`LEARNING_RATES`."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay of both moments."""
    diff_augment: bool | None = None
    """Change what the discriminator sees; None: yes by default, no in paper mode."""
    ema: bool | None = None
    """Keep the averaged generator; None: yes by default, no in paper mode."""
    seed: int = 0
    """Of the start, the order, the noise and the changes."""
    device: str = "cpu"
    """"cpu", "cuda", or "auto" for a GPU if there is one."""
    max_minutes: float | None = None
    """Stop after so long and keep the checkpoint; None: no limit."""

    def __post_init__(self):
        for name, known in (
            ("variant", VARIANTS),
            ("size", tuple(STEPS)),
            ("mode", MODES),
            ("device", DEVICES),
            ("stage_one_side", (None, *STAGE_ONE_SIDES.get(self.size, ()))),
        ):
            if getattr(self, name) not in known:
                words = ", ".join(str(one) for one in known if one is not None)
                raise UnsuitableInputError(f"The {name} needs to be one of {words}; found {getattr(self, name)!r}.")
        for name, most in MOST.items():
            value, least = getattr(self, name), LEAST.get(name, 1)
            if value is not None and not least <= value <= most:
                raise UnsuitableInputError(f"A GAN needs {name} from {least} to {most}; found {value}.")
        if self.width is not None and self.width % 8:
            raise UnsuitableInputError(f"A GAN needs a width that is a multiple of 8; found {self.width}.")
        if self.learning_rate is not None and not 0 < self.learning_rate <= 1:
            raise UnsuitableInputError(f"The learning rate needs to be above 0, to 1; found {self.learning_rate:g}.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UnsuitableInputError(f"Adam needs two betas from 0 to below 1; found {self.betas}.")
        if self.seed < 0:
            raise UnsuitableInputError(f"A seed needs to be 0 or above; found {self.seed}.")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise UnsuitableInputError(f"The minutes of a training need to be above 0; found {self.max_minutes:g}.")

    @property
    def side(self) -> int:
        """Rows, and columns, of the images that are made."""
        return FRAME_SIZES[self.size][1]

    @property
    def is_stacked(self) -> bool:
        """Whether a second stage refines a first one's images."""
        return self.variant.endswith("_stacked")

    @property
    def is_spectral(self) -> bool:
        """Whether every convolution is normalised."""
        return "_sn" in self.variant

    @property
    def attention_side(self) -> int | None:
        """Side of the maps that self-attention follows; None: there is none."""
        return ATTENTION_SIDES[self.size] if "_sa" in self.variant else None

    @property
    def stages(self) -> tuple[int, ...]:
        """Side of each stage's images, in the order they are trained."""
        first = self.stage_one_side or STAGE_ONE_SIDES[self.size][0]
        return (first, self.side) if self.is_stacked else (self.side,)

    @property
    def uses_changes(self) -> bool:
        """Whether real and generated images are changed before the discriminator."""
        return self.mode == "default" if self.diff_augment is None else self.diff_augment

    @property
    def uses_ema(self) -> bool:
        """Whether the averaged generator is kept."""
        return self.mode == "default" if self.ema is None else self.ema

    def chosen(self, name: str):
        """The value of an option, or the size's own where it is None."""
        tables = {"width": WIDTHS, "steps_per_round": STEPS_PER_ROUND, "patience": PATIENCE}
        value = getattr(self, name)
        return tables[name][self.size] if value is None else value

    def rate_of(self, stage: int) -> float:
        """Adam's rate in a stage."""
        return LEARNING_RATES[self.size][stage] if self.learning_rate is None else self.learning_rate

    def steps_of(self, stage: int) -> int:
        """Most steps of a stage."""
        return self.steps or STEPS[self.size][stage]

    def rounds_of(self, stage: int) -> int:
        """Most rounds of a stage."""
        return -(-self.steps_of(stage) // self.chosen("steps_per_round"))

    def steps_in(self, stage: int, number: int) -> int:
        """Steps of a round; the last one may have fewer."""
        per_round = self.chosen("steps_per_round")
        return min(per_round, self.steps_of(stage) - number * per_round)
