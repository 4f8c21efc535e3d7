"""Measure the fat fraction of a multi-echo MRI study: maps, numbers of each region, and a report."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure the fat fraction of a multi-echo MRI study"
OPTIONS = ("spectrum", "precession", "readout", "fit")
"""Options of the command that are options of the estimate; those not given keep its defaults."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    from ..mri.fat_spectra import SPECTRA
    from ..mri.pdff_options import METHODS

    spectra = "; ".join(f"{spectrum.name}: {spectrum.description}" for spectrum in SPECTRA.values())
    parser.add_argument(
        "input", metavar="INPUT", help="a case, a DICOM or BIDS folder, NIfTI with JSON, or an ISMRM .mat"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the result; it must be new or empty")
    parser.add_argument(
        "--method",
        metavar="NAME",
        default=METHODS[0],
        help=f"how to estimate: {', '.join(METHODS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--roi",
        metavar="MASK",
        action="append",
        default=[],
        help="label volume on the same grid; each label is one region; may be repeated",
    )
    parser.add_argument("--spectrum", metavar="NAME", help=f"fat spectrum. {spectra}")
    parser.add_argument(
        "--precession", metavar="SIGN", help="auto, +1, or -1 for data that are the conjugate (default: auto)"
    )
    parser.add_argument(
        "--readout", metavar="KIND", help="auto, unipolar, or bipolar for alternating readouts (default: auto)"
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="weights of the method's network (default: those that come with LiverLabel)"
    )
    parser.add_argument(
        "--fit", metavar="KIND", help="complex, or hybrid against eddy-current phase (default: complex)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a former result in DIR")


def run(args: argparse.Namespace) -> int:
    """Read, estimate, write."""
    from ..io.reading import read_study
    from ..mri.pdff import PdffOptions, estimate
    from ..mri.pdff_files import check_out_dir, write_result
    from ..weights import load_weights
    from .console import print_regions, progress_bar

    check_out_dir(args.out, overwrite=args.overwrite)
    study = read_study(Path(args.input))
    rois = read_regions([Path(mask) for mask in args.roi], study)
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    options = PdffOptions.from_request(given)
    network = None if args.weights is None else load_weights(args.weights)
    with progress_bar("Estimating", shown=study.signal.shape[3] > 1) as progress:
        maps = estimate(study, method=args.method, network=network, options=options, progress=progress)
    result = write_result(args.out, study, maps, rois, overwrite=args.overwrite)
    if result["is_simulated"]:
        print("SIMULATED DATA")
    print_regions(result["rois"])
    for sentence in result["warnings"]:
        print(f"note: {sentence}")
    print(f"wrote {Path(args.out) / 'report.html'}")
    return 0


def read_regions(masks: list[Path], study) -> dict:
    """Regions of several mask files; a name that two files share is told apart by its file's.

    Args:
        masks: Label volumes.
        study: The study they were drawn on.
    Returns:
        Name -> bool mask of shape (x, y, z).
    """
    from ..io.volumes import read_mask

    read = [(path, read_mask(path, study.signal.shape[1:], study.affine)) for path in masks]
    names = [name for _, regions in read for name in regions]
    rois = {}
    for path, regions in read:
        stem = path.name.split(".")[0]
        for name, mask in regions.items():
            unique = name if names.count(name) == 1 else f"{stem}_{name}"
            while unique in rois:
                unique += "'"
            rois[unique] = mask
    return rois
