"""A loopback server that answers as it is told to: whole, late, cut short, slowly, with a bad certificate."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; what is answered is looked up by method and path."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), self.content))
        path = self.path.partition("?")[0]
        found = self.server.answers.get((self.command, path), sends_json({"detail": "Not Found"}, 404))
        try:
            found(self)
        except OSError:
            pass  # The client went away, as it may.

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass

    def send(self, content: bytes, kind: str, status: int = 200, n_bytes: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if n_bytes is None else n_bytes))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


class Quiet(ThreadingHTTPServer):
    """Broken connections are what it is for, so they are not reported."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


class FaultyServer:
    """Serves until the block ends; ``answers`` may be changed meanwhile, ``seen`` holds what was asked."""

    def __init__(self, answers: dict | None = None, tls: ssl.SSLContext | None = None):
        self.http = Quiet(("127.0.0.1", 0), Handler)
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.http.answers = {**healthy(), **(answers or {})}
        self.http.seen = []
        self.answers, self.seen = self.http.answers, self.http.seen
        self.port = self.http.server_address[1]
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultyServer:
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()


class TlsOnly:
    """Speaks TLS until the block ends, and answers anything else with ``refusal`` before it closes."""

    def __init__(self, context: ssl.SSLContext, refusal: bytes):
        self.context, self.refusal = context, refusal
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.first_bytes: list[bytes] = []

    def __enter__(self) -> TlsOnly:
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.answer(self.listening.accept()[0])

    def answer(self, opened: socket.socket) -> None:
        with opened, contextlib.suppress(OSError):
            self.first_bytes.append(opened.recv(1000, socket.MSG_PEEK))
            if self.first_bytes[-1][:1] == b"\x16":
                self.context.wrap_socket(opened, server_side=True).close()
            else:
                opened.recv(1000)
                opened.sendall(self.refusal)

    def __exit__(self, *_: object) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(5)


def healthy(version: str = "0.1.0") -> dict:
    """What a LiverLabel server answers to the first two requests."""
    return {
        ("GET", "/liver/health"): sends_json({"status": "ok", "version": version}),
        ("GET", "/liver/tasks"): sends_json({"notice": "", "tasks": []}),
    }


def sends_json(value: object, status: int = 200, **headers: str) -> Answer:
    return lambda handler: handler.send(json.dumps(value).encode(), "application/json", status, **headers)


def sends(content: bytes, kind: str, n_bytes: int | None = None) -> Answer:
    """Send ``content``, announcing ``n_bytes``, and close."""

    def answer(handler: Handler) -> None:
        handler.send(content, kind, n_bytes=n_bytes)
        handler.close_connection = True

    return answer


def hangs(seconds: float = 10.0) -> Answer:
    return lambda handler: time.sleep(seconds)


def disconnects(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def trickles(n_bytes: int, bytes_per_s: float) -> Answer:
    """Send zeros at a steady pace."""

    def answer(handler: Handler) -> None:
        handler.send(b"", "application/gzip", n_bytes=n_bytes)
        piece = 1 << 16
        for _ in range(0, n_bytes, piece):
            handler.wfile.write(bytes(piece))
            time.sleep(piece / bytes_per_s)

    return answer


def certificate(folder: Path, is_expired: bool) -> tuple[Path, ssl.SSLContext] | None:
    """A self-signed certificate for 127.0.0.1 and a server's context with it; None without the openssl program."""
    if not shutil.which("openssl"):
        return None
    folder.mkdir(exist_ok=True)
    for name in ("index.txt", "index.txt.attr"):
        (folder / name).write_text("")
    (folder / "serial").write_text("01\n")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=here\n[here]\nnew_certs_dir=.\ndatabase=index.txt\nserial=serial\ndefault_md=sha256\n"
        "policy=any\nx509_extensions=names\nunique_subject=no\n[any]\ncommonName=supplied\n"
        "[names]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n[req]\ndistinguished_name=any\n"
    )
    dates = ["20200101000000Z", "20210101000000Z"] if is_expired else ["20200101000000Z", "20490101000000Z"]
    asked = "req -new -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=127.0.0.1 -config ca.cnf"
    signed = "ca -selfsign -batch -config ca.cnf -keyfile key.pem -in request.pem -out cert.pem -notext"
    signed += f" -startdate {dates[0]} -enddate {dates[1]}"
    for command in (asked, signed):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context
