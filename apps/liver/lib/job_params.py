"""What every job of the worker refuses in the settings of a request."""

from __future__ import annotations

import sys
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


def threshold_in(params: Mapping[str, Any]) -> float:
    """The probability from which a classifier says yes: ``threshold``, else 0.5; its range is the method's to check.

    Raises:
        UnsuitableInputError: no number.
    """
    threshold = params.get("threshold", 0.5)
    # JSON's whole numbers may be larger than any float.
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not is_number or abs(threshold) > sys.float_info.max:
        raise UnsuitableInputError(
            f"The threshold needs to be a number between 0 and 1; found {str(threshold)[:40]!r}."
        )
    return float(threshold)
