"""Simulate a liver, measure its fat, and write one offline HTML page about it."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "simulate a liver, measure it, write a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("--out", metavar="DIR", default="demo", help="folder for the result (default: %(default)s)")
    parser.add_argument("--snr", type=float, default=50.0, help="signal over noise (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="which liver (default: %(default)d)")


def run(args: argparse.Namespace) -> int:
    """Simulate, estimate, write; a former demo is replaced."""
    from ..mri.pdff import estimate
    from ..mri.pdff_files import check_out_dir, write_result
    from ..mri.phantom import make_phantom
    from .console import print_regions, progress_bar

    check_out_dir(args.out, overwrite=True)
    study, truth = make_phantom("liver", snr=args.snr, seed=args.seed, n_slices=3)
    with progress_bar("Estimating") as progress:
        maps = estimate(study, progress=progress)
    result = write_result(args.out, study, maps, truth.rois, overwrite=True)
    print("SIMULATED DATA")
    print_regions(result["rois"])
    print(f"wrote {Path(args.out) / 'report.html'}")
    return 0
