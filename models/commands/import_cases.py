"""Make cases from a DICOM folder, a BIDS folder, NIfTI with JSON, an ISMRM .mat file, or ultrasound subjects."""

from __future__ import annotations

import argparse

HELP = "make cases from DICOM, BIDS, NIfTI, .mat or ultrasound files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("source", metavar="SOURCE", help="file or folder to read")
    parser.add_argument("--studies", metavar="DIR", required=True, help="folder that the server serves cases from")
    parser.add_argument("--case-id", metavar="ID", help="name of the case (default: from the source)")
    parser.add_argument("--clinical", metavar="TABLE", help="CSV or Excel table of ultrasound subjects' values")
    parser.add_argument("--mapping", metavar="JSON", help="what the headers of the table mean, as JSON")
    parser.add_argument("--species", choices=("rat", "human"), help="of the ultrasound subjects")


def run(args: argparse.Namespace) -> int:
    """Import and list what became a case and what was skipped, with the reason."""
    from ..errors import UnsuitableInputError
    from ..io.importer import import_source
    from .console import progress_bar

    with progress_bar("Reading") as progress:
        report = import_source(
            args.source,
            args.studies,
            case_id=args.case_id,
            progress=progress,
            clinical=args.clinical,
            species=args.species,
            mapping=args.mapping,
        )
    for case_id in report.case_ids:
        print(f"imported  {case_id}")
    for skipped in report.skipped:
        print(f"skipped   {skipped.name}: {skipped.reason}")
    if report.table is not None:
        print(report.table.summary())
    if report.note:
        print(report.note)
    if not report.case_ids:
        raise UnsuitableInputError(
            f"An import needs a multi-echo MRI series or ultrasound images; {args.source} gave none. See the "
            "reasons above."
        )
    return 0
