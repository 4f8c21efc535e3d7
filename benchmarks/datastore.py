"""What do saving a label, listing the unlabelled cases and starting take at 10,000 cases, and is a label ever lost?

LiverLabel's datastore and MONAI Label's LocalDatastore on folders alike, half of the cases labelled.
Then eight threads store labels in a process that is killed at random, and every acknowledged label is looked for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import show

from liver_apps import entry

entry.make_stand_ins_importable()

from monailabel.datastore.local import LocalDatastore  # noqa: E402

from liver_apps.liver.lib.datastore import LiverDatastore  # noqa: E402
from liver_models.io.volumes import volume_bytes  # noqa: E402

QUESTION = "How quick is the datastore beside MONAI Label's, and does it lose labels when the server is killed?"
PATTERNS = ("*.nii", "*.nrrd", "*.dcm", "*.mat", "*.nii.gz")
OPEN = {"liverlabel": LiverDatastore, "stock": lambda folder: LocalDatastore(folder, extensions=PATTERNS)}
AFFINE = np.diag([1.5, 1.5, 8, 1])
IMAGE = volume_bytes(np.zeros((256, 256, 8), np.uint8), AFFINE)
LABEL = volume_bytes(np.random.default_rng(0).integers(0, 2, (256, 256, 8), np.uint8), AFFINE)
TARGET_MS = {"save": 20.0, "next_unlabelled": 20.0, "start": 3000.0}
KILLED_WRITERS = Path(__file__).parents[1] / "tests" / "apps" / "killed_writers.py"


def make_folder(folder, n_cases):
    """Cases, every second one with a label."""
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for n in range(n_cases):
        (folder / f"case-{n:05}.nii.gz").write_bytes(IMAGE)
        if n % 2:
            (labels / f"case-{n:05}.nii.gz").write_bytes(b"x")


def timed(work):
    """Milliseconds that ``work`` takes, and what it returns."""
    start = time.perf_counter()
    found = work()
    return 1000 * (time.perf_counter() - start), found


def measured(name, folder, repeats):
    """Milliseconds of each step: the first start on the folder, later ones, saves and listings."""
    found = {"first_start": [timed(lambda: OPEN[name](str(folder)))[0]], "start": [], "save": [], "next_unlabelled": []}
    for _ in range(3):
        took, store = timed(lambda: OPEN[name](str(folder)))
        found["start"].append(took)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "sent.nii.gz"
        path.write_bytes(LABEL)
        for n in range(repeats):
            case = f"case-{2 * n:05}"
            took, _ = timed(lambda case=case: store.save_label(case, str(path), "final", {"reader": "anna"}))
            found["save"].append(took)
            took, ids = timed(store.get_unlabeled_images)
            found["next_unlabelled"].append(took)
            assert case not in ids
    return found


def losses(n_labels, n_kills):
    """The count of :mod:`tests.apps.killed_writers`."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, str(KILLED_WRITERS), f"{temporary}/studies", str(n_labels), str(n_kills)]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    times = {}
    for name in OPEN:
        with tempfile.TemporaryDirectory() as temporary:
            make_folder(Path(temporary) / "studies", arguments.cases)
            times[name] = measured(name, Path(temporary) / "studies", arguments.repeats)
    with tempfile.TemporaryDirectory() as temporary:
        empty = float(np.median([timed(lambda: LiverDatastore(temporary))[0] for _ in range(3)]))
    medians = {name: {step: float(np.median(took)) for step, took in steps.items()} for name, steps in times.items()}
    slowest = {name: {step: float(np.max(took)) for step, took in steps.items()} for name, steps in times.items()}
    ours = medians["liverlabel"]
    counted = losses(arguments.labels, arguments.kills)
    rounded = {name: {step: round(took, 2) for step, took in steps.items()} for name, steps in medians.items()}
    show(
        QUESTION,
        {
            "n_cases": arguments.cases,
            "label_bytes": len(LABEL),
            "median_ms": rounded,
            "slowest_ms": {name: {k: round(v, 2) for k, v in steps.items()} for name, steps in slowest.items()},
            "start_of_an_empty_folder_ms": round(empty, 2),
            "stock_over_liverlabel": {step: round(medians["stock"][step] / ours[step], 2) for step in ours},
            "killed": counted,
            "must_reach": {
                "save <= 20 ms": ours["save"] <= TARGET_MS["save"],
                "next unlabelled <= 20 ms": ours["next_unlabelled"] <= TARGET_MS["next_unlabelled"],
                "start <= 3 s longer than empty": max(ours["start"], ours["first_start"]) - empty <= TARGET_MS["start"],
                "nothing acknowledged is lost": not (counted["lost"] or counted["half"] or counted["problems"]),
            },
        },
    )


if __name__ == "__main__":
    main()
