"""Does 3D Slicer's window answer while LiverLabel works, and how soon is a result shown?

Runs the tests that measure it in the environment of Slicer's scene (``make test-scene`` makes it) several times, and
prints for each figure the median and the range. The scene is Slicer's own; its windows are stand-ins over PySide6, and
the time to draw the views is not in it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from common import show

TESTS = "forty_slices_are_shown or an_infer_waits_and_a_large_file"
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-slicer" / "bin" / "python", help="Slicer's scene")
    parser.add_argument("--times", type=int, default=5, help="how often (5)")
    options = parser.parse_args()
    if not options.python.exists():
        parser.error(f"The environment of Slicer's scene is needed; there is no {options.python}. Run: make test-scene")
    found: dict[str, list[float]] = {}
    for _ in range(options.times):
        for name, value in measured(options.python).items():
            found.setdefault(name, []).append(value)
    figures = {
        name: {
            "median": round(statistics.median(values), 4),
            "least": round(min(values), 4),
            "most": round(max(values), 4),
        }
        for name, values in found.items()
    }
    asked = {"infer_and_download_longest_pause_s": 0.05, "forty_slices_all_maps_shown_s": 1.0}
    show(
        "How long is the window away during a 5 s infer and a 60 MB download, and until 40 slices are shown?",
        {"n_runs": options.times, "figures": figures, "asked_at_most": asked},
    )


def measured(python: Path) -> dict[str, float]:
    """What the tests tell of one run, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "tests/slicer_mrml", "--confcutdir=tests/slicer_mrml", "-q", "-k", TESTS]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        ran = [*command, f"--junitxml={report}"]
        # A pause over the limit fails the test and is a figure all the same.
        subprocess.run(ran, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
        told = ElementTree.parse(report).getroot().iter("property")
        return {one.get("name"): round(float(one.get("value")), 4) for one in told}


if __name__ == "__main__":
    main()
