"""One HTTP request at a time over a connection of its own, which another thread can end.

Concurrency: a client may be used by many threads at once, since no connection is shared. Ending a call (cancel,
timeout) shuts its socket down, which wakes the thread that waits on it. Nothing here logs addresses, tokens or bodies.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .address import Address, is_loopback
from .errors import (
    CancelledError,
    CannotConnect,
    ConnectError,
    LostConnectionError,
    RequestTimeoutError,
    UnusableReplyError,
)

CONNECT_TIMEOUT_S = 5.0
SHORT_TIMEOUT_S = 30.0
"""For requests that compute nothing."""
MAX_JSON_BYTES = 32 << 20
"""Most of a reply that holds JSON alone."""
TLS_GREETING_S = 2.0
"""How long a server may take to answer the first message of TLS."""
_CHUNK_BYTES = 1 << 17
_SLICE_S = 0.05
"""How long an attempt to connect goes on without looking whether it was cancelled."""
_CERTIFICATE_REASONS = {
    9: CannotConnect.EARLY_CERTIFICATE,
    10: CannotConnect.EXPIRED_CERTIFICATE,
    18: CannotConnect.SELF_SIGNED_CERTIFICATE,
    19: CannotConnect.SELF_SIGNED_CERTIFICATE,
    20: CannotConnect.UNKNOWN_ISSUER,
    21: CannotConnect.UNKNOWN_ISSUER,
    62: CannotConnect.OTHER_NAME_IN_CERTIFICATE,
    64: CannotConnect.OTHER_NAME_IN_CERTIFICATE,
}
"""OpenSSL's X509_V_ERR_… -> what it means to the user."""


class CancelToken:
    """Ends calls from another thread; once cancelled it stays so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._is_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Shut down the sockets of every call that uses this token; returns at once."""
        with self._lock:
            self._is_cancelled = True
            for opened in self._sockets:
                _shut_down(opened)

    def check(self) -> None:
        """Go on, or stop.

        Raises:
            CancelledError: it was cancelled.
        """
        if self._is_cancelled:
            raise CancelledError("Cancelled. Nothing was changed here.")

    def watch(self, opened: socket.socket) -> None:
        """Shut ``opened`` down when cancelled, at once if that has happened."""
        with self._lock:
            self._sockets.add(opened)
            if self._is_cancelled:
                _shut_down(opened)

    def forget(self, opened: socket.socket) -> None:
        """Leave ``opened`` alone from now on."""
        with self._lock:
            self._sockets.discard(opened)


@dataclass(frozen=True)
class Call:
    """How one request is made."""

    cancel: CancelToken | None = None
    """Ends it from another thread."""
    timeout_s: float | None = None
    """Seconds until a whole reply; None: what is usual for the route."""
    on_received: Callable[[int, int | None], None] | None = None
    """Told (bytes so far, bytes in all or None) while the reply comes, in the thread of the call."""
    on_sent: Callable[[int, int], None] | None = None
    """Told (bytes so far, bytes in all) while the request goes."""


