"""The answer of a task: JSON and maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CLIENT_KEYS = frozenset(("client_id", "description", "device", "model", "result_dtype", "result_extension", "logging"))
"""What MONAI Label's clients add to every request; it says nothing about the task."""


@dataclass(frozen=True)
class MapSet:
    """The answer to one request."""

    reply: dict[str, Any]
    """What is sent as JSON; its ``result`` is what ``result.json`` holds."""
    maps: dict[str, bytes]
    """Compressed NIfTI of each map, by name, in the order they are sent; a task may have none to give."""
