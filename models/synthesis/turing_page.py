"""The offline page of a reader study: one image at a time, answers kept in the browser, a file of them at the end."""

from __future__ import annotations

import base64
import json
from html import escape
from importlib import resources

import numpy as np

from .. import __version__
from ..io.synthetic_set import picture_bytes
from ..reports.notice import RESEARCH_NOTICE
from ..reports.page import page_html
from .turing import SCHEMA_VERSION

ANSWERS_SCHEMA = "liverlabel.turing_answers"
TITLE = "Real or synthetic?"


def turing_page(images: np.ndarray, study: str, is_simulated: bool) -> str:
    """One page that needs no other file and no network.

    It holds pixels only: each image is encoded anew in one form, without names, patients, sources, answers or counts
    of either kind.

    Args:
        images: In the order shown, shape (n, side, side), uint8.
        study: Id that the answers carry.
        is_simulated: Whether to say that no image is a patient's.
    Returns:
        HTML; the same images give the same text.
    """
    uris = ["data:image/png;base64," + base64.b64encode(picture_bytes(one)).decode("ascii") for one in images]
    content = json.dumps({"schema": ANSWERS_SCHEMA, "schema_version": SCHEMA_VERSION, "study": study, "images": uris})
    folder = resources.files(__package__).joinpath("resources")
    body = folder.joinpath("turing.html").read_text("utf-8")
    style = folder.joinpath("turing.css").read_text("utf-8")
    script = folder.joinpath("turing.js").read_text("utf-8")
    parts = [
        f"<style>{style}</style>",
        '<div class="banner simulated">SIMULATED DATA · no image here is of a patient</div>' if is_simulated else "",
        body.replace("N_IMAGES", str(len(images))),
        f'<p class="notice">{escape(RESEARCH_NOTICE)} LiverLabel {escape(__version__)}, study {escape(study)}. The '
        "page works without a network and sends nothing; answers stay in this browser until you save them.</p>",
        f'<script type="application/json" id="study">{content}</script>',
        f"<script>{script}</script>",
    ]
    return page_html(TITLE, parts, ("report.css",))
