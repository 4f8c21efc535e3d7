"""Who is let in: decided from the headers alone, before a body is read."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import reply
from .settings import ServerSettings, is_loopback

OPEN_PATHS = ("/liver/health", "/auth/", "/auth", "/auth/token")
"""Answered without a token: whether the server lives, and how to get in."""


class _BodyTooLargeError(Exception):
    """The body goes on beyond the limit."""


def _host_name(header: str) -> str:
    """The name in a ``Host`` header without its port; empty when it is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


class AccessControl:
    """ASGI middleware that asks for the token, and for a local ``Host`` when the server is local.

    The second check keeps a web page from reaching a local server under a name of its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings):
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or answer 401, 403 or 413."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
        else:
            await self._passed_on(scope, receive, send)

    async def _passed_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request whose body may hide its length, and stop reading when it exceeds the limit."""
        n_bytes, is_started = 0, False

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.settings.max_body_bytes:
                raise _BodyTooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal is_started
            if n_bytes <= self.settings.max_body_bytes:
                is_started = True
                await send(message)

        try:
            await self.app(scope, counted, watched)
        except _BodyTooLargeError:
            pass
        if n_bytes > self.settings.max_body_bytes and not is_started:
            await self._too_large("more")(scope, receive, send)

    def _too_large(self, said: str):
        limit = self.settings.max_body_bytes / 2**30
        return reply(413, f"A request may hold {limit:g} GiB at most; this one holds {said}. Send fewer files.")

    def _refusal(self, scope: Scope):
        headers = Headers(scope=scope)
        host = _host_name(headers.get("host", ""))
        if is_loopback(self.settings.host) and not is_loopback(host):
            return reply(
                403, f"This server answers on this machine only; the request was for {host[:80]!r}. Use 127.0.0.1."
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.settings.max_body_bytes:
            return self._too_large(f"{length[:20]} bytes")
        if self.settings.token is None or scope["method"] == "OPTIONS" or scope["path"] in OPEN_PATHS:
            return None
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), self.settings.token.encode()):
            return None
        found = "another one" if sent else "none"
        return reply(
            401,
            f"This server needs its token, and the request holds {found}. Send the header 'Authorization: Bearer "
            "TOKEN' "
            "with the token printed when the server started.",
            **{"WWW-Authenticate": "Bearer"},
        )
