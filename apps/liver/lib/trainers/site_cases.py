"""The stored cases that a training can learn from, read one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from liver_models.errors import UnsuitableInputError

from .job import Progress

T = TypeVar("T")


def usable(
    sources: tuple[Path, ...],
    is_every_case_needed: bool,
    progress: Progress,
    read: Callable[[Path], Iterable[T]],
    what: str,
    advice: str,
) -> list[T]:
    """What is read of the cases.

    Of all stored cases, those that cannot be used are left out, and so are simulated ones where measured ones exist.
    Of named cases each is needed.

    Args:
        sources: The cases.
        is_every_case_needed: True when they were named.
        progress: Told how many were read.
        read: Of one case, what there is to learn from, each with ``is_simulated``; it raises for a case of no use.
        what: That is needed, for the refusal: "a stored case of …".
        advice: What to do when there is none.
    Raises:
        UnsuitableInputError: a named case cannot be used, or there is none.
    """
    found: list[Any] = []
    reason = "there is none."
    for n_read, source in enumerate(sources):
        progress({"stage": "reading", "epoch": n_read, "n_epochs": len(sources)})
        try:
            found += read(source)
        except UnsuitableInputError as error:
            if is_every_case_needed:
                raise
            reason = str(error)
    if not is_every_case_needed and any(not item.is_simulated for item in found):
        found = [item for item in found if not item.is_simulated]
    if not found:
        raise UnsuitableInputError(
            f"Training needs {what}; of {len(sources)} stored none can be used. The last: {reason} {advice}"
        )
    return found
