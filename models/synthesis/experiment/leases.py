"""Who works on what, among processes and machines that share a folder and nothing else.

A claim on a piece of work is the file ``<name>.<generation>``, made only if it is not there, which file systems do for
one process alone. Its holder touches it again and again. A claim whose holder is gone is followed by the next
generation, made in the same way: two processes that find it expired cannot both take it over, and nobody ever removes a
claim of somebody else that is alive. Should a holder only have slept, the work is done twice, to the same result.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path

from ...io.files import cannot_write

HEARTBEAT_S = 5.0
"""Between two touches of a claim, seconds."""
EXPIRY_S = 60.0
"""A claim that was not touched for so long has no holder any more, seconds."""


class Lease:
    """A claim that is held; as a context it is given back at the end."""

    def __init__(self, path: Path, heartbeat_s: float):
        self.path = path
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._touch, args=(heartbeat_s,), daemon=True)
        self._beat.start()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error) -> None:
        self.release()

    def release(self) -> None:
        """Give the work back, done or not."""
        self._over.set()
        self._beat.join()
        name, _, generation = self.path.name.rpartition(".")
        for number in range(int(generation) + 1):
            (self.path.parent / f"{name}.{number}").unlink(missing_ok=True)

    def _touch(self, heartbeat_s):
        while not self._over.wait(heartbeat_s):
            try:
                os.utime(self.path)
            except OSError:
                continue  # A folder out of reach for a moment; a claim lost meanwhile costs work done twice at most.


class Leases:
    """The claims in a folder.

    Args:
        folder: Where they lie; made if need be.
        expiry_s: See :data:`EXPIRY_S`.
        heartbeat_s: See :data:`HEARTBEAT_S`.
    """

    def __init__(self, folder: Path, expiry_s: float = EXPIRY_S, heartbeat_s: float = HEARTBEAT_S):
        self.folder, self.expiry_s, self.heartbeat_s = Path(folder), expiry_s, heartbeat_s
        self._owner = {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}

    def claim(self, name: str) -> Lease | None:
        """Claim a piece of work; None: somebody else holds it.

        Raises:
            UnsuitableInputError: the disk is full or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            last = max(self._generations(name), default=-1)
            if last >= 0 and self._is_held(self.folder / f"{name}.{last}"):
                return None
            path = self.folder / f"{name}.{last + 1}"
            with open(path, "x", encoding="utf-8") as file:
                json.dump(self._owner, file)
        except FileExistsError:
            return None
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        return Lease(path, self.heartbeat_s)

    def tidy(self, names: Iterable[str]) -> None:
        """Remove what processes that ended between a result and its release left of work that is done.

        Args:
            names: Of that work.
        """
        names = set(names)
        for path in list(self.folder.glob("*.*")):
            if path.name.rpartition(".")[0] in names and not self._is_held(path):
                path.unlink(missing_ok=True)

    def _generations(self, name):
        for path in self.folder.glob(f"{name}.*"):
            stem, _, number = path.name.rpartition(".")
            if stem == name and number.isdigit():
                yield int(number)

    def _is_held(self, path: Path) -> bool:
        try:
            touched, owner = path.stat().st_mtime, json.loads(path.read_text("utf-8") or "{}")
        except (OSError, ValueError):
            owner = {}
            try:
                touched = path.stat().st_mtime
            except OSError:
                return False
        if owner.get("machine") == self._owner["machine"] and self._owner["started"] is not None:
            if _started(owner["pid"]) != owner["started"]:
                return False  # Here one sees that its process ended, and need not wait.
        return self._now() - touched < self.expiry_s

    def _now(self) -> float:
        """Time by the clock of the file system, which every machine shares."""
        probe = self.folder / f".clock-{uuid.uuid4().hex}"
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _machine() -> str:
    """Where process numbers mean the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode()}"


def _started(pid: int) -> str | None:
    """When a process began, in the system's ticks: its number may be given again. None: it is not there, or unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
