"""Train the demonstration weights of fatty liver on simulated patients: about a minute on one core.

python scripts/train_nafld.py --out models/pretrained
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from liver_models.learning.roc import auc
from liver_models.ultrasound.nafld import by_patient, predict_logits
from liver_models.ultrasound.nafld_options import MODELS, NafldOptions
from liver_models.ultrasound.nafld_training import ARCHITECTURE, train_nafld
from liver_models.ultrasound.phantom_nafld import simulate_nafld_frames
from liver_models.weights import card_markdown, save_weights

TRAINING_SEED, TEST_SEED = 1000, 2000
"""Of the patients trained on and reported on; the experiments use others."""


def main():
    """Train, report on other patients, write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keeps the checkpoint")
    parser.add_argument("--patients", type=int, default=160, help="of both cohorts, 17 of 55 without fatty liver")
    parser.add_argument("--frames", type=int, default=5, help="of each patient")
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--size", choices=("small", "paper"), default="small")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n_healthy = round(arguments.patients * 17 / 55)
    counts = (n_healthy, arguments.patients - n_healthy, arguments.frames)
    learnt, tested = (simulate_nafld_frames(*counts, seed, arguments.size) for seed in (TRAINING_SEED, TEST_SEED))
    options = NafldOptions(model=arguments.model, size=arguments.size, steps=arguments.steps, device=arguments.device)
    weights = train_nafld(learnt, options, folder=arguments.work, progress=_tell)
    logits, labels, _ = by_patient(tested, predict_logits(tested, weights))
    found = auc(logits, labels, n_resamples=2000)
    card = weights.card | {
        "name": "Fatty liver (NAFLD), demonstration weights",
        "command": "python scripts/train_nafld.py --out models/pretrained",
        "training_cohort": f"simulate_nafld_frames{(*counts, TRAINING_SEED)}",
        "tested_on": {
            "data": f"{len(labels)} other simulated patients, seed {TEST_SEED}, {arguments.frames} frames each",
            "auc": round(found.value, 4),
            "auc_low": round(found.bootstrap_low, 4),
            "auc_high": round(found.bootstrap_high, 4),
        },
        "limits": "Trained on simulated patients only: it shows that the software works, and says nothing of a "
        "patient. Of ten public frames of healthy livers it calls eight fatty (docs/nafld.md).",
    }
    target = arguments.out / f"{ARCHITECTURE}.safetensors"
    save_weights(target, weights.tensors, card)
    target.with_suffix(".md").write_text(card_markdown(card), encoding="utf-8")
    print(f"wrote {target}: AUC {found.value:.3f} on other simulated patients")


def _tell(report):
    if report.loss is not None:
        print(f"{report.epoch}/{report.n_epochs}  loss {report.loss:.4f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
