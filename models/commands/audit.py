"""Look for what would make an experiment on images worthless: copies, patients in two parts, shortcuts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "look for copies, patients in two parts and shortcuts in a folder of ultrasound images"
EXIT_FOUND = 1
TREE_OPTIONS = ("patient_pattern", "label_pattern", "leave_out")
"""How a tree is read; any of them makes a folder a tree."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="a cohort of subjects' folders, a studies folder, synthetic sets, or any tree of PNG, JPEG and DICOM",
    )
    parser.add_argument("--out", metavar="FILE", help="write the findings as JSON")
    parser.add_argument("--report", metavar="FILE.html", help="write one offline page with the copies side by side")
    parser.add_argument("--seed", type=int, default=0, help="of permutations and folds (default: %(default)d)")
    parser.add_argument(
        "--patient-pattern",
        metavar="REGEX",
        help="of a tree: what is in its brackets is the patient, such as 'ID_([0-9]+)' (default: by folder and name)",
    )
    parser.add_argument(
        "--label-pattern", metavar="REGEX", help="of a tree: paths it is found in are of fatty livers, others healthy"
    )
    parser.add_argument(
        "--leave-out", metavar="REGEX", help="of a tree: paths it is found in are not read, such as 'masks/'"
    )


def run(args: argparse.Namespace) -> int:
    """Examine every B-mode picture as it was stored, before anything is masked."""
    from ..io.files import write_atomically
    from ..learning.audit import audit

    samples = _samples(args)
    report = audit(samples, seed=args.seed)
    for finding in report.findings:
        print(f"{finding.severity}: {finding.sentence}")
    if not report.findings:
        print("Nothing was found: no copies, no patient under two ids, no shortcut in what is not tissue.")
    if args.out:
        text = json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(Path(args.out), (text + "\n").encode("utf-8"))
        print(f"wrote {args.out}")
    if args.report:
        from ..ultrasound.audit_page import audit_page

        page = audit_page(report, samples, Path(args.folder).resolve().name, _command(args))
        write_atomically(Path(args.report), page.encode("utf-8"))
        print(f"wrote {args.report}")
    return EXIT_FOUND if report.has_errors() else 0


def _samples(args: argparse.Namespace) -> list:
    from ..io.cohort import holds_cohort
    from ..io.picture_tree import read_picture_tree
    from ..ultrasound.audit_samples import audit_samples, tree_samples
    from ..ultrasound.reading import read_cohort

    patterns = [getattr(args, name) for name in TREE_OPTIONS]
    if patterns == [None] * len(patterns) and holds_cohort(args.folder):
        return audit_samples(read_cohort(args.folder, needs_stiffness=False))
    return tree_samples(read_picture_tree(args.folder, *patterns))


def _command(args: argparse.Namespace) -> str:
    """The command that makes the page again; paths by their last name, for a page that travels."""
    words = ["liverlabel audit", Path(args.folder).resolve().name, f"--seed {args.seed}"]
    for name in TREE_OPTIONS:
        if (value := getattr(args, name)) is not None:
            words.append(f"--{name.replace('_', '-')} '{value}'")
    return " ".join([*words, f"--report {Path(args.report).name}"])
