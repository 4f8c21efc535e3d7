"""A real server in a process of its own, and a client from the standard library alone, as in 3D Slicer."""

from __future__ import annotations

import email
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

TOKEN = "a-token-of-the-tests"
START_LIMIT_S = 180


@dataclass(frozen=True)
class Reply:
    """One HTTP reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        return self.json()["detail"]

    def parts(self) -> dict[str, Any]:
        """Each part of a multipart reply by its field name: decoded JSON, or the bytes of a file."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = {}
        for part in email.message_from_bytes(head + self.body).get_payload():
            content = part.get_payload(decode=True)
            is_json = part.get_content_type() == "application/json"
            parts[part.get_param("name", header="content-disposition")] = json.loads(content) if is_json else content
        return parts


@dataclass(frozen=True)
class Server:
    """A running server, the token it asks for, its studies, and the folder of its log and temporary files."""

    address: str
    token: str
    studies: Path
    folder: Path

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = "",
    ) -> Reply:
        """Send a request; ``token`` None sends none. A body that is not bytes is sent as JSON."""
        url = urlsplit(self.address)
        sent = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            reply = connection.getresponse()
            return Reply(reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def infer(self, image: str, **body: Any) -> Reply:
        """Measure a stored case."""
        return self.call("POST", "/liver/infer/pdff", {"image": image, **body})

    def send(
        self,
        method: str,
        path: str,
        files: Sequence[tuple[str, str, bytes]],
        fields: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send files (field, file name, content) and fields as a form."""
        boundary = secrets.token_hex(16)
        body = bytearray()
        for name, value in (fields or {}).items():
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, file_name, content in files:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n'
            body += head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return self.call(method, path, bytes(body), {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start_server(
    studies: Path, log: Path, program: Sequence[str] = ("-m", "liver_apps.entry"), port: int | None = None
) -> tuple[subprocess.Popen, Server]:
    """Start a server, on a free port if none is named, and wait until it answers; ``program`` is what Python runs."""
    port = port or free_port()
    temporary = log.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [sys.executable, *program, "start_server", "--app", "apps/liver"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--studies", str(studies), "--port", str(port)],
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LIVERLABEL_TOKEN": TOKEN, "TMPDIR": str(temporary)},
        )
    found = Server(f"http://127.0.0.1:{port}", TOKEN, studies, log.parent)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if found.call("GET", "/liver/health", token=None).status == 200:
                return process, found
        except OSError:
            time.sleep(0.2)
    process.kill()
    pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")
