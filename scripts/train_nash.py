"""Train the demonstration weights of fibrotic NASH on a simulated cohort: a few minutes on one core.

python scripts/train_nash.py --out models/pretrained
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from liver_models.learning.roc import auc
from liver_models.ultrasound.fusion import predict_logits
from liver_models.ultrasound.fusion_options import FusionOptions
from liver_models.ultrasound.fusion_training import ARCHITECTURE, train_fusion
from liver_models.ultrasound.phantom import simulate_cohort
from liver_models.weights import card_markdown, save_weights

TRAINING_SEED, TEST_SEED = 1000, 2000
"""Of the cohorts trained on and reported on; the experiments use others."""


def main():
    """Train, report on another cohort, write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keeps the checkpoint")
    parser.add_argument("--subjects", type=int, default=131, help="of both cohorts, a quarter with fibrotic NASH")
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cohorts = [
        list(simulate_cohort(arguments.subjects, round(arguments.subjects * 23 / 87), seed))
        for seed in (TRAINING_SEED, TEST_SEED)
    ]
    options = FusionOptions(size=arguments.size, epochs=arguments.epochs, device=arguments.device)
    weights = train_fusion(cohorts[0], options, folder=arguments.work, progress=_tell)
    labels = np.array([subject.is_fibrotic_nash for subject in cohorts[1]])
    found = auc(predict_logits(cohorts[1], weights), labels, n_resamples=2000)
    card = weights.card | {
        "name": "ResHy-Net, demonstration weights",
        "command": "python scripts/train_nash.py --out models/pretrained",
        "training_cohort": f"simulate_cohort({arguments.subjects}, …, seed={TRAINING_SEED})",
        "tested_on": {
            "data": f"another simulated cohort of {len(labels)} subjects, seed {TEST_SEED}",
            "auc": round(found.value, 4),
            "auc_low": round(found.bootstrap_low, 4),
            "auc_high": round(found.bootstrap_high, 4),
        },
        "limits": "Trained on simulated rats only: it shows that the software works, and says nothing of a patient "
        "or an "
        "animal.",
    }
    target = arguments.out / f"{ARCHITECTURE}.safetensors"
    save_weights(target, weights.tensors, card)
    target.with_suffix(".md").write_text(card_markdown(card), encoding="utf-8")
    print(f"wrote {target}: AUC {found.value:.3f} on another simulated cohort")


def _tell(report):
    if report.loss is not None:
        print(
            f"{report.epoch}/{report.n_epochs}  loss {report.loss:.4f}  {report.metric:.4f}",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    main()
