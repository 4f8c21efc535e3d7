"""What can be asked of a network that outlines the liver."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnsuitableInputError
from ..learning.training_limits import check_training

ARCHITECTURE = "liver_roi"
"""Name on the card of the weights: one network a kind of image, in one file."""
KINDS = ("ultrasound", "mri")
"""Kinds of images, each with a network of its own."""
SIZE = 128
"""Rows and columns that a network reads."""
CHANNELS = (16, 32, 64, 128, 160)
"""Feature maps at each level of the U-Net."""


@dataclass(frozen=True)
class RegionOptions:
    """One training.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    epochs: int = 40
    """Most epochs, each of at least :attr:`min_steps` steps."""
    patience: int = 12
    """Epochs without a higher validation Dice after which training stops."""
    learning_rate: float = 1e-3
    """AdamW's, which falls to 0 as a cosine over all epochs."""
    batch_size: int = 8
    """Images a step, over all processes together."""
    min_steps: int = 6
    """Steps an epoch at least: few images are seen several times, changed differently."""
    seed: int = 0
    """Of the split, the start, the order, the augmentation and the simulated clicks."""
    device: str = "cpu"
    """"cpu", "cuda", or "auto" for a GPU if there is one."""
    validation_fraction: float = 0.2
    """Share of the patients that stop the training and calibrate its quality estimate."""
    max_minutes: float | None = None
    """Stop after so long and keep the checkpoint; None: no limit."""
    is_warm_start: bool = True
    """Go on from the weights given, or from nothing."""
    processes: int = 1
    """Processes that share each batch: one a GPU, or several on the CPU."""

    def __post_init__(self):
        check_training(self)
        if self.batch_size % self.processes:
            raise UnsuitableInputError(
                f"A batch is shared evenly: batch_size needs to be a multiple of processes; found {self.batch_size} "
                f"and {self.processes}."
            )
