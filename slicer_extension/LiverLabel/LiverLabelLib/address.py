"""The address of a server as a person types it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import CannotConnect, ConnectError

SCHEMES = ("http", "https")
OWN_PORT = 8000
"""Where ``liverlabel serve`` listens unless told otherwise."""
_ANY_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
"""Addresses to listen at -> where the same machine is reached."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """Where a server is."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """Name or number, IPv6 without brackets."""
    port: int
    """1 to 65535."""
    path: str = ""
    """What comes before every route, for a server behind a proxy; no slash at its end."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def host_header(self) -> str:
        """What a request says in ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"

    def with_scheme(self, scheme: str) -> Address:
        """The same place by another protocol."""
        return Address(scheme, self.host, self.port, self.path)


def parse_address(text: str) -> Address:
    """Read what was typed.

    Args:
        text: Such as ``http://127.0.0.1:8000``. Spaces around it and slashes at its end do not count.
    Raises:
        ConnectError: it is none; ``suggested_address`` holds one that is likely to be meant.
    """
    typed = text.strip()
    if not typed:
        raise ConnectError(CannotConnect.NO_ADDRESS, suggested=f"http://127.0.0.1:{OWN_PORT}")
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", typed):
        raise ConnectError(CannotConnect.NO_SCHEME, address=typed[:200], suggested=_completed(typed))
    try:
        parts = urlsplit(typed)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _none(typed, "the port is no number from 1 to 65535, or brackets do not match") from error
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise _none(typed, f"'{scheme}' is neither http nor https")
    if not host or re.search(r"[^\w.:%-]", host):
        raise _none(typed, "it names no computer")
    if port == 0:
        raise _none(typed, "the port is no number from 1 to 65535")
    if parts.username is not None or parts.query or parts.fragment or re.search(r"[^!-~]", parts.path):
        raise _none(typed.split("@")[-1], "users, questions, marks and spaces have no place in it")
    address = Address(scheme, host, port or {"http": 80, "https": 443}[scheme], parts.path.rstrip("/"))
    if host in _ANY_HOSTS:
        reached = f"{scheme}://{_ANY_HOSTS[host]}:{port or OWN_PORT}{address.path}"
        raise ConnectError(CannotConnect.ANY_HOST, host=host, address=typed, suggested=reached)
    return address


def is_loopback(address: Address) -> bool:
    """Whether the server is on this machine, as far as its name says."""
    return address.host in _LOOPBACK


def _none(typed: str, why: str) -> ConnectError:
    return ConnectError(CannotConnect.NOT_AN_ADDRESS, address=typed[:200], why=why)


def _completed(typed: str) -> str:
    """What was typed, with a protocol, and our port where none was given."""
    rest = typed.lstrip("/:").rstrip("/")
    for any_host, reached in _ANY_HOSTS.items():
        if rest.split(":")[0] == any_host or rest.startswith(f"[{any_host}]"):
            rest = rest.replace(f"[{any_host}]" if any_host == "::" else any_host, reached, 1)
    host, slash, path = rest.partition("/")
    has_port = re.search(r":\d+$", host) and (host.count(":") == 1 or "]" in host)
    return f"http://{host}{'' if has_port else f':{OWN_PORT}'}{slash}{path}"
