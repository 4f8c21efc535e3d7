"""One training shared by several processes: torchrun starts them, the first one tells how far they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.processes import die_with
from ..learning.training_progress import TrainingProgress
from .region_options import RegionOptions

POLL_S = 0.2
"""Time between two looks at what the first process told, seconds."""
PATIENCE_S = 600
"""Longest a process waits for the others, seconds."""
PREFIX, LAUNCHER = "processes-", "launcher.pid"
"""How the folder that the processes share is named, and the file in it that names torchrun's process."""


def train_in_processes(
    kind: str,
    options: RegionOptions,
    learnt: tuple[np.ndarray, np.ndarray],
    checked: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    start: dict[str, np.ndarray] | None,
    folder: Path | None,
    progress: Callable[[TrainingProgress], None] | None,
) -> tuple[dict[str, np.ndarray], list[dict]]:
    """As :meth:`.region_fit.Fit.train`, by ``options.processes`` processes; each ends with the one that asked.

    Raises:
        UnsuitableInputError: as the training, or the processes ended before their result.
    """
    if folder is not None:  # Images of patients lie where a training that was killed is tidied up.
        folder.mkdir(parents=True, exist_ok=True)
        for former in folder.glob(f"{PREFIX}*"):
            shutil.rmtree(former, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder) as temporary:
        place = Path(temporary)
        arrays = {"x": learnt[0], "y": learnt[1], "vx": checked[0], "vy": checked[1], "weights": weights}
        np.savez(place / "data.npz", **arrays, **{f"start/{name}": value for name, value in (start or {}).items()})
        asked = {"kind": kind, "options": asdict(options), "folder": None if folder is None else str(folder)}
        (place / "asked.json").write_text(json.dumps(asked))
        (place / "told.jsonl").touch()
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={options.processes}",
        ]
        command += ["-m", __name__, temporary]
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        with open(place / "log.txt", "wb") as log:
            begin = partial(_begin, place, os.getpid())
            launcher = subprocess.Popen(command, stdout=log, stderr=log, env=environment, preexec_fn=begin)
        try:
            with open(place / "told.jsonl", encoding="utf-8") as told:
                while True:
                    has_ended = launcher.poll() is not None
                    for line in told:
                        if progress:
                            progress(TrainingProgress(**json.loads(line)))
                    if has_ended:
                        break
                    time.sleep(POLL_S)
        finally:
            if launcher.poll() is None:
                launcher.terminate()  # torchrun ends its processes.
                try:
                    launcher.wait(30)
                except subprocess.TimeoutExpired:
                    launcher.kill()
                    launcher.wait()
        refusal = place / "refusal.txt"
        if refusal.exists():
            raise UnsuitableInputError(refusal.read_text("utf-8"))
        if not (place / "best.npz").exists():
            tail = (place / "log.txt").read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"The processes of a training ended before their result:\n{tail}")
        with np.load(place / "best.npz") as found:
            best = {name: found[name] for name in found.files}
        return best, json.loads((place / "curve.json").read_text())


def _begin(place: Path, parent: int) -> None:
    """What the launcher does before it becomes torchrun; its processes are told who it is."""
    die_with(parent)
    (place / LAUNCHER).write_text(str(os.getpid()))


def main(place: Path) -> None:
    """What each process does."""
    die_with(int((place / LAUNCHER).read_text()))
    import torch

    from .region_fit import Fit

    asked = json.loads((place / "asked.json").read_text())
    options = RegionOptions(**asked["options"])
    is_cuda = options.device != "cpu" and torch.cuda.is_available()
    torch.distributed.init_process_group("nccl" if is_cuda else "gloo", timeout=timedelta(seconds=PATIENCE_S))
    rank = torch.distributed.get_rank()
    with np.load(place / "data.npz") as data:
        start = {name[6:]: data[name] for name in data.files if name.startswith("start/")}
        sets, weights = ((data["x"], data["y"]), (data["vx"], data["vy"])), data["weights"]

    def tell(report: TrainingProgress) -> None:
        with open(place / "told.jsonl", "a", encoding="utf-8") as told:
            told.write(json.dumps(asdict(report)) + "\n")

    try:
        fit = Fit(asked["kind"], options, *sets, weights, start or None)
        best, curve = fit.train(None if asked["folder"] is None else Path(asked["folder"]), tell)
    except UnsuitableInputError as error:
        if rank == 0:
            (place / "refusal.txt").write_text(str(error), encoding="utf-8")
    else:
        if rank == 0:
            (place / "curve.json").write_text(json.dumps(curve))
            np.savez(place / "partial.npz", **best)
            os.replace(place / "partial.npz", place / "best.npz")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
