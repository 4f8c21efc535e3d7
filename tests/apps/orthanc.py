"""Debian's Orthanc with its DICOMweb plugin, on a free port of this machine, with storage that is thrown away."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from client import free_port

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "secret-of-the-tests"
START_LIMIT_S = 30


@dataclass
class Orthanc:
    """A running Orthanc."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        """Root of its DICOMweb service."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def ask(self, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
        """A reply of its own REST interface."""
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, {"Authorization": f"Basic {login}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.read()

    def call(self, path: str, body: bytes | None = None) -> Any:
        """The JSON it replies with."""
        return json.loads(self.ask(path, body))

    def remove(self, path: str) -> None:
        """Remove a study, series or instance."""
        self.ask(path, method="DELETE")

    def dataset(self, path: str) -> pydicom.Dataset:
        """A stored DICOM file."""
        return pydicom.dcmread(BytesIO(self.ask(path)))

    def send(self, folder: Path) -> None:
        """Store every DICOM file of a folder, as a scanner does."""
        for path in sorted(folder.rglob("*.dcm")):
            self.call("/instances", path.read_bytes())

    def series(self, modality: str) -> list[Mapping[str, str]]:
        """The tags of its series of a modality."""
        found = [self.call(f"/series/{one}") for one in self.call("/series")]
        return [one["MainDicomTags"] for one in found if one["MainDicomTags"]["Modality"] == modality]

    def start(self) -> None:
        """Start it, with what it stored before."""
        settings = {
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings))
        with (self.folder / "log.txt").open("ab") as log:
            command = [PROGRAM, str(self.folder / "orthanc.json")]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.call("/dicom-web/studies")
                return
            except (OSError, ValueError, urllib.error.URLError):
                time.sleep(0.1)
        self.stop()
        pytest.fail(f"Orthanc did not start:\n{(self.folder / 'log.txt').read_text()[-2000:]}")

    def stop(self) -> None:
        """End it; what it stored stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None


def make_orthanc(folder: Path) -> Orthanc:
    """A started Orthanc; skips where the program is missing."""
    if not Path(PROGRAM).is_file() or not PLUGIN.is_file():
        pytest.skip("needs Debian's packages orthanc and orthanc-dicomweb")
    found = Orthanc(folder, free_port())
    found.start()
    return found
