"""Eight threads that store labels in a process that is killed again and again, and a count of what was lost.

A program: ``killed_writers.py STUDIES LABELS KILLS`` prints the counts as JSON. It imports once and forks the writers.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from liver_apps import entry

entry.make_stand_ins_importable()

from liver_apps.liver.lib.datastore import LiverDatastore  # noqa: E402
from liver_apps.liver.lib.index import INDEX_NAME  # noqa: E402

N_CASES, N_WRITERS, N_READERS = 40, 8, 3
SUFFIXES = (".nii.gz", ".label.json")


def content_of(number: int) -> bytes:
    """The bytes of a label by its number; long enough to be written in pieces."""
    return f"label {number} ".encode() * (2000 + number % 1000)


def store_labels(folder: Path, first: int, told: int) -> None:
    """Store labels from 8 threads, each case by one thread alone, so that its order is known.

    Args:
        folder: The studies.
        first: Number of the first label.
        told: Descriptor of a file that gets a line for each label that was acknowledged.
    """
    store = LiverDatastore(folder)
    temporary = tempfile.mkdtemp(dir=folder.parent)

    def work(writer: int) -> None:
        number = first + writer
        while True:
            case = f"case-{number % N_CASES}"
            suffix = SUFFIXES[number // N_CASES % 2]
            path = Path(temporary) / f"{writer}{suffix}"
            path.write_bytes(content_of(number))
            store.save_label(case, str(path), "final", {"number": number, "reader": f"r{number % N_READERS}"})
            os.write(told, f"{number} {case} {suffix}\n".encode())
            number += N_WRITERS

    for writer in range(N_WRITERS):
        threading.Thread(target=work, args=(writer,), daemon=True).start()
    time.sleep(600)


def killed_after(folder: Path, first: int, n_labels: int, delay_s: float) -> list[tuple[int, str, str]]:
    """The labels that writers acknowledged before they were killed: number, case and suffix."""
    told = folder.parent / "told.txt"
    descriptor = os.open(told, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
    child = os.fork()
    if not child:
        try:
            store_labels(folder, first, descriptor)
        finally:
            os._exit(1)
    os.close(descriptor)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and told.read_bytes().count(b"\n") < n_labels:
        time.sleep(0.002)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    lines = [line.split() for line in told.read_text().splitlines()]
    return [(int(number), case, suffix) for number, case, suffix in lines]


def count_losses(folder: Path, n_labels: int, n_kills: int, seed: int = 0) -> dict[str, int]:
    """Kill the writers at random moments until enough labels were acknowledged, and look for each of them.

    A label is lost when neither it nor a later one of its case and kind is there, ``half`` when a file has bytes that
    were never sent.
    """
    folder.mkdir(parents=True)
    for n in range(N_CASES):
        (folder / f"case-{n}.nrrd").write_bytes(b"x")
    numbers, last, acknowledged, kills, first = random.Random(seed), {}, 0, 0, 0
    while kills < n_kills or acknowledged < n_labels:
        for number, case, suffix in killed_after(folder, first, n_labels // n_kills, numbers.random() * 0.03):
            acknowledged += 1
            last[case, suffix] = max(number, last.get((case, suffix), -1))
        kills += 1
        first += 1000 * N_CASES
    store = LiverDatastore(folder)
    found = {"acknowledged": acknowledged, "kills": kills, "lost": 0, "half": 0}
    for (case, suffix), number in last.items():
        path = store.label_file(case, "final", "answer" if suffix.endswith("json") else "region")
        stored = int(path.read_bytes().split()[1]) if path else -1
        found["lost"] += stored < number
        if path:
            found["half"] += path.read_bytes() != content_of(stored)
    found["problems"] = len(store.verify())
    before = store.json(), [store.labels_of(case) for case in store.list_images()]
    wrong = [item for case in store.list_images() for item in store.labels_of(case) if not _is_told(folder, item)]
    found["problems"] += len(wrong)
    store.close()
    for path in folder.glob(f"{INDEX_NAME}*"):
        path.unlink()
    again = LiverDatastore(folder)
    found["differs_without_index"] = int((again.json(), [again.labels_of(x) for x in again.list_images()]) != before)
    again.close()
    return found


def _is_told(folder: Path, item) -> bool:
    """True when the description of a label is that of its bytes."""
    number = int((folder / "labels" / item.tag / item.name).read_bytes().split()[1])
    return item.info["number"] == number and item.reader == f"r{number % N_READERS}"


if __name__ == "__main__":
    print(json.dumps(count_losses(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
