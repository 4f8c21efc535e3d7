"""What the server was told at start, read once from the environment."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

TOKEN_VARIABLE = "LIVERLABEL_TOKEN"
NO_TOKEN_VARIABLE = "LIVERLABEL_NO_TOKEN"
ORIGINS_VARIABLE = "LIVERLABEL_CORS_ORIGINS"
HOST_VARIABLE = "LIVERLABEL_HOST"
NO_SCORING_VARIABLE = "LIVERLABEL_NO_SCORING"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


def is_loopback(host: str) -> bool:
    """True when only this machine can reach ``host``."""
    return host.strip("[]").lower() in LOOPBACK_NAMES


@dataclass(frozen=True)
class ServerSettings:
    """Who may talk to the server, and how much."""

    token: str | None
    """What ``Authorization: Bearer`` must hold; None: everybody is let in."""
    host: str = "127.0.0.1"
    """Address the server listens at."""
    cors_origins: tuple[str, ...] = ()
    """Web page origins whose scripts may read replies."""
    max_body_bytes: int = 4 * 2**30
    """Largest request body, and largest content of an uploaded archive, bytes."""
    max_files: int = 20_000
    """Most files in one upload."""
    max_waiting: int = 8
    """Most computations that wait for their turn."""
    scores_by_itself: bool = True
    """Whether unlabelled cases are scored without being asked to."""

    @classmethod
    def from_environment(cls) -> ServerSettings:
        """Settings as the launcher left them; without a token in the environment, a new one nobody knows."""
        is_open = os.environ.get(NO_TOKEN_VARIABLE) == "1"
        token = None if is_open else os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
        origins = tuple(part.strip() for part in os.environ.get(ORIGINS_VARIABLE, "").split(",") if part.strip())
        return cls(
            token=token,
            host=os.environ.get(HOST_VARIABLE, "127.0.0.1"),
            cors_origins=origins,
            scores_by_itself=os.environ.get(NO_SCORING_VARIABLE) != "1",
        )
