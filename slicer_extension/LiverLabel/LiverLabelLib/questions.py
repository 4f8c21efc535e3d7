"""The yes-no questions about one subject, and what each is read from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One of them."""

    task: str
    """As the server calls it."""
    title: str
    """For people."""
    subject: str
    """In the middle of a sentence: the probability of …"""
    explained: str
    """What a yes means, for the tooltip of the button."""
    yes: str
    """What a reader's yes says."""
    no: str
    """What a reader's no says."""
    isOfFrames: bool = False
    """B-mode pictures alone are read; elastograms and clinical values are not sent."""


FIBROTIC_NASH = Question(
    "fibrotic_nash",
    "Fibrotic NASH",
    "fibrotic NASH",
    "NASH with fibrosis of stage 2 or more",
    "The subject has NASH with fibrosis of stage 2 or more.",
    "The subject has no NASH with fibrosis of stage 2 or more.",
)
FATTY_LIVER = Question(
    "nafld",
    "Fatty liver (NAFLD)",
    "fatty liver",
    "NAFLD, as the answers call it that the model learnt from",
    "The subject has a fatty liver (NAFLD).",
    "The subject has no fatty liver.",
    isOfFrames=True,
)
QUESTIONS = (FIBROTIC_NASH, FATTY_LIVER)
"""In the order they are offered."""
