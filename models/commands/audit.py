"""Look for what would make an experiment on a cohort worthless: copies, patients under two ids, shortcuts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "look for copies, patients under two ids and shortcuts in an ultrasound cohort"
EXIT_FOUND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("cohort", metavar="DIR", help="a cohort of subjects' folders, or a studies folder")
    parser.add_argument("--out", metavar="FILE", help="write the findings as JSON")
    parser.add_argument("--seed", type=int, default=0, help="of permutations and folds (default: %(default)d)")


def run(args: argparse.Namespace) -> int:
    """Examine every B-mode picture as it was stored, before anything is masked."""
    from ..io.files import write_atomically
    from ..learning.audit import audit
    from ..ultrasound.audit_samples import audit_samples
    from ..ultrasound.reading import read_cohort

    report = audit(audit_samples(read_cohort(args.cohort, needs_stiffness=False)), seed=args.seed)
    for finding in report.findings:
        print(f"{finding.severity}: {finding.sentence}")
    if not report.findings:
        print("Nothing was found: no copies, no patient under two ids, no shortcut in what is not tissue.")
    if args.out:
        text = json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(Path(args.out), (text + "\n").encode("utf-8"))
        print(f"wrote {args.out}")
    return EXIT_FOUND if report.has_errors() else 0
