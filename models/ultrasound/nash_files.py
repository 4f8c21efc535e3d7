"""An answer on fibrotic NASH as JSON and as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reports.notice import result_head
from . import answer_maps
from .fusion import NashAnswer
from .subject import UltrasoundSubject

RESULT_SCHEMA = "liverlabel.fibrotic-nash.v1"
"""Name and version of ``result.json``."""


def result_json(subject: UltrasoundSubject, answer: NashAnswer) -> dict[str, Any]:
    """What ``result.json`` and the server's reply hold."""
    return {
        **result_head(RESULT_SCHEMA),
        "case_id": subject.case_id,
        "is_simulated": subject.is_simulated,
        **answer.to_json(),
    }


def shown_image(subject: UltrasoundSubject, answer: NashAnswer) -> np.ndarray:
    """The B-mode image that the map belongs to, shape (rows, columns), uint8."""
    shape = answer.grad_cam.shape
    return next(pair.b_mode for pair in subject.pairs if pair.b_mode is not None and pair.b_mode.shape == shape)


def overlay_png(subject: UltrasoundSubject, answer: NashAnswer) -> bytes:
    """The map over its image, with a colour bar from 0 to 1."""
    image, is_simulated = shown_image(subject, answer), subject.is_simulated
    return answer_maps.overlay_png(image, answer.grad_cam, "Grad-CAM", is_signed=False, is_simulated=is_simulated)
