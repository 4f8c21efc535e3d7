"""The route that sends the images of a stored case, to be shown and outlined before anything is computed.

They are read in the server, not in the worker: a reader opens a case while another one is computed. One case at a time
is read, so that memory holds the echoes of one study; few requests wait, each in a thread.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI
from liver_models.errors import UnsuitableInputError
from liver_models.reports.notice import RESEARCH_NOTICE
from liver_models.segmentation.case_images import CaseImage, CaseImages, read_case_images
from monailabel.interfaces.utils.app import app_instance

from .failures import ServerBusyError
from .replies import json_part, map_part, multipart_response
from .uploads import without_folder


def add_image_routes(app: FastAPI, max_waiting: int) -> None:
    """Serve it; of more requests than may wait the last are refused."""
    places, turn = threading.BoundedSemaphore(max_waiting + 1), threading.Lock()

    @app.get("/liver/cases/{id}/images", tags=["LiverLabel"])
    def images(id: str):
        """The images of a case, with what is known of them and of the case."""
        source = app_instance().datastore().case_source(id)
        if not places.acquire(blocking=False):
            raise ServerBusyError(
                f"The server reads the images of one case at a time, and {max_waiting} already wait. Try again in a "
                "while."
            )
        try:
            with turn:
                found = read_case_images(source)
                volumes = [map_part(image.name, image.nifti()) for image in found.images]
        except UnsuitableInputError as error:
            raise UnsuitableInputError(without_folder(str(error), source.parent)) from error
        finally:
            places.release()
        return multipart_response([json_part("reply", _reply(id, found)), *volumes])


def _reply(case_id: str, found: CaseImages) -> dict[str, Any]:
    return {
        "id": case_id,
        "kind": found.kind,
        "is_simulated": found.is_simulated,
        "notice": RESEARCH_NOTICE,
        "species": found.species,
        "images": [_image(image) for image in found.images],
        "echo_times_s": found.echo_times_s,
        "field_strength_t": found.field_strength_t,
        "clinical": [asdict(value) for value in found.clinical],
    }


def _image(image: CaseImage) -> dict[str, Any]:
    scale = image.scale and {"low": image.scale.low, "high": image.scale.high, "unit": image.scale.unit}
    kept = ("name", "role", "unit", "pixel_spacing_mm", "box")
    return {**{name: getattr(image, name) for name in kept}, "scale": scale}