@dataclass(frozen=True)
class Reply:
    """One HTTP reply, whole."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytearray
    """As it came."""


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    """GET, POST, PUT or DELETE."""
    path: str
    """With the question, quoted."""
    headers: Mapping[str, str]
    """Without Host and Content-Length."""
    body: Iterable[bytes] = ()
    """Pieces, each at most some hundred kilobytes, so that a cancel is seen soon."""
    n_bytes: int = 0
    """Their length together."""
    max_reply_bytes: int = MAX_JSON_BYTES
    """A longer reply is refused."""


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Certificates are verified, names too, by the system's authorities and those in ``ca_file`` (PEM).

    Raises:
        ConnectError: the file cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            why = getattr(error, "reason", None) or error.strerror or "unreadable"
            raise ConnectError(CannotConnect.BAD_CA_FILE, ca_file=ca_file, why=why) from error
    return context


class _Line:
    """The socket of one call: opened in slices, shut down at its deadline or when cancelled."""

    def __init__(self, address: Address, timeout_s: float, token: CancelToken, context: ssl.SSLContext | None):
        self.address, self.timeout_s, self.token, self.context = address, timeout_s, token, context
        self.is_late = False
        self.deadline_s = time.monotonic() + timeout_s

    def open(self) -> socket.socket:
        self.token.check()
        host, port = self.address.host, self.address.port
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectError(CannotConnect.UNKNOWN_HOST, host=host) from error
        failure: BaseException | None = None
        for family, kind, protocol, _, place in places:
            opened = socket.socket(family, kind, protocol)
            try:
                self._connect(opened, place)
                return opened
            except (OSError, ConnectError) as error:
                opened.close()
                failure = failure if isinstance(failure, ConnectError) else error
            except BaseException:
                opened.close()
                raise
        if isinstance(failure, ConnectError):
            raise failure
        if isinstance(failure, ConnectionRefusedError):
            suggested = "" if port == 8000 else f"{self.address.scheme}://{self.address.host_header.split(':')[0]}:8000"
            raise ConnectError(CannotConnect.NOTHING_LISTENS, host=host, port=port, suggested=suggested) from failure
        why = getattr(failure, "strerror", None) or "no address"
        raise ConnectError(CannotConnect.UNREACHABLE, host=host, why=why) from failure

    def _connect(self, opened: socket.socket, place: tuple) -> None:
        opened.setblocking(False)
        opened.connect_ex(place)
        limit_s = min(self.deadline_s, time.monotonic() + CONNECT_TIMEOUT_S)
        with selectors.DefaultSelector() as selector:
            selector.register(opened, selectors.EVENT_WRITE)
            while not selector.select(_SLICE_S):
                self.token.check()
                if time.monotonic() > limit_s:
                    at = {"host": self.address.host, "port": self.address.port}
                    waited = min(self.timeout_s, CONNECT_TIMEOUT_S)
                    raise ConnectError(CannotConnect.CONNECT_TIMEOUT, timeout_s=waited, **at)
        if error := opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        opened.settimeout(max(self.deadline_s - time.monotonic(), 0.001))

    def expire(self) -> None:
        self.is_late = True
        _shut_down(self.raw)

    def __enter__(self) -> socket.socket:
        self.raw = self.open()
        self.timer = threading.Timer(max(self.deadline_s - time.monotonic(), 0), self.expire)
        self.timer.daemon = True
        self.timer.start()
        self.token.watch(self.raw)
        try:
            if self.context is None:
                return self.raw
            # The wrapped socket takes the descriptor over; what is watched from now on is that one.
            secured = self.context.wrap_socket(
                self.raw, server_hostname=self.address.host, do_handshake_on_connect=False
            )
            self.token.forget(self.raw)
            self.raw = secured
            self.token.watch(secured)
            secured.do_handshake()
            return secured
        except BaseException as error:
            self.__exit__()
            self.explain(error)
            raise

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        self.token.forget(self.raw)
        self.raw.close()

    def explain(self, error: BaseException) -> None:
        """Raise what a failure of the socket means; return if it is another kind of failure."""
        if not isinstance(error, OSError | http.client.HTTPException | ValueError):
            return
        if self.token.is_cancelled:
            raise CancelledError("Cancelled. Nothing was changed here.") from error
        if self.is_late or isinstance(error, TimeoutError):
            raise RequestTimeoutError(
                f"The server did not answer within {self.timeout_s:g} s. It may be busy or gone; try again later."
            ) from error
        host, port = self.address.host, self.address.port
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = _CERTIFICATE_REASONS.get(error.verify_code, CannotConnect.BAD_CERTIFICATE)
            raise ConnectError(reason, host=host, why=error.verify_message) from error
        if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            other = str(self.address.with_scheme("http")) if is_loopback(self.address) else ""
            raise ConnectError(CannotConnect.NEEDS_HTTP, host=host, port=port, suggested=other) from error
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
            raise ConnectError(
                CannotConnect.NOT_LIVERLABEL, host=host, port=port, why="it does not speak HTTP"
            ) from error
        raise LostConnectionError(
            f"The connection to {host} ended before the reply did. See whether the server still runs, then try again."
        ) from error


def exchange(address: Address, request: Request, call: Call, context: ssl.SSLContext | None) -> Reply:
    """Send a request and receive the whole reply, whatever its status.

    Args:
        address: Of the server.
        request: What is sent.
        call: How.
        context: For https; see :func:`tls_context`.
    Raises:
        ConnectError: there is no such server, or it is not certain that it is the one.
        LostConnectionError: it went away meanwhile.
        RequestTimeoutError: no whole reply in time.
        CancelledError: the token of the call was cancelled.
        UnusableReplyError: the reply is longer than may be.
    """
    timeout_s = SHORT_TIMEOUT_S if call.timeout_s is None else call.timeout_s
    line = _Line(address, timeout_s, call.cancel or CancelToken(), context if address.scheme == "https" else None)
    with line as opened:
        connection = http.client.HTTPConnection(address.host, address.port)
        connection.sock = opened
        try:
            _send(connection, address, request, call, line)
            reply = connection.getresponse()
            body = _received(reply, request.max_reply_bytes, call, line)
            line.token.check()
            return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            line.explain(error)
            raise
        finally:
            connection.close()


def speaks_tls(address: Address, call: Call) -> bool:
    """Whether a server answers the first message of TLS in TLS.

    No certificate is looked at, no encryption is agreed on and no request is sent.

    Args:
        address: Of the server, whatever its scheme.
        call: How; its progress is not told.
    Raises:
        CancelledError: the token of the call was cancelled.
    """
    greeting = ssl.MemoryBIO()
    speaker = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), greeting, server_hostname=address.host)
    with contextlib.suppress(ssl.SSLWantReadError):
        speaker.do_handshake()
    timeout_s = TLS_GREETING_S if call.timeout_s is None else min(call.timeout_s, TLS_GREETING_S)
    line = _Line(address, timeout_s, call.cancel or CancelToken(), None)
    try:
        with line as opened:
            opened.sendall(greeting.read())
            answer = opened.recv(2)
    except (OSError, ConnectError):
        answer = b""
    line.token.check()
    # An alert or a handshake, of SSL 3 or any TLS.
    return answer in (b"\x15\x03", b"\x16\x03")


def _send(connection: http.client.HTTPConnection, address: Address, request: Request, call: Call, line: _Line) -> None:
    connection.putrequest(request.method, address.path + request.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", address.host_header)
    connection.putheader("Connection", "close")
    for name, value in request.headers.items():
        connection.putheader(name, value)
    if request.n_bytes or request.method in ("POST", "PUT"):
        connection.putheader("Content-Length", str(request.n_bytes))
    connection.endheaders()
    n_sent = 0
    try:
        for piece in request.body:
            line.token.check()
            connection.send(piece)
            n_sent += len(piece)
            if call.on_sent:
                call.on_sent(n_sent, request.n_bytes)
    except (BrokenPipeError, ConnectionResetError):
        # A server that refuses a long body closes its side; its refusal may be there to be read.
        if line.token.is_cancelled or line.is_late:
            raise


def _received(reply: http.client.HTTPResponse, max_bytes: int, call: Call, line: _Line) -> bytearray:
    n_total = reply.length
    if n_total is not None and n_total > max_bytes:
        raise UnusableReplyError(_too_long(max_bytes, f"{n_total / 2**20:.0f} MiB"))
    body = bytearray()
    while chunk := reply.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise UnusableReplyError(_too_long(max_bytes, "more"))
        if call.on_received:
            call.on_received(len(body), n_total)
        line.token.check()
    if n_total is not None and len(body) < n_total:
        raise http.client.IncompleteRead(b"", n_total - len(body))
    return body


def _too_long(max_bytes: int, found: str) -> str:
    return (
        f"A reply may hold {max_bytes / 2**20:.0f} MiB here; this one holds {found}. Ask for less, or for another case."
    )


def _shut_down(opened: socket.socket) -> None:
    """Wake whoever waits on a socket; that of TLS by its plain side, whose other methods are not for two threads."""
    try:
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
    except OSError:
        pass  # It was closed already.
