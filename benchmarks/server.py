"""Does the server answer while it computes, and what does asking it add to the computation?

Starts a server of its own on simulated cases and prints JSON: latency of ``GET /info/`` idle and while a ``pdff``
request runs, seconds of a request, and the ratio to the same computation by direct calls, taken in turns on the same
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
from common import show

from liver_models.io.export import write_bids
from liver_models.io.importer import import_source
from liver_models.io.reading import read_study
from liver_models.mri.pdff import estimate
from liver_models.mri.pdff_files import result_json
from liver_models.mri.phantom import make_phantom

CASE = "simulated-liver"
TOKEN = secrets.token_urlsafe(16)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        studies = Path(temporary) / "studies"
        source = Path(temporary) / "bids"
        study, _ = make_phantom("liver", snr=50, n_slices=options.slices, seed=1)
        write_bids(study, source)
        import_source(source, studies, case_id=CASE)
        started = time.monotonic()
        process, address = start(studies, Path(temporary))
        start_s = time.monotonic() - started
        try:
            measured = compare(address, studies, options.repeats)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
    busy, ratio = measured["info_while_computing_ms"], measured["request_over_direct"]
    figures = {
        "data": f"simulated liver, 192 x 192 x {options.slices}, six echoes, 1.5 T, SNR 50",
        "start_s": round(start_s, 2),
        **measured,
        "must_reach": {
            "/info <= 20 ms while computing (95th percentile)": busy["p95"] <= 20,
            "request <= 1.15 x direct call": ratio <= 1.15,
        },
    }
    show(__doc__.splitlines()[0], figures)


def compare(address: str, studies: Path, repeats: int) -> dict:
    """Direct calls and requests in turns; ``/info/`` before and during the requests."""
    ask(address, "/liver/infer/pdff", {"image": CASE})
    idle = latencies(address, lambda count: count < 200)
    direct_s, request_s, busy = [], [], []
    for _ in range(repeats):
        started = time.perf_counter()
        study = read_study(studies / f"{CASE}.case.json")
        result_json(study, estimate(study), {})
        direct_s.append(time.perf_counter() - started)
        started = time.perf_counter()
        ask(address, "/liver/infer/pdff", {"image": CASE})
        request_s.append(time.perf_counter() - started)
        running = threading.Thread(target=ask, args=(address, "/liver/infer/pdff", {"image": CASE}))
        running.start()
        busy += latencies(address, lambda _, running=running: running.is_alive())
        running.join()
    return {
        "info_idle_ms": summary(idle),
        "info_while_computing_ms": summary(busy),
        "direct_s": [round(value, 3) for value in direct_s],
        "request_s": [round(value, 3) for value in request_s],
        "request_over_direct": round(statistics.median(request_s) / statistics.median(direct_s), 3),
    }


def latencies(address: str, goes_on) -> list[float]:
    """Milliseconds of ``GET /info/``, one after the other, ten milliseconds apart."""
    taken: list[float] = []
    while goes_on(len(taken)):
        started = time.perf_counter()
        ask(address, "/info/")
        taken.append((time.perf_counter() - started) * 1e3)
        time.sleep(0.01)
    return taken


def summary(values: list[float]) -> dict:
    """Median, 95th and 99th percentile, maximum and number."""
    shares = dict(zip(("p50", "p95", "p99", "max"), np.percentile(values, [50, 95, 99, 100]), strict=True))
    return {name: round(float(value), 2) for name, value in shares.items()} | {"n": len(values)}


def ask(address: str, path: str, body: dict | None = None) -> bytes:
    """One request."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers)) as reply:
        return reply.read()


def start(studies: Path, folder: Path) -> tuple[subprocess.Popen, str]:
    """Start the server and wait until it answers."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "liver_apps.entry",
        "start_server",
        "--app",
        "apps/liver",
        "--studies",
        str(studies),
    ]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=log, stderr=log, env={**os.environ, "LIVERLABEL_TOKEN": TOKEN}
        )
    address = f"http://127.0.0.1:{port}"
    while process.poll() is None:
        try:
            ask(address, "/liver/health")
            return process, address
        except OSError:
            time.sleep(0.05)
    raise SystemExit((folder / "log.txt").read_text())


if __name__ == "__main__":
    main()
