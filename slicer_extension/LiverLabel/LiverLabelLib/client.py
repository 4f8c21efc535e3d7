"""The server's routes as methods: each sends one request and gives back checked values.

A client may be used by many threads at once. Every method takes a :class:`~.transport.Call`, which can cancel it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from . import protocol
from .address import Address, parse_address
from .case_images import CaseImages, read_case_images
from .class_answers import read_class_answer
from .errors import CannotConnect, ConnectError, LostConnectionError, RefusedError, UnusableReplyError
from .multipart import Form, FormFile, parse_parts
from .nifti import MAX_VOLUME_BYTES, Volume, read_nifti, write_nifti
from .results import Answer, read_answer
from .transport import Call, Reply, Request, exchange, speaks_tls, tls_context

VERSION = "0.1.0"
"""Of this extension; it speaks with servers whose first two numbers are the same."""
COMPUTE_TIMEOUT_S = 900.0
"""For requests that compute or carry images."""
MAX_ANSWER_BYTES = 1 << 30
FINAL = "final"
"""The tag of labels that methods learn from."""
_PLAIN = Call()


@dataclass(frozen=True)
class Server:
    """A server that was reached, let us in and speaks our version."""

    address: str
    """Where."""
    version: str
    """Of LiverLabel there."""
    tasks: tuple[protocol.Task, ...]
    """What it can be asked."""


class LiverLabelClient:
    """One server.

    Args:
        address: As typed, such as ``http://127.0.0.1:8000``.
        token: The token the server printed; empty where it asks for none. It is sent and never shown.
        ca_file: PEM file of an authority to trust besides the system's.
    Raises:
        ConnectError: no usable address, token or file; see :class:`~.errors.CannotConnect`.
    """

    def __init__(self, address: str, token: str = "", ca_file: str | None = None):
        self.address: Address = parse_address(address)
        self._token = token.strip()
        if not re.fullmatch(r"[!-~]*", self._token):
            raise ConnectError(CannotConnect.NOT_A_TOKEN)
        self._tls = tls_context(ca_file) if self.address.scheme == "https" else None
        self._units: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"LiverLabelClient({str(self.address)!r})"

    def connect(self, call: Call = _PLAIN) -> Server:
        """Try the address, the version and the token, in this order.

        Raises:
            ConnectError: with the sentence and the remedy of what is wrong.
        """
        at = {"host": self.address.host, "port": self.address.port}
        reply = self._health(call)
        if reply.status in (301, 302, 303, 307, 308):
            where = reply.headers.get("location", "")
            same = f"https://{self.address.host}"
            if self.address.scheme == "http" and where.startswith(same):
                raise ConnectError(CannotConnect.NEEDS_HTTPS, suggested=where.split("/liver/health")[0], **at)
            raise ConnectError(CannotConnect.NOT_LIVERLABEL, why="it sends on to another address", **at)
        if reply.status == 403:
            raise RefusedError(403, _detail(reply))
        try:
            told = json.loads(reply.body)
            version = told["version"] if reply.status == 200 and told["status"] == "ok" else None
        except (ValueError, KeyError, TypeError, RecursionError):
            version = None
        if not isinstance(version, str):
            raise ConnectError(CannotConnect.NOT_LIVERLABEL, why=f"/liver/health gave status {reply.status}", **at)
        if _series(version) != _series(VERSION):
            needed = ".".join(map(str, _series(VERSION))) + ".x"
            outdated = "extension" if _series(version) > _series(VERSION) else "server"
            raise ConnectError(CannotConnect.OTHER_VERSION, needed=needed, found=version[:40], outdated=outdated)
        return Server(str(self.address), version, self.tasks(call))

    def info(self, call: Call = _PLAIN) -> dict[str, Any]:
        """What the app is, as MONAI Label's clients read it."""
        return dict(protocol.Fields.of(self._json("GET", "/liver/info", call), "The server's description").values)

    def tasks(self, call: Call = _PLAIN) -> tuple[protocol.Task, ...]:
        """What the server can be asked; also where the units of maps are learnt."""
        tasks = protocol.read_tasks(self._json("GET", "/liver/tasks", call))
        self._units = {one.name: one.unit for task in tasks for one in task.maps}
        return tasks

    def cases(self, call: Call = _PLAIN) -> tuple[protocol.Case, ...]:
        """The stored cases."""
        return protocol.read_cases(self._json("GET", "/liver/cases", call))

    def images(self, case_id: str, call: Call = _PLAIN) -> CaseImages:
        """The images of a stored case, to be shown and outlined before anything is computed."""
        call = replace(call, timeout_s=call.timeout_s or COMPUTE_TIMEOUT_S)
        path = f"/liver/cases/{quote(case_id, '')}/images"
        reply = self._exchange("GET", path, call, max_reply_bytes=MAX_ANSWER_BYTES)
        return read_case_images(case_id, parse_parts(reply.headers.get("content-type", ""), reply.body))

    def next_case(
        self, task: str, strategy: str = "default", seed: int | None = None, call: Call = _PLAIN
    ) -> protocol.NextCase:
        """The case from which the task would learn most."""
        asked = {"strategy": strategy} | ({} if seed is None else {"seed": seed})
        return protocol.read_next(self._json("GET", f"/liver/next/{quote(task, '')}?{urlencode(asked)}", call))

    def infer(
        self,
        task: str,
        case_id: str,
        params: Mapping[str, Any] | None = None,
        roi_tag: str | None = None,
        request_id: str | None = None,
        call: Call = _PLAIN,
    ) -> Answer:
        """Ask about a stored case.

        Args:
            task: Of the list of tasks.
            case_id: Of the list of cases.
            params: Settings of the task.
            roi_tag: Tag of the regions to summarise; None: ``final`` if there is one.
            request_id: Name under which :meth:`progress` tells how far it is.
            call: How.
        """
        body = {"image": case_id, "params": dict(params or {})} | ({} if roi_tag is None else {"roi": roi_tag})
        content = json.dumps(body, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}
        return self._answer(task, request_id, call, headers=headers, body=(content,), n_bytes=len(content))

    def infer_files(
        self,
        task: str,
        files: Sequence[Path],
        params: Mapping[str, Any] | None = None,
        roi: Volume | None = None,
        request_id: str | None = None,
        call: Call = _PLAIN,
    ) -> Answer:
        """Ask about files that are not stored: DICOM, NIfTI with JSON, one ``.mat`` or a ``.zip`` of a folder.

        Args:
            roi: Label volume of the regions.
            task, files, params, request_id, call: As :meth:`infer`.
        """
        sent = [FormFile("files", file.name, file) for file in files]
        if roi is not None:
            sent.append(FormFile("roi", "roi.nii.gz", write_nifti(roi)))
        form = Form({"params": json.dumps(dict(params or {}), allow_nan=False)}, sent)
        return self._answer(task, request_id, call, **_sent(form))

    def progress(self, request_id: str, call: Call = _PLAIN) -> protocol.Progress:
        """How far a request of that name is."""
        return protocol.read_progress(self._json("GET", f"/liver/progress/{quote(request_id, '')}", call))

    def training(self, task: str, call: Call = _PLAIN) -> protocol.Training:
        """The last training and the weights in use."""
        return protocol.read_training(self._json("GET", f"/liver/train/{quote(task, '')}", call))

    def start_training(
        self, task: str, options: Mapping[str, Any] | None = None, call: Call = _PLAIN
    ) -> protocol.Training:
        """Start a training, or go on with one that did not finish."""
        return protocol.read_training(self._json("POST", f"/liver/train/{quote(task, '')}", call, dict(options or {})))

    def stop_training(self, task: str, call: Call = _PLAIN) -> protocol.Training:
        """Stop it and keep its checkpoint; answers when it has ended."""
        waiting = replace(call, timeout_s=call.timeout_s or COMPUTE_TIMEOUT_S)
        return protocol.read_training(self._json("DELETE", f"/liver/train/{quote(task, '')}", waiting))

    def roll_back_training(self, task: str, version: int | None = None, call: Call = _PLAIN) -> protocol.Training:
        """Use the former weights again, or those of ``version``."""
        body = {} if version is None else {"version": version}
        return protocol.read_training(self._json("POST", f"/liver/train/{quote(task, '')}/rollback", call, body))

    def scoring(self, task: str, call: Call = _PLAIN) -> protocol.Scoring:
        """How far the scoring of unlabelled cases is."""
        return protocol.read_scoring(self._json("GET", f"/liver/score/{quote(task, '')}", call))

    def start_scoring(self, task: str, call: Call = _PLAIN) -> protocol.Scoring:
        """Score the unlabelled cases in the background."""
        return protocol.read_scoring(self._json("POST", f"/liver/score/{quote(task, '')}", call))

    def labels(self, case_id: str, call: Call = _PLAIN) -> tuple[protocol.StoredLabel, ...]:
        """What is stored with a case."""
        return protocol.read_labels(self._json("GET", f"/liver/labels/{quote(case_id, '')}", call))

    def disagreements(self, tag: str = FINAL, call: Call = _PLAIN) -> tuple[protocol.Disagreement, ...]:
        """The cases whose readers differ."""
        asked = urlencode({"tag": tag})
        return protocol.read_disagreements(self._json("GET", f"/liver/disagreements?{asked}", call))

    def reopen(self, case_id: str, tag: str = FINAL, call: Call = _PLAIN) -> tuple[str, ...]:
        """Set a case's labels aside, so that it is offered again; the names under which they are kept."""
        path = f"/liver/cases/{quote(case_id, '')}/reopen?{urlencode({'tag': tag})}"
        return protocol.Fields.of(self._json("POST", path, call), "The reopened case").texts("former")

    def save_label(
        self,
        case_id: str,
        content: bytes,
        file_name: str,
        reader: str = "",
        tag: str = FINAL,
        call: Call = _PLAIN,
    ) -> None:
        """Store a label: a region (``.nii.gz``) or an answer (``.label.json``).

        Args:
            case_id: Of the case.
            content: The file.
            file_name: Its end says what it is.
            reader: Who drew or answered; letters, digits, ``_``, ``-`` and ``.``.
            tag: Under which it is stored.
            call: How.
        """
        form = Form({"params": json.dumps({"reader": reader})}, [FormFile("label", file_name, content)])
        path = f"/datastore/label?{urlencode({'image': case_id, 'tag': tag})}"
        call = replace(call, timeout_s=call.timeout_s or COMPUTE_TIMEOUT_S)
        self._exchange("PUT", path, call, **_sent(form))

    def label(self, case_id: str, tag: str = FINAL, call: Call = _PLAIN) -> bytearray:
        """The region stored under a tag, or its answer where there is no region, as a file."""
        return self._file(f"/datastore/label?{urlencode({'label': case_id, 'tag': tag})}", call)

    def label_volume(self, case_id: str, tag: str = FINAL, call: Call = _PLAIN) -> Volume:
        """The region or map stored under a tag."""
        return read_nifti(self.label(case_id, tag, call), f"{case_id}, {tag}")

    def class_answer(
        self, case_id: str, tag: str = FINAL, call: Call = _PLAIN, *, task: str = "fibrotic_nash"
    ) -> bool | None:
        """The answer to a task stored under a tag, whether or not a region is beside it; None: there is none."""
        if not any((one.tag, one.kind) == (tag, "answer") for one in self.labels(case_id, call)):
            return None
        asked = urlencode({"label": case_id, "tag": tag, "kind": "answer"})
        return read_class_answer(self._file(f"/datastore/label?{asked}", call), case_id, task)

    def image(self, case_id: str, call: Call = _PLAIN) -> bytearray:
        """The file of a stored image; of a case, its manifest."""
        return self._file(f"/datastore/image?{urlencode({'image': case_id})}", call)

    def _health(self, call: Call) -> Reply:
        """The reply to the first request; where it failed as plain HTTP to a server of TLS does, that is said."""
        try:
            reply = self._exchange("GET", "/liver/health", call, is_known=False)
        except (LostConnectionError, ConnectError) as error:
            if isinstance(error, LostConnectionError) or error.reason is CannotConnect.NOT_LIVERLABEL:
                self._refuse_tls(call)
            raise
        if reply.status == 400:
            self._refuse_tls(call)
        return reply

    def _refuse_tls(self, call: Call) -> None:
        if self.address.scheme == "http" and speaks_tls(self.address, call):
            at = {"host": self.address.host, "port": self.address.port}
            raise ConnectError(CannotConnect.NEEDS_HTTPS, suggested=str(self.address.with_scheme("https")), **at)

    def _file(self, path: str, call: Call) -> bytearray:
        call = replace(call, timeout_s=call.timeout_s or COMPUTE_TIMEOUT_S)
        # As it came: a copy of a large file would hold the window up.
        return self._exchange("GET", path, call, max_reply_bytes=MAX_VOLUME_BYTES).body

    def _answer(self, task: str, request_id: str | None, call: Call, **sent: Any) -> Answer:
        named = "" if request_id is None else f"?{urlencode({'request_id': request_id})}"
        call = replace(call, timeout_s=call.timeout_s or COMPUTE_TIMEOUT_S)
        path = f"/liver/infer/{quote(task, '')}{named}"
        reply = self._exchange("POST", path, call, max_reply_bytes=MAX_ANSWER_BYTES, **sent)
        return read_answer(task, parse_parts(reply.headers.get("content-type", ""), reply.body), self._units)

    def _json(self, method: str, path: str, call: Call, body: Any = None) -> Any:
        content = b"" if body is None else json.dumps(body, allow_nan=False).encode()
        sent = {"body": (content,), "n_bytes": len(content)} if content else {}
        headers = {"Content-Type": "application/json"} if content else {}
        reply = self._exchange(method, path, call, headers=headers, **sent)
        return protocol.parse_json(reply.body, "The server's reply")

    def _exchange(
        self,
        method: str,
        path: str,
        call: Call,
        headers: Mapping[str, str] | None = None,
        *,
        is_known=True,
        **kept: Any,
    ) -> Reply:
        """One request; a refusal is raised unless the server is not known to be LiverLabel yet."""
        sent = dict(headers or {})
        if is_known and self._token:
            # Only a server that said it is LiverLabel is told the token.
            sent["Authorization"] = f"Bearer {self._token}"
        reply = exchange(self.address, Request(method, path, sent, **kept), call, self._tls)
        if not is_known or 200 <= reply.status < 300:
            return reply
        if reply.status == 401:
            raise ConnectError(CannotConnect.WRONG_TOKEN if self._token else CannotConnect.TOKEN_NEEDED)
        wait = reply.headers.get("retry-after", "")
        raise RefusedError(reply.status, _detail(reply), float(wait) if re.fullmatch(r"\d{1,6}", wait) else None)


def new_request_id() -> str:
    """A name for a request, to ask for its progress."""
    return f"slicer-{secrets.token_hex(8)}"


def _sent(form: Form) -> dict[str, Any]:
    return {"headers": {"Content-Type": form.content_type}, "body": form.pieces(), "n_bytes": form.n_bytes}


def _series(version: str) -> tuple[int, ...]:
    """The numbers that client and server have in common: the first two."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _detail(reply: Reply) -> str:
    """The server's sentence, or one that names the status where it gives none."""
    try:
        detail = protocol.Fields.of(protocol.parse_json(reply.body, "The refusal"), "The refusal").take(
            "detail", (str,)
        )
    except UnusableReplyError:
        detail = ""
    return detail[:2000] or (
        f"The server answered with status {reply.status} and no explanation. Look at its window or log, and try again."
    )
