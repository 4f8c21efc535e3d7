"""Eight threads that store labels in a process that is killed again and again, and a count of what was lost.

As a program: store labels until killed, one line for each that was acknowledged.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

N_CASES, N_WRITERS, N_READERS = 40, 8, 3
SUFFIXES = (".nii.gz", ".label.json")


def content_of(number: int) -> bytes:
    """The bytes of a label by its number; long enough to be written in pieces."""
    return f"label {number} ".encode() * (2000 + number % 1000)


def store_labels(folder: str, first: int) -> None:
    """Store labels from 8 threads, each case by one thread alone, so that its order is known."""
    from liver_apps import entry

    entry.make_stand_ins_importable()
    from liver_apps.liver.lib.datastore import LiverDatastore

    store, lock = LiverDatastore(folder), threading.Lock()
    temporary = tempfile.mkdtemp()

    def work(writer: int) -> None:
        number = first + writer
        while True:
            case = f"case-{number % N_CASES}"
            suffix = SUFFIXES[number // N_CASES % 2]
            path = Path(temporary) / f"{writer}{suffix}"
            path.write_bytes(content_of(number))
            store.save_label(case, str(path), "final", {"number": number, "reader": f"r{number % N_READERS}"})
            with lock:
                sys.stdout.write(f"{number} {case} {suffix}\n")
                sys.stdout.flush()
            number += N_WRITERS

    for writer in range(N_WRITERS):
        threading.Thread(target=work, args=(writer,), daemon=True).start()
    print("ready", flush=True)
    time.sleep(600)


def count_losses(folder: Path, n_labels: int, n_kills: int, seed: int = 0) -> dict[str, int]:
    """Kill the writers at random moments until enough labels were acknowledged, and look for each of them.

    A label is lost when neither it nor a later one of its case and kind is there, ``half`` when a file has bytes that
    were never sent.
    """
    from liver_apps.liver.lib.datastore import LiverDatastore
    from liver_apps.liver.lib.index import INDEX_NAME

    folder.mkdir(parents=True)
    for n in range(N_CASES):
        (folder / f"case-{n}.nrrd").write_bytes(b"x")
    numbers, last, acknowledged, kills, first = random.Random(seed), {}, 0, 0, 0
    while kills < n_kills or acknowledged < n_labels:
        command = [sys.executable, __file__, str(folder), str(first)]
        with tempfile.NamedTemporaryFile("w") as sink, open(sink.name, encoding="utf-8") as output:
            process = subprocess.Popen(command, stdout=sink)
            wanted = n_labels // n_kills + numbers.randrange(4)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                output.seek(0)
                if output.read().count("\n") > wanted:
                    break
                time.sleep(0.002)
            time.sleep(numbers.random() * 0.02)
            process.kill()
            process.wait()
            kills += 1
            output.seek(0)
            lines = [line.split() for line in output.read().splitlines(keepends=True) if line.endswith("\n")]
        for number, case, suffix in (line for line in lines if len(line) == 3):
            acknowledged += 1
            last[case, suffix] = max(int(number), last.get((case, suffix), -1))
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
    store_labels(sys.argv[1], int(sys.argv[2]))
