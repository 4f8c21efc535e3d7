"""What does a training step of the full ResHy-Net cost beside its two ResNet-18s, and how long does an answer take?

A step at batch 8, 224 x 224: forward, backward and Adam of the combined model, against forward and backward of the two
branches on the same images, in turns. An answer: three image pairs and values, with Grad-CAM and contributions.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import show

from liver_models.ultrasound.fusion import FusionModel, predict
from liver_models.ultrasound.fusion_data import feature_names
from liver_models.ultrasound.fusion_networks import FusionNetwork
from liver_models.ultrasound.fusion_options import FusionOptions
from liver_models.ultrasound.fusion_training import ARCHITECTURE
from liver_models.ultrasound.phantom import simulate_cohort
from liver_models.weights import Weights

QUESTION = "What does a training step of ResHy-Net cost, and an answer (simulated data)?"
BATCH, SIZE = 8, 224


def step_seconds(repeats):
    """Seconds of each step of the model, and of its branches alone."""
    names = feature_names("combined")
    network = FusionNetwork(FusionOptions(size="full"), len(names)).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    images = {"b_mode": torch.randn(BATCH, 1, SIZE, SIZE), "swe": torch.randn(BATCH, 2, SIZE, SIZE)}
    present = {kind: torch.ones(BATCH, dtype=torch.bool) for kind in images}
    clinical, labels = torch.randn(BATCH, 2 * len(names)), (torch.arange(BATCH) % 2).float()
    whole, plain = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        sum(network.branches[kind](image).mean() for kind, image in images.items()).backward()
        middle = time.perf_counter()
        optimiser.zero_grad()
        logits = network(images, present, clinical)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
        optimiser.step()
        plain.append(middle - start)
        whole.append(time.perf_counter() - middle)
    return whole[1:], plain[1:]


def answer_seconds(size, repeats):
    """Seconds of each answer."""
    names = feature_names("combined")
    options = FusionOptions(size=size)
    network = FusionNetwork(options, len(names))
    n = len(names)
    card = {
        "architecture": ARCHITECTURE,
        "config": {"model": "combined", "mode": "default", "size": size, "features": list(names)}
        | {"median": [0.0] * n, "mean": [0.0] * n, "std": [1.0] * n},
        "calibration": {
            "odds_ratio": 1.0,
            "temperature": 1.0,
            "logits": [-1.0, 1.0] * 10,
            "labels": [False, True] * 10,
        },
    }
    weights = Weights({k: v.numpy() for k, v in network.state_dict().items()}, card)
    model, subject, found = FusionModel(weights), simulate_cohort(4, 2)[0], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        predict(subject, model)
        found.append(time.perf_counter() - start)
    return found[1:]


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    whole, plain = step_seconds(arguments.repeats)
    answers = {size: answer_seconds(size, arguments.repeats) for size in ("small", "full")}
    ratio = float(np.median(np.array(whole) / np.array(plain)))
    summary = {
        "threads": torch.get_num_threads(),
        "step_over_two_resnets": round(ratio, 3),
        "step_seconds": [round(t, 2) for t in whole],
        "two_resnets_seconds": [round(t, 2) for t in plain],
        "answer_seconds": {size: round(float(np.median(found)), 3) for size, found in answers.items()},
        "must_reach": {
            "step <= 1.2 x two ResNet-18": ratio <= 1.2,
            "answer <= 0.4 s (full)": float(np.median(answers["full"])) <= 0.4,
        },
    }
    show(QUESTION, summary)


if __name__ == "__main__":
    main()
