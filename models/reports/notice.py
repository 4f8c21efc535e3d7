"""What stands at the head of every result."""

from __future__ import annotations

from typing import Any

from .. import __version__

RESEARCH_NOTICE = "Research tool, not a medical device. Not for diagnosis or treatment decisions."
"""Stands in every result."""


def result_head(schema: str) -> dict[str, Any]:
    """Schema, notice and library, JSON-ready.

    Args:
        schema: Name and version of the result's form.
    """
    return {
        "schema": schema,
        "notice": RESEARCH_NOTICE,
        "library": {"name": "liverlabel", "version": __version__},
    }
