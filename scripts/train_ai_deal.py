"""Train the weights of AI-DEAL that come with the package: simulated slices, no labels, three stages, then calibration.

    python scripts/train_ai_deal.py --out models/pretrained

About 25 minutes on two cores; ``--device cuda`` needs a GPU and gives weights of the same kind, not of the same bytes.
Stopped and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import torch

from liver_models import __version__
from liver_models.mri.ai_deal_calibration import calibrate
from liver_models.mri.ai_deal_networks import ARCHITECTURE, AiDealNetworks
from liver_models.mri.ai_deal_training import STAGES, Stage, train
from liver_models.mri.training_slices import SliceBank
from liver_models.weights import card_markdown, save_weights

TRAINING_SEED, CALIBRATION_SEED = 1, 2
"""Of the two banks of anatomies, which share no slice."""


def main():
    """Simulate, train, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for ai_deal.safetensors and its card")
    parser.add_argument("--work", type=Path, default=Path("ai_deal_training"), help="checkpoint and simulated slices")
    parser.add_argument("--slices", type=int, default=320, help="anatomies to train on")
    parser.add_argument("--calibration-slices", type=int, default=64, help="other anatomies, to calibrate on")
    parser.add_argument("--crop", type=int, default=128, help="side of the squares that are cut out, voxels")
    parser.add_argument("--scale-steps", type=float, default=1.0, help="more or fewer steps in every stage")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the training; another process prepares slices")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    bank = _bank(arguments.work, TRAINING_SEED, arguments.slices)
    torch.manual_seed(arguments.seed)
    networks = AiDealNetworks()
    stages = tuple(Stage(s.name, max(1, round(s.n_steps * arguments.scale_steps)), s.learning_rate) for s in STAGES)
    started = time.monotonic()
    curve = train(
        networks,
        partial(bank.draw, protocol="any", crop=arguments.crop),
        stages,
        seed=arguments.seed,
        device=arguments.device,
        folder=arguments.work,
        n_workers=1,
        progress=_tell,
    )
    print(f"trained in {(time.monotonic() - started) / 60:.0f} min", file=sys.stderr)
    card = {
        "name": "AI-DEAL, demonstration weights",
        "architecture": ARCHITECTURE,
        "config": networks.config(),
        "version": __version__,
        "trained_on": "simulated slices only (abdomens below and in the dome, vials); no labels",
        "is_trained_on_simulated_data": True,
        "training_slices": len(bank),
        "training_seed": TRAINING_SEED,
        "seed": arguments.seed,
        "stages": [{"name": s.name, "steps": s.n_steps, "learning_rate": s.learning_rate} for s in stages],
        "curve": curve,
        "crop_voxels": arguments.crop,
        "command": "python scripts/train_ai_deal.py --out models/pretrained",
        "use": "Research tool, not a medical device. PDFF from complex images of three or more echoes, 0.3 to 3 T.",
        "history": "Trained with the phase-lock penalty on every hypothesis; since then, and in the calibration, it "
        "counts only where R2* is slow. Training anew gives other bytes.",
        "limits": "Never saw a scan of a patient. Three echoes and much iron, or lung within the voxel, can exchange "
        "water and fat. Figures: docs/physics.md and the README, each beside the command that prints it.",
    }
    held_out = _bank(arguments.work, CALIBRATION_SEED, arguments.calibration_slices)
    card["calibration"] = calibrate(networks.tensors(), card, held_out, progress=_tell_draws)
    target = arguments.out / f"{ARCHITECTURE}.safetensors"
    save_weights(target, networks.tensors(), card)
    target.with_suffix(".md").write_text(card_markdown(card), encoding="utf-8")
    print(f"wrote {target}")


def _bank(folder, seed, n_slices):
    path = folder / f"slices-{seed}-{n_slices}.npy"
    if not path.exists():
        SliceBank.simulate(n_slices, seed, progress=partial(_tell_slices, seed)).save(path)
    return SliceBank.load(path)


def _tell_slices(seed, done, total):
    if done % 20 == 0 or done == total:
        print(f"bank {seed}: {done}/{total} slices", file=sys.stderr, flush=True)


def _tell_draws(done, total):
    if done % 20 == 0:
        print(f"calibration: {done}/{total} slices", file=sys.stderr, flush=True)


def _tell(report):
    print(
        f"{report.stage} {report.step}/{report.n_steps}  loss {report.loss:.4f}  {report.eta_s / 60:.0f} min left",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    main()
