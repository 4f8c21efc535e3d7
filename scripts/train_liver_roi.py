"""Train the demonstration weights that outline the liver on simulated images: about ten minutes on two cores.

python scripts/train_liver_roi.py --out models/pretrained
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from liver_models.learning.intervals import bootstrap_interval
from liver_models.learning.overlap import dice
from liver_models.segmentation.region_model import RegionModel
from liver_models.segmentation.region_options import ARCHITECTURE, KINDS, RegionOptions
from liver_models.segmentation.region_simulation import simulated_mri, simulated_ultrasound
from liver_models.segmentation.region_training import train_region
from liver_models.weights import Weights, card_markdown, save_weights

TRAINING_SEED, TEST_SEED = 1100, 2100
"""Of the cohorts trained on and reported on."""


def simulated(seed: int, n_rats: int, n_abdomens: int):
    """Images of both kinds."""
    return [*simulated_ultrasound(n_rats, 1, seed), *simulated_mri(n_abdomens, 2, seed)]


def main():
    """Train, report on other simulated patients, write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keeps the checkpoints")
    parser.add_argument("--rats", type=int, default=150)
    parser.add_argument("--abdomens", type=int, default=90)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    options = RegionOptions(epochs=arguments.epochs, patience=8, device=arguments.device, processes=arguments.processes)
    examples = simulated(TRAINING_SEED, arguments.rats, arguments.abdomens)
    weights = train_region(examples, options, folder=arguments.work, progress=_tell)
    halves = {name: value.astype(np.float16) for name, value in weights.tensors.items()}
    weights = Weights(halves, weights.card)  # Half the package; what is reported is measured with them.
    model, found = RegionModel(weights), {}
    for kind in KINDS:
        tested = [e for e in simulated(TEST_SEED, 40, 20) if e.kind == kind and e.region.any()]
        proposals = [model.propose(e.image, kind) for e in tested]
        dices = np.array([dice(p.region, e.region) for p, e in zip(proposals, tested, strict=True)])
        low, high = bootstrap_interval(
            dices, lambda values: float(values.mean()), [e.patient_id for e in tested], n_resamples=1000
        )
        expected = np.array([p.quality for p in proposals])
        found[kind] = {
            "data": f"{len(tested)} images of other simulated patients, seed {TEST_SEED}",
            "dice": round(float(dices.mean()), 4),
            "dice_low": round(low, 4),
            "dice_high": round(high, 4),
            "quality_error": round(float(np.abs(expected - dices).mean()), 4),
        }
    card = weights.card | {
        "name": "Outline of the liver, demonstration weights",
        "command": "python scripts/train_liver_roi.py --out models/pretrained",
        "tested_on": found,
        "limits": "Trained on simulated rats (ultrasound) and simulated abdomens (MRI) only: on real images it is a "
        "start for the reader's corrections, and often wrong.",
    }
    target = arguments.out / f"{ARCHITECTURE}.safetensors"
    save_weights(target, weights.tensors, card)
    target.with_suffix(".md").write_text(card_markdown(card), encoding="utf-8")
    print(f"wrote {target}: {found}")


def _tell(report):
    if report.loss is not None:
        print(
            f"{report.stage} {report.epoch}/{report.n_epochs}  loss {report.loss:.4f}  Dice {report.metric:.4f}",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    main()
