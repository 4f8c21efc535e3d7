"""What can be asked of a training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.learning.device import choose_device

from ..guards import check_name

FIXED = ("epochs", "seed", "validation_fraction", "cases", "steps", "augment", "mixing_rate", "generator_steps")
"""What a training that goes on has to keep: another split would show it its validation cases."""
EXTRA = ("processes", "from_scratch", "steps", "augment", "mixing_rate", "generator_steps")
"""Options that only some trainings know."""
Settle = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the settings that were asked for, gives all of the method's; refuses what the method cannot use."""


@dataclass(frozen=True)
class TrainOptions:
    """One request to train; what is None is left to the method, which also says what range a value may have."""

    epochs: int | None = None
    """Passes over the training cases."""
    max_minutes: float | None = None
    """Time after which it ends with its checkpoint kept, minutes."""
    seed: int | None = None
    """Of the split, the order and the augmentation."""
    device: str | None = None
    """"auto", "cpu" or "cuda"."""
    validation_fraction: float | None = None
    """Share of the patients kept for validation."""
    cases: tuple[str, ...] | None = None
    """Ids of the cases; None: every stored case that can be used."""
    processes: int | None = None
    """Processes that share each batch: one a GPU, or several on the CPU."""
    from_scratch: bool | None = None
    """Begin from nothing rather than from the weights in use."""
    steps: int | None = None
    """Steps of the training, instead of epochs."""
    augment: str | None = None
    """What is mixed into the real images."""
    mixing_rate: float | None = None
    """Images mixed in for each real one."""
    generator_steps: int | None = None
    """Steps of the training of the generator of those images, where one is trained."""
    resume: bool = True
    """Go on from the checkpoint of a run that did not finish, if there is one."""

    @classmethod
    def from_request(cls, request: Any, extra: tuple[str, ...] = ()) -> TrainOptions:
        """Options from a request's JSON.

        Args:
            request: The JSON.
            extra: Which of :data:`EXTRA` this training knows.

        Raises:
            UnsuitableInputError: no JSON object, an unknown key (the known ones are named), or a value of another kind.
        """
        if not isinstance(request, Mapping):
            raise UnsuitableInputError('A training needs a JSON object such as {"epochs": 5}; found other JSON.')
        known = [item.name for item in fields(cls) if item.name not in EXTRA or item.name in extra]
        unknown = sorted(str(key) for key in set(request) - set(known))
        if unknown:
            raise UnsuitableInputError(
                f"A training knows the options {', '.join(known)}; found {', '.join(unknown)[:200]}. Rename or remove."
            )
        values = {key: value for key, value in request.items() if value is not None}
        for key, value in values.items():
            needed, is_right = _KINDS[key]
            if not is_right(value):
                raise UnsuitableInputError(f"The option {key} needs to be {needed}; found {str(value)[:80]!r}.")
        if "cases" in values:
            values["cases"] = tuple(dict.fromkeys(check_name("cases", item) for item in values["cases"]))
        return cls(**values)

    def settled(self, settle: Settle, former: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Every option, JSON-ready: as named here, else as in the run that goes on, else the method's own.

        Args:
            settle: Of the method.
            former: What this gave for the run that goes on; None for a new one.
        Raises:
            UnsuitableInputError: the method cannot use a value, it differs from the former in one of :data:`FIXED`, or
                this machine has no such device.
        """
        named = {key: value for key, value in asdict(self).items() if value is not None and key != "resume"}
        found = {**(former or {}), **named}
        cases = found.pop("cases", None)
        found = {**settle(found), "cases": None if cases is None else list(cases)}
        choose_device(found.get("device") or "auto")
        if former is not None:
            kept = [key for key in FIXED if key in found]
            for key in kept:
                if found[key] != former.get(key):
                    raise UnsuitableInputError(
                        f"A training that goes on keeps its {', '.join(kept)}; {key} was {str(former.get(key))[:80]} "
                        f'and is now {str(found[key])[:80]}. Leave it out, or send "resume": false to begin anew.'
                    )
        return found


def _is_number(value: Any) -> bool:
    # Compared, not converted: JSON's whole numbers may be larger than any float. NaN is in no range.
    is_of_kind = isinstance(value, int | float) and not isinstance(value, bool)
    return is_of_kind and -sys.float_info.max <= value <= sys.float_info.max


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS = {
    "epochs": ("a whole number", _is_whole),
    "max_minutes": ("a number of minutes above 0", lambda value: _is_number(value) and value > 0),
    "seed": ("a whole number from 0 to 4294967295", lambda value: _is_whole(value) and 0 <= value < 2**32),
    "device": ("text such as auto", lambda value: isinstance(value, str)),
    "validation_fraction": ("a number", _is_number),
    "cases": ("a list of case ids, one at least", lambda value: isinstance(value, list | tuple) and len(value) > 0),
    "processes": ("a whole number", _is_whole),
    "from_scratch": ("true or false", lambda value: isinstance(value, bool)),
    "steps": ("a whole number", _is_whole),
    "augment": ("text such as none", lambda value: isinstance(value, str)),
    "mixing_rate": ("a number", _is_number),
    "generator_steps": ("a whole number", _is_whole),
    "resume": ("true or false", lambda value: isinstance(value, bool)),
}
"""Option -> what it needs to be, and whether a value is that."""
