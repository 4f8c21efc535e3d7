"""How well and how fast is the liver outlined, learnt and corrected?

- Real frames: weights are trained on frames of one group and tested on the other's, both ways, beside the weights that
  LiverLabel ships, which saw simulated images only. LIVERLABEL_DATA names the folder of the public cases.
- A round: the server is asked to learn from 40 simulated frames, over HTTP.
- A click: a reader's click on a frame, over HTTP, the first and the following ones.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from common import show
from PIL import Image
from server import ask, start

from liver_models.io.importer import import_source
from liver_models.io.picture_file import PICTURE_AFFINE
from liver_models.io.volumes import volume_bytes
from liver_models.learning.intervals import bootstrap_interval
from liver_models.learning.overlap import dice
from liver_models.segmentation.region_model import RegionModel
from liver_models.segmentation.region_options import ARCHITECTURE, RegionOptions
from liver_models.segmentation.region_pictures import read_pictures
from liver_models.segmentation.region_simulation import simulated_ultrasound
from liver_models.segmentation.region_training import train_region
from liver_models.weights import load_weights, pretrained_path

QUESTION = "How well and how fast is the liver outlined, learnt and corrected?"
FRAMES = "ultrasound/ussim_real"
SMALLEST = 0.02
"""Share of the frame; smaller livers are not tested on."""
N_FRAMES, N_CLICKS = 40, 20
READING_S = 15
"""Time between asking for a case and training, seconds: a reader needs more for one outline."""


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", default="real,round", help="real, round or both (default)")
    arguments = parser.parse_args()
    figures, reached = {}, {}
    if "real" in arguments.parts:
        figures["real_frames"] = real_frames(arguments.epochs, arguments.seeds)
        for row in figures["real_frames"]["trained"]:
            question = f"Dice >= 0.85, {row['trained_on']} to {row['tested_on']}, from {row['started_from']}"
            reached[question] = row["dice"] >= 0.85
    if "round" in arguments.parts:
        figures["round"] = server_round()
        reached |= {
            "a round of 40 frames <= 5 min": figures["round"]["round_s"] <= 300,
            "start to first step <= 8 s": figures["round"]["first_step_s"] <= 8,
            "a click <= 0.5 s, after the first": figures["round"]["click_s"]["slowest"] <= 0.5,
        }
    show(QUESTION, {**figures, "must_reach": reached})


def real_frames(epochs: int, n_seeds: int) -> dict:
    """Dice on frames of the group that was not learnt from, mean over frames and seeds of the training."""
    examples = read_pictures(Path(os.environ["LIVERLABEL_DATA"]) / FRAMES)
    groups = {name: [e for e in examples if e.case_id.startswith(name)] for name in "ah"}
    tested = {name: [e for e in group if e.region.mean() >= SMALLEST] for name, group in groups.items()}
    shipped = load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE)
    rows = []
    for learnt, other in (("h", "a"), ("a", "h")):
        for is_warm_start in (True, False):
            found = []
            for seed in range(n_seeds):
                options = RegionOptions(epochs=epochs, seed=seed, is_warm_start=is_warm_start)
                found.append(dices(train_region(groups[learnt], options, start=shipped), tested[other]))
            rows.append(
                {
                    "trained_on": f"group {learnt}, {len(groups[learnt])} frames",
                    "started_from": "the shipped weights" if is_warm_start else "nothing",
                    "tested_on": f"group {other}, {len(tested[other])} frames",
                    **summary(np.mean(found, axis=0)),
                    "of_each_seed": [round(float(np.mean(one)), 3) for one in found],
                }
            )
    untrained = [
        {"tested_on": f"group {name}, {len(group)} frames", **summary(dices(shipped, group))}
        for name, group in tested.items()
    ]
    return {
        "data": "measured abdominal frames; patients are not stated, so each frame counts as one in the intervals",
        "shipped_weights_as_they_are": untrained,
        "trained": rows,
    }


def dices(weights, examples) -> np.ndarray:
    """Of each frame."""
    model = RegionModel(weights)
    return np.array([dice(model.propose(e.image, e.kind).region, e.region) for e in examples])


def summary(values: np.ndarray) -> dict:
    """Mean with its interval over frames, and the worst."""
    low, high = bootstrap_interval(values, np.mean)
    return {
        "dice": round(float(values.mean()), 3),
        "interval": [round(low, 3), round(high, 3)],
        "worst": round(float(values.min()), 3),
        "median": round(float(np.median(values)), 3),
    }


def server_round() -> dict:
    """Save outlines, train, click: what each takes."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        names = make_studies(place)
        process, address = start(place / "studies", place)
        try:
            return asked(address, place, names)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def make_studies(place: Path) -> list[str]:
    """Simulated frames as cases of the server, their outlines stored as final."""
    names, labels = [], place / "studies" / "labels" / "final"
    labels.mkdir(parents=True)
    for example in simulated_ultrasound(N_FRAMES, 1, 7):
        folder = place / "source" / example.case_id
        folder.mkdir(parents=True)
        Image.fromarray(example.image).save(folder / "bmode_1.png")
        told = {"schema": "liverlabel.ultrasound", "schema_version": 1, "patient_id": example.case_id, "species": "rat"}
        images = [{"file": "bmode_1.png", "role": "bmode", "name": "1"}]
        (folder / "ultrasound.json").write_text(json.dumps({**told, "is_simulated": True, "images": images}))
        region = volume_bytes(example.region.T[:, :, None], PICTURE_AFFINE)
        (labels / f"{example.case_id}.nii.gz").write_bytes(region)
        names.append(example.case_id)
    import_source(place / "source", place / "studies")
    return names


def asked(address: str, place: Path, names: list[str]) -> dict:
    """A round of training and some clicks."""
    click = {"image": names[0], "params": {"foreground": [[80, 80, 0]]}}
    first = timed(lambda: ask(address, "/liver/infer/liver_roi", click))
    ask(address, "/liver/next/liver_roi")  # As a reader's client does; a process for the training is made ready.
    time.sleep(READING_S)
    begun = time.perf_counter()
    ask(address, "/liver/train/liver_roi", {})
    first_step = None
    while (state := json.loads(ask(address, "/liver/train/liver_roi")))["state"] == "running":
        if first_step is None and (state["progress"] or {}).get("stage", "").startswith("training"):
            first_step = time.perf_counter() - begun
        time.sleep(0.05)
    took = time.perf_counter() - begun
    if state["state"] != "done":
        raise SystemExit(state["message"])
    clicks = []
    for k in range(N_CLICKS):
        click["params"]["foreground"].append([60 + k, 90, 0])
        clicks.append(timed(lambda: ask(address, "/liver/infer/liver_roi", click)))
    return {
        "data": f"simulated B-mode frames of {N_FRAMES} rats, 160 x 160",
        "round_s": round(took, 1),
        "epochs": len(state["curve"]),
        "first_step_s": round(first_step, 2),
        "reading_s_before_the_training": READING_S,
        "held_out_dice": {key: state["result"][f"metric_{key}"] for key in ("before", "after")},
        "first_click_s": round(first, 3),
        "click_s": {"median": round(float(np.median(clicks)), 3), "slowest": round(max(clicks), 3), "n": N_CLICKS},
    }


def timed(work) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
