"""An answer on fibrotic NASH as JSON and as a picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ..reports.notice import result_head
from .fusion import NashAnswer
from .subject import UltrasoundSubject

RESULT_SCHEMA = "liverlabel.fibrotic-nash.v1"
"""Name and version of ``result.json``."""
OVERLAY = 0.5
"""Opacity of the map where it is 1."""


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
    from matplotlib import colormaps
    from PIL import Image

    grey = np.repeat(shown_image(subject, answer)[..., None], 3, axis=2).astype(float)
    colours = colormaps["inferno"](answer.grad_cam)[..., :3] * 255
    opacity = OVERLAY * answer.grad_cam[..., None]
    picture = (1 - opacity) * grey + opacity * colours
    height = picture.shape[0]
    bar = np.zeros((height, max(12, height // 20), 3))
    bar[:, bar.shape[1] // 2 :] = colormaps["inferno"](np.linspace(1, 0, height))[:, None, :3] * 255
    buffer = io.BytesIO()
    Image.fromarray(np.round(np.concatenate([picture, bar], axis=1)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
