"""An answer on fatty liver as JSON and as pictures."""

from __future__ import annotations

from typing import Any

from ..reports.notice import result_head
from . import answer_maps
from .nafld import NafldAnswer
from .subject import UltrasoundSubject

RESULT_SCHEMA = "liverlabel.nafld.v1"
"""Name and version of ``result.json``."""


def result_json(subject: UltrasoundSubject, answer: NafldAnswer) -> dict[str, Any]:
    """What ``result.json`` and the server's reply hold."""
    return {
        **result_head(RESULT_SCHEMA),
        "case_id": subject.case_id,
        "is_simulated": subject.is_simulated,
        **answer.to_json(),
    }


def overlays(subject: UltrasoundSubject, answer: NafldAnswer) -> dict[str, bytes]:
    """The maps over their images: file name -> PNG; empty when none were asked for."""
    images = [pair.b_mode for pair in subject.pairs if pair.b_mode is not None]
    found = {}
    for number, (image, one) in enumerate(zip(images, answer.frames, strict=True), start=1):
        if one.grad_cam is not None:
            maps = {"grad_cam": ("Grad-CAM", one.grad_cam), "gradient_shap": ("Gradient SHAP", one.gradient_shap)}
            for key, (name, shown) in maps.items():
                how = {"is_signed": key == "gradient_shap", "is_simulated": subject.is_simulated}
                found[f"{key}_{number}.png"] = answer_maps.overlay_png(image, shown, name, **how)
    return found
