"""What every training refuses in its options."""

from __future__ import annotations

from typing import Any

from ..errors import UnsuitableInputError
from .device import DEVICES

MOST = {"epochs": 10_000, "patience": 10_000, "batch_size": 1024, "min_steps": 1000, "processes": 64}
"""Whole-number option -> the most it may be; 1 is the least. None stands for the method's own."""


def check_training(options: Any) -> None:
    """Refuse options out of range: device, validation_fraction, max_minutes, and of seed, learning_rate and
    :data:`MOST` those there.

    Raises:
        UnsuitableInputError: the first that is, with its range.
    """
    if options.device not in DEVICES:
        raise UnsuitableInputError(f"The device needs to be one of {', '.join(DEVICES)}; found {options.device!r}.")
    for name, most in MOST.items():
        value = getattr(options, name, None)
        if value is not None and not 1 <= value <= most:
            raise UnsuitableInputError(f"A training needs {name} from 1 to {most}; found {value}.")
    if getattr(options, "seed", 0) < 0:
        raise UnsuitableInputError(f"A seed needs to be 0 or above; found {options.seed}.")
    rate = getattr(options, "learning_rate", None)
    if rate is not None and not 0 < rate <= 1:
        raise UnsuitableInputError(f"The learning rate needs to be above 0, to 1; found {rate:g}.")
    if not 0.1 <= options.validation_fraction <= 0.5:
        raise UnsuitableInputError(
            f"The share of validation patients needs to be 0.1 to 0.5; found {options.validation_fraction:g}."
        )
    if options.max_minutes is not None and not options.max_minutes > 0:
        raise UnsuitableInputError(f"The minutes of a training need to be above 0; found {options.max_minutes:g}.")
