"""A reply of several parts: one JSON and the maps, each a file of its own.

The form is multipart/form-data (RFC 7578): the one MONAI Label replies with, and one that the email parser of Python's
standard library reads. Each part says its length, so that a client may also cut the body without searching it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from fastapi.responses import StreamingResponse

from .errors import without_nan

NIFTI_TYPE = "application/gzip"


@dataclass(frozen=True)
class Part:
    """One part of a reply."""

    name: str
    """Field name."""
    content: bytes
    """What is sent, untouched."""
    content_type: str
    """Media type."""
    file_name: str | None = None
    """Name under which a client may save it; None for a part that is no file."""

    def header(self) -> bytes:
        """Everything between the boundary and the content."""
        file_name = f'; filename="{self.file_name}"' if self.file_name else ""
        return (
            f'Content-Disposition: form-data; name="{self.name}"{file_name}\r\nContent-Type: {self.content_type}\r\n'
            f"Content-Length: {len(self.content)}\r\n\r\n"
        ).encode()


def json_part(name: str, value: dict) -> Part:
    """A part that holds JSON; NaN becomes null."""
    text = json.dumps(without_nan(value), ensure_ascii=False, allow_nan=False)
    return Part(name, text.encode(), "application/json")


def map_part(name: str, content: bytes, field: str | None = None) -> Part:
    """A part that holds one map as compressed NIfTI; ``field`` when it is not sent under the map's own name."""
    return Part(field or name, content, NIFTI_TYPE, f"{name}.nii.gz")


def multipart_response(parts: Iterable[Part]) -> StreamingResponse:
    """All parts in order, sent without being copied together."""
    parts = list(parts)
    boundary = "liverlabel-" + hashlib.sha256(b"".join(part.header() for part in parts)).hexdigest()[:40]
    pieces: list[bytes] = []
    for part in parts:
        pieces += [f"--{boundary}\r\n".encode() + part.header(), part.content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    length = sum(len(piece) for piece in pieces)
    return StreamingResponse(
        _sent_async(pieces),
        media_type=f"multipart/form-data; boundary={boundary}",
        headers={"Content-Length": str(length)},
    )


async def _sent_async(pieces: list[bytes]):
    for piece in pieces:
        yield piece
