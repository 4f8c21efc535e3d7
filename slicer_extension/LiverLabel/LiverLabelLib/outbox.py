"""Annotations that are not stored on the server yet, kept on disk until they are.

Every annotation goes through here: kept first, sent then, removed when the server has it. An item is one file, so that
it is whole or not there; it holds no token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .class_answers import answered_tasks
from .client import LiverLabelClient
from .errors import LiverLabelError, RefusedError, UnsuitableInputError
from .transport import Call

_SUFFIX = ".annotation.json"


@dataclass(frozen=True)
class Annotation:
    """A label that waits."""

    id: str
    """Its name here; later ones sort behind."""
    address: str
    """Of the server it belongs to."""
    case_id: str
    """Of the case."""
    tag: str
    """Under which it is stored."""
    file_name: str
    """Its end says what it is."""
    reader: str
    """Who made it."""
    content: bytes
    """The file."""
    refusal: str = ""
    """Why the server refused it last; empty: it was not refused."""


class Outbox:
    """The annotations in one folder.

    Args:
        folder: Made if it is not there; readable by its user only.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    def keep(
        self, address: str, case_id: str, content: bytes, file_name: str, reader: str = "", tag: str = "final"
    ) -> Annotation:
        """Write an annotation; an older one of the same case, tag, reader and kind goes, as this one stands for it.

        Answers to other tasks are of another kind.

        Raises:
            UnsuitableInputError: the folder cannot be written; the annotation is in the scene alone.
        """
        name = f"{time.time_ns():020d}-{hashlib.sha256(content).hexdigest()[:8]}"
        kept = Annotation(name, address, case_id, tag, file_name, reader, content)
        self._write(kept)
        for older in self.waiting():
            if older.id < kept.id and _stands_for(older) == _stands_for(kept):
                self.remove(older)
        return kept

    def waiting(self, address: str | None = None) -> list[Annotation]:
        """What waits, oldest first; of one server only where ``address`` is given. Damaged files stay."""
        found = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            try:
                values = json.loads(path.read_text("utf-8"))
                content = base64.b64decode(values.pop("content"), validate=True)
                if hashlib.sha256(content).hexdigest() == values.pop("sha256"):
                    found.append(Annotation(**values, content=content))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
        return [one for one in found if address is None or one.address == address]

    def remove(self, annotation: Annotation) -> None:
        """Forget an annotation: the server has it, or the user gave it up."""
        (self.folder / f"{annotation.id}{_SUFFIX}").unlink(missing_ok=True)

    def send(self, client: LiverLabelClient, annotation: Annotation, call: Call) -> None:
        """Store one on its server, then remove it.

        Raises:
            LiverLabelError: it could not be stored and is still here; a refusal is noted with it.
        """
        if str(client.address) != annotation.address:
            raise UnsuitableInputError(
                f"This annotation belongs to {annotation.address}; connected is {client.address}. Connect to that one."
            )
        try:
            client.save_label(
                annotation.case_id, annotation.content, annotation.file_name, annotation.reader, annotation.tag, call
            )
        except RefusedError as error:
            if (self.folder / f"{annotation.id}{_SUFFIX}").exists():
                self._write(Annotation(**{**asdict(annotation), "refusal": str(error)}))
            raise
        self.remove(annotation)

    def send_all(self, client: LiverLabelClient, call: Call) -> tuple[int, list[LiverLabelError]]:
        """Send what waits for this server; how many it has now, and why the others are still here.

        A refusal keeps one annotation; a server that does not answer keeps all that follow.
        """
        n_sent, failures = 0, []
        for annotation in self.waiting(str(client.address)):
            try:
                self.send(client, annotation, call)
                n_sent += 1
            except RefusedError as error:
                failures.append(error)
            except LiverLabelError as error:
                failures.append(error)
                break
        return n_sent, failures

    def _write(self, annotation: Annotation) -> None:
        values = asdict(annotation)
        values["sha256"] = hashlib.sha256(annotation.content).hexdigest()
        values["content"] = base64.b64encode(annotation.content).decode()
        temporary = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False, encoding="utf-8") as opened:
                temporary = opened.name
                json.dump(values, opened, ensure_ascii=False)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(temporary, self.folder / f"{annotation.id}{_SUFFIX}")
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            raise UnsuitableInputError(
                f"The annotation could not be kept on this computer: {error.strerror}. It is in the scene alone: save "
                "the scene, then make room or choose another folder."
            ) from error


def _stands_for(one: Annotation) -> tuple[str, ...]:
    kind = ("answer", *answered_tasks(one.content)) if one.file_name.endswith(".label.json") else ("region",)
    return one.address, one.case_id, one.tag, one.reader, *kind
