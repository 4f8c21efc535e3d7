"""LiverLabel's own server in a process of its own, started by the server's Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

PYTHON = os.environ.get("LIVERLABEL_SERVER_PYTHON", "")
"""The Python of the server's environment; ``make test`` names it."""


class RealServer:
    """Serves simulated cases until it is closed."""

    def __init__(self, folder: Path):
        command = [PYTHON, str(Path(__file__).with_name("serve_cases.py")), str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, **pipes)
        self._read()

    def _read(self) -> None:
        line = self._process.stdout.readline()
        assert line, "the server did not start"
        told = json.loads(line)
        self.address, self.token, self.log = told["address"], told["token"], told["log"]

    def restart(self) -> None:
        """End the server as an administrator does, and start it at the same address."""
        self._process.stdin.write("restart\n")
        self._process.stdin.flush()
        self._read()

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(timeout=90)
