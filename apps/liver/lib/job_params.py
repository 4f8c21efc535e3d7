"""What every job of the worker refuses in the settings of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liver_models.errors import UnsuitableInputError


def refuse_unknown(task: str, params: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse settings that a task does not know.

    Raises:
        UnsuitableInputError: there is one; those that are known are named.
    """
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise UnsuitableInputError(
            f"The task {task} knows the parameters {', '.join(known)}; found {', '.join(unknown)[:200]}. Rename or "
            "remove."
        )
