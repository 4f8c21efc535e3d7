"""What every benchmark says beside its figures: the question, the commit, the machine and the command."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path


def show(question: str, figures: dict) -> None:
    """Print one JSON document; with LIVERLABEL_BENCH_OUT set, also keep it there under the script's name.

    Args:
        question: What the figures answer.
        figures: JSON-ready.
    """
    document = {
        "question": question,
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "commit": COMMIT,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
        },
        **figures,
    }
    text = json.dumps(document, indent=1, allow_nan=False)
    print(text)
    if folder := os.environ.get("LIVERLABEL_BENCH_OUT"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{Path(sys.argv[0]).stem}.json").write_text(text + "\n")


def _commit():
    def git(*arguments):
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+changes" if git("status", "--porcelain") else "")


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


COMMIT = _commit()
"""Commit of the source when the benchmark started, with a mark when files differ from it."""
