"""Routes about labels and their readers: what is stored, who disagrees, and reading a case again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import FastAPI
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type

from .datastore import FINAL
from .failures import UnknownNameError


def add_label_routes(app: FastAPI) -> None:
    """Serve them."""

    @app.get("/liver/labels/{id}", tags=["LiverLabel"])
    def labels(id: str):
        """What is stored with a case: regions, maps and answers."""
        listed = [
            {
                "tag": entry.tag,
                "kind": entry.kind,
                "reader": entry.reader or None,
                "time": datetime.fromtimestamp(entry.ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "sha256": entry.sha256,
            }
            for entry in app_instance().datastore().labels_of(id)
        ]
        return {"id": id, "labels": listed}

    @app.get("/liver/disagreements", tags=["LiverLabel"])
    def disagreements(tag: str = FINAL):
        """The cases whose readers differ."""
        return {"tag": tag, "disagreements": app_instance().datastore().disagreements(tag)}

    @app.post("/liver/cases/{id}/reopen", tags=["LiverLabel"])
    def reopen(id: str, tag: str = FINAL):
        """Set the labels of a case aside, so that it is offered to readers again."""
        return {"id": id, "tag": tag, "former": app_instance().datastore().reopen(id, tag)}

    @app.get("/datastore/label", tags=["MONAI Label"])
    def label_file(label: str, tag: str, kind: Literal["region", "answer"] | None = None):
        """The file of a region, or else of the answer; with ``kind`` that of the one asked for."""
        path = app_instance().datastore().label_file(label, tag, kind)
        if path is None:
            raise UnknownNameError(
                f"The case {label!r} has no {kind or 'label'} under the tag {tag!r} on this server. GET /liver/cases "
                "lists the cases and their labels."
            )
        return FileResponse(path, media_type=get_mime_type(str(path)), filename=path.name)
