"""Forms as ``multipart/form-data`` (RFC 7578): built for uploads, cut from replies without copying their contents."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from .errors import UnsuitableInputError, UnusableReplyError

_PIECE_BYTES = 1 << 17
_MAX_HEAD_BYTES = 8192
_AGAIN = "Try again; if it stays so, the server or a proxy before it is at fault."


@dataclass(frozen=True)
class FormFile:
    """A file to be sent."""

    field: str
    """Name of the field."""
    file_name: str
    """Name of the file, without folders."""
    content: bytes | Path
    """What it holds, or the file to read while it is sent."""

    @property
    def n_bytes(self) -> int:
        """Its length.

        Raises:
            UnsuitableInputError: there is no such file.
        """
        if isinstance(self.content, bytes):
            return len(self.content)
        try:
            return self.content.stat().st_size
        except OSError as error:
            raise UnsuitableInputError(
                f"The file '{self.file_name}' cannot be read: {error.strerror}. Choose it again."
            ) from error

    def pieces(self) -> Iterator[bytes]:
        """Its content in pieces that are sent one by one.

        Raises:
            UnsuitableInputError: the file cannot be read, or changed while it was sent.
        """
        if isinstance(self.content, bytes):
            for start in range(0, len(self.content), _PIECE_BYTES):
                yield self.content[start : start + _PIECE_BYTES]
            return
        left = self.n_bytes
        try:
            with self.content.open("rb") as opened:
                while left and (piece := opened.read(min(_PIECE_BYTES, left))):
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise UnsuitableInputError(f"The file '{self.file_name}' cannot be read: {error.strerror}.") from error
        if left:
            raise UnsuitableInputError(f"The file '{self.file_name}' became shorter while it was sent. Send it again.")


@dataclass(frozen=True)
class Form:
    """Fields and files to be sent."""

    fields: Mapping[str, str]
    """Name -> text."""
    files: Sequence[FormFile] = ()
    """In the order they are sent."""
    boundary: str = ""
    """Between the parts; empty: drawn at random."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundary", self.boundary or "liverlabel-" + secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        """For the header of that name."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def n_bytes(self) -> int:
        """Length of the whole body."""
        heads = sum(len(head) + 2 for head in self._heads())
        return heads + sum(file.n_bytes for file in self.files) + len(self._end())

    def pieces(self) -> Iterator[bytes]:
        """The body."""
        heads = list(self._heads())
        for head in heads[: len(self.fields)]:
            yield head + b"\r\n"
        for head, file in zip(heads[len(self.fields) :], self.files, strict=True):
            yield head
            yield from file.pieces()
            yield b"\r\n"
        yield self._end()

    def _heads(self) -> Iterator[bytes]:
        for name, value in self.fields.items():
            yield f'--{self.boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}'.encode()
        for file in self.files:
            yield (
                f'--{self.boundary}\r\nContent-Disposition: form-data; name="{_quoted(file.field)}"; '
                f'filename="{_quoted(file.file_name)}"\r\nContent-Type: application/octet-stream\r\n\r\n'
            ).encode()

    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()


@dataclass(frozen=True)
class Part:
    """One part of a reply."""

    name: str
    """Of its field."""
    file_name: str | None
    """None for a part that is no file."""
    content_type: str
    """Media type."""
    content: memoryview
    """Its bytes, those of the reply itself."""


def parse_parts(content_type: str, body: bytes | bytearray) -> list[Part]:
    """Cut a reply into its parts.

    Args:
        content_type: Its header, with the boundary.
        body: The whole reply.
    Raises:
        UnusableReplyError: it ends too early, a part is longer or shorter than it says, or it is no such reply.
    """
    kind = Message()
    kind["Content-Type"] = content_type
    boundary = kind.get_boundary()
    if kind.get_content_maintype() != "multipart" or not boundary:
        raise UnusableReplyError(f"A reply of several parts is needed; found '{content_type[:80]}'. {_AGAIN}")
    mark = b"--" + boundary.encode()
    if not body.startswith(mark):
        raise UnusableReplyError(f"The reply's parts do not begin as announced. {_AGAIN}")
    parts, place = [], len(mark)
    while body[place : place + 2] != b"--":
        if body[place : place + 2] != b"\r\n":
            raise _cut_short(len(parts))
        end = body.find(b"\r\n\r\n", place, place + _MAX_HEAD_BYTES)
        if end < 0:
            raise _cut_short(len(parts))
        head = BytesParser().parsebytes(bytes(body[place + 2 : end + 4]), headersonly=True)
        start = end + 4
        stop = _end_of_part(head, body, start, b"\r\n" + mark, len(parts))
        name = head.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise UnusableReplyError(f"Part {len(parts) + 1} of the reply has no name. {_AGAIN}")
        if name in (part.name for part in parts):
            raise UnusableReplyError(f"The reply holds the part '{name}' twice. {_AGAIN}")
        parts.append(Part(name, head.get_filename(), head.get_content_type(), memoryview(body)[start:stop]))
        place = stop + 2 + len(mark)
    return parts


def _end_of_part(head: Message, body: bytes | bytearray, start: int, mark: bytes, n_before: int) -> int:
    said = head["Content-Length"]
    if said is None:
        stop = body.find(mark, start)
        if stop < 0:
            raise _cut_short(n_before)
        return stop
    if not re.fullmatch(r"\d{1,15}", said.strip()):
        raise UnusableReplyError(f"Part {n_before + 1} of the reply states the length '{said[:20]}'. {_AGAIN}")
    stop = start + int(said)
    if body[stop : stop + len(mark)] == mark:
        return stop
    found = body.find(mark, start)
    if found < 0:
        raise _cut_short(n_before)
    raise UnusableReplyError(
        f"Part {n_before + 1} of the reply states {int(said)} bytes and holds {found - start}. {_AGAIN}"
    )


def _cut_short(n_whole: int) -> UnusableReplyError:
    return UnusableReplyError(f"The reply ends too early: {n_whole} of its parts came whole. {_AGAIN}")


def _quoted(text: str) -> str:
    """As browsers write names (HTML's form encoding)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
