"""Train one of the methods that AI-DEAL is compared with, on simulated slices labelled by the graph cut.

    python scripts/train_compared.py --method u_net --configuration small --out models/pretrained

A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

from liver_models.errors import UnsuitableInputError

VALIDATION_SEED = 1_000_000
"""Added to the seed for the simulated slices that validate."""


def main() -> int:
    """Simulate, label, train, write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("u_net", "mdwf_net", "vet_net"), required=True, help="which network")
    parser.add_argument("--configuration", choices=("small", "paper"), default="small", help="default: %(default)s")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of the processor (default: %(default)d)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)d)")
    parser.add_argument("--minutes", type=float, help="stop the training after so long; resume by the same command")
    parser.add_argument("--steps", type=int, help="of the training (default: those of the configuration)")
    parser.add_argument("--out", type=Path, default=Path("models/pretrained"), help="folder (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="file (default: build/training/METHOD-CONFIGURATION)")
    args = parser.parse_args()
    try:
        return train(args)
    except UnsuitableInputError as error:
        print(error, file=sys.stderr)
        return 2


def train(args: argparse.Namespace) -> int:
    """What :func:`main` does with its arguments; returns the exit code."""
    import torch

    from liver_models.mri.supervised_labels import label_slices
    from liver_models.mri.supervised_training import PLANS
    from liver_models.mri.supervised_training import train as train_network
    from liver_models.mri.training_slices import SliceBank
    from liver_models.weights import card_markdown, save_weights

    torch.set_num_threads(args.threads)
    plan = PLANS[args.configuration][args.method]
    if args.steps is not None:
        plan = dataclasses.replace(plan, n_steps=args.steps)
    name = f"{args.method}-{args.configuration}.safetensors"
    checkpoint = args.checkpoint or Path("build/training") / name
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.0f} s  {text}", flush=True)

    say(f"simulating {plan.n_bank} slices")
    bank = SliceBank.simulate(plan.n_bank, args.seed)
    unseen = SliceBank.simulate(plan.n_validation, args.seed + VALIDATION_SEED)
    say(f"labelling {plan.n_labelled} scans of them by graph cut")
    labelled = label_slices(bank, plan.n_labelled, args.seed)
    protocol = "paper" if args.method == "vet_net" else "six_echoes"
    validation = label_slices(unseen, plan.n_validation, args.seed + VALIDATION_SEED, protocol)
    say(f"training, {plan.n_steps} steps")
    every = max(1, plan.n_steps // 20)

    def report(step: int, n_steps: int, loss: float) -> None:
        if step % every == 0:
            say(f"step {step} of {n_steps}, loss {loss:.4f}")

    result = train_network(
        args.method,
        plan,
        labelled,
        validation,
        seed=args.seed,
        device=args.device,
        checkpoint=checkpoint,
        max_minutes=args.minutes,
        progress=report,
    )
    metric = result.weights.card["validation"]["pdff_error_points"]["mean"]
    say(f"median |PDFF - graph cut| on unseen slices: {metric:.2f} points")
    if not result.is_complete:
        say(f"stopped at step {result.n_steps_done}; the same command goes on")
        return 0
    command = f"scripts/train_compared.py --method {args.method} --configuration {args.configuration}"
    command += f" --seed {args.seed}" + (f" --steps {args.steps}" if args.steps is not None else "")
    card = result.weights.card | {"command": command}
    path = args.out / f"{args.method}.safetensors"
    save_weights(path, result.weights.tensors, card)
    partial = path.with_suffix(".md.partial")
    partial.write_text(card_markdown(card), encoding="utf-8")
    os.replace(partial, path.with_suffix(".md"))
    checkpoint.unlink()
    say(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
