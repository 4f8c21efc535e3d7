"""The sentence that stands in every result."""

RESEARCH_NOTICE = "Research tool, not a medical device. Not for diagnosis or treatment decisions."
"""Stands in every result."""
