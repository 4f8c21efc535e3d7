"""A DICOMweb store of a few lines on loopback that fails when it is told to."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom.dataset import Dataset

BOUNDARY = "a-boundary-of-the-tests"


class FakeStore:
    """Holds DICOM files; ``fault`` says how it fails.

    Faults: ``""`` none, ``status:N`` every request answered N, ``page`` a web page for every search, ``half`` the last
    image of a series is not delivered, ``cut`` the connection ends within a series, ``refuse`` takes no object,
    ``refuse once`` takes not the next one, ``hang`` no reply.
    """

    def __init__(self):
        self.fault, self.files, self.asked = "", {}, []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def close(self) -> None:
        self.fault = ""
        self._server.shutdown()
        self._server.server_close()

    def send(self, folder: Path) -> None:
        """Store the files of a folder."""
        for path in folder.rglob("*.dcm"):
            self.add(path.read_bytes())

    def add(self, content: bytes) -> None:
        header = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        self.files[header.SOPInstanceUID] = (header, content)

    def of(self, modality: str) -> list[Dataset]:
        """The stored objects of a modality."""
        return [header for header, _ in self.files.values() if header.Modality == modality]

    def _handler(store):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):  # noqa: N802
                url = urlsplit(self.path)
                store.asked.append(self.path)
                if self._failed():
                    return
                if match := re.fullmatch(r"/dicom-web/studies/([\d.]+)/series/([\d.]+)", url.path):
                    self._deliver(match[2])
                elif match := re.fullmatch(r"/dicom-web(?:/studies/([\d.]+))?/series", url.path):
                    self._search(match[1], {key: values[0] for key, values in parse_qs(url.query).items()})
                else:
                    self._reply(404, b"", "text/plain")

            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
                if self._failed():
                    return
                mark = b"--" + re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])[1].encode()
                parts = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in body.split(mark)[1:-1]]
                if store.fault in ("refuse", "refuse once"):
                    store.fault = store.fault.removesuffix("refuse once")
                    item = Dataset()
                    item.FailureReason = 272
                    item.ReferencedSOPInstanceUID = "1.2"
                    answer = Dataset()
                    answer.FailedSOPSequence = [item]
                    self._reply(200, json.dumps(answer.to_json_dict()).encode(), "application/dicom+json")
                    return
                for part in parts:
                    store.add(part)
                self._reply(200, b"{}", "application/dicom+json")

            def _chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _failed(self) -> bool:
                if store.fault.startswith("status:"):
                    self._reply(int(store.fault[7:]), b"no", "text/plain")
                elif store.fault == "page":
                    self._reply(200, b"<html>Welcome</html>", "text/html")
                elif store.fault == "hang":
                    while store.fault == "hang":
                        time.sleep(0.02)
                else:
                    return False
                return True

            def _search(self, study: str | None, asked: dict[str, str]) -> None:
                rows: dict[str, Dataset] = {}
                for header, _ in list(store.files.values()):
                    if header.Modality != asked["Modality"] or study not in (None, header.StudyInstanceUID):
                        continue
                    row = rows.setdefault(header.SeriesInstanceUID, Dataset())
                    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality"):
                        setattr(row, keyword, header.get(keyword, ""))
                    row.NumberOfSeriesRelatedInstances = int(row.get("NumberOfSeriesRelatedInstances", 0)) + 1
                first, limit = int(asked.get("offset", 0)), int(asked.get("limit", 1000))
                page = [row.to_json_dict() for _, row in sorted(rows.items())][first : first + limit]
                self._reply(200, json.dumps(page).encode(), "application/dicom+json")

            def _deliver(self, uid: str) -> None:
                contents = [c for header, c in store.files.values() if header.SeriesInstanceUID == uid]
                contents = contents[:-1] if store.fault == "half" else contents
                head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
                body = b"".join(head + content + b"\r\n" for content in contents) + f"--{BOUNDARY}--".encode()
                kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
                self._reply(200, body, kind, n_sent=len(body) // 2 if store.fault == "cut" else None)

            def _reply(self, status: int, body: bytes, kind: str, n_sent: int | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:n_sent])

        return Handler
