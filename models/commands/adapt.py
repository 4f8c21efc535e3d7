"""Adapt AI-DEAL's networks to your own unlabelled scans; whole patients are held out to see whether it helped."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "adapt the PDFF networks to your own unlabelled scans"
EXIT_NO_BETTER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="cases or scans of at least two patients")
    parser.add_argument("--out", metavar="FILE", required=True, help="weights to write, ending in .safetensors")
    parser.add_argument("--work", metavar="DIR", help="checkpoint folder (default: FILE with .work); resumed if there")
    parser.add_argument("--weights", metavar="FILE", help="weights to start from (default: those of LiverLabel)")
    parser.add_argument("--epochs", type=int, default=20, help="how often every slice is seen (default: %(default)s)")
    parser.add_argument("--max-minutes", type=float, help="stop after so long; the same command goes on")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of every draw (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Read, adapt, compare, write if it helped."""
    from ..errors import UnsuitableInputError
    from ..io.reading import read_study
    from ..mri.adaptation import METRIC, AdaptOptions, adapt
    from ..weights import SUFFIX, load_weights, pretrained_path, save_weights
    from .console import progress_bar

    out = Path(args.out)
    if out.suffix != SUFFIX:
        raise UnsuitableInputError(f"The weights need a name that ends in {SUFFIX}; found {out.name!r}. Rename them.")
    options = AdaptOptions(epochs=args.epochs, max_minutes=args.max_minutes, seed=args.seed, device=args.device)
    start = load_weights(args.weights or pretrained_path("ai_deal"), "ai_deal")
    studies = [read_study(Path(source)) for source in args.inputs]
    folder = Path(args.work) if args.work else out.with_suffix(".work")
    with progress_bar("Adapting") as shown:
        found = adapt(
            studies,
            start=start,
            folder=folder,
            options=options,
            progress=lambda told: shown(told.epoch, told.n_epochs),
        )
    print(f"{METRIC}: {found.validation_before:.4g} before, {found.validation_after:.4g} after")
    if not found.is_better:
        print(f"It did not help on the patients held out; {out.name} was not written.")
        return EXIT_NO_BETTER
    save_weights(out, found.weights.tensors, found.weights.card)
    print(f"wrote {out}; use it with: liverlabel pdff SCAN --weights {out}")
    return 0
