"""Who is let in: decided from the headers alone, before a body is read."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import reply
from .settings import ServerSettings, is_loopback

OPEN_PATHS = ("/liver/health", "/auth/", "/auth", "/auth/token")
"""Answered without a token: whether the server lives, and how to get in."""


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
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope):
        headers = Headers(scope=scope)
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if is_loopback(self.settings.host) and not is_loopback(host):
            return reply(
                403, f"This server answers on this machine only; the request was for {host[:80]!r}. Use 127.0.0.1."
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.settings.max_body_bytes:
            limit = self.settings.max_body_bytes / 2**30
            return reply(
                413, f"A request may hold {limit:g} GiB at most; this one says {length[:20]} bytes. Send fewer files."
            )
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
