"""A lock file that one process at a time may hold; the system frees it however the process ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from liver_models.io.files import cannot_write


@contextmanager
def alone(lock: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold a lock file, which the system frees however the process ends; yields False if another process holds it.

    Raises:
        UnsuitableInputError: the folder cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = open(lock, "wb")
    except OSError as error:
        raise cannot_write(lock, error) from error
    deadline = time.monotonic() + wait_s
    with held:
        while not (is_mine := _is_locked(held)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield is_mine


def _is_locked(held: BinaryIO) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
