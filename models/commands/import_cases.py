"""Make cases from a DICOM folder, a BIDS folder, NIfTI with JSON or an ISMRM .mat file."""

from __future__ import annotations

import argparse

HELP = "make cases from DICOM, BIDS, NIfTI or .mat files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("source", metavar="SOURCE", help="file or folder to read")
    parser.add_argument("--studies", metavar="DIR", required=True, help="folder that the server serves cases from")
    parser.add_argument("--case-id", metavar="ID", help="name of the case (default: from the source)")


def run(args: argparse.Namespace) -> int:
    """Import and list what became a case and what was skipped, with the reason."""
    from ..errors import UnsuitableInputError
    from ..io.importer import import_source
    from .console import progress_bar

    with progress_bar("Reading") as progress:
        report = import_source(args.source, args.studies, case_id=args.case_id, progress=progress)
    for case_id in report.case_ids:
        print(f"imported  {case_id}")
    for skipped in report.skipped:
        print(f"skipped   {skipped.name}: {skipped.reason}")
    if not report.case_ids:
        raise UnsuitableInputError(
            f"An import needs at least one multi-echo MRI series; {args.source} gave none. See the reasons above."
        )
    return 0
