"""Replay annotation campaigns on labelled cases: how many labels each way of choosing them needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..learning.campaign import Learner

HELP = "replay annotation campaigns: how many labels each strategy needs"
UNIT_SCHEMA = "liverlabel.campaign-unit.v1"
"""Name and version of what is kept of each repetition of a strategy."""
OWN_NAMES = ("units", "tables", "report.html", "results.json")
"""What a campaign's folder holds; ``results.json`` is put there last."""


@dataclass(frozen=True)
class TaskOptions:
    """What a task makes its learner from: just one of the two."""

    cases: str | None
    """Folder of labelled cases."""
    n_subjects: int | None
    """Number of subjects to simulate."""
    seed: int
    """Of the simulated subjects."""


def _fibrotic_nash(options: TaskOptions) -> Learner:
    from ..ultrasound.campaign_nash import cohort_learner, simulated_learner

    return cohort_learner(options.cases) if options.cases else simulated_learner(options.n_subjects, options.seed)


def _liver_roi(options: TaskOptions) -> Learner:
    from ..segmentation.campaign_region import picture_learner, simulated_learner

    return picture_learner(options.cases) if options.cases else simulated_learner(options.n_subjects, options.seed)


TASKS: dict[str, Callable[[TaskOptions], Learner]] = {"fibrotic_nash": _fibrotic_nash, "liver_roi": _liver_roi}
"""Task -> what makes its learner; a new task is a line here and a function that imports what it needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("--task", metavar="TASK", required=True, help=", ".join(TASKS))
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cases", metavar="DIR", help="labelled cases: a cohort of folders, or a studies folder")
    source.add_argument("--subjects", metavar="N", type=int, help="simulate so many subjects, without images")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the results; new, or one to continue")
    parser.add_argument("--strategies", metavar="A,B,…", help="besides random (default: all that the task can serve)")
    parser.add_argument("--seeds", type=int, default=10, help="repetitions, each its own split (default: %(default)d)")
    parser.add_argument("--seed", type=int, default=0, help="the first of them (default: %(default)d)")
    parser.add_argument("--start", type=int, default=6, help="labels at the start, at random (default: %(default)d)")
    parser.add_argument("--batch", type=int, default=2, help="labels a round (default: %(default)d)")
    parser.add_argument("--max-labels", metavar="N", type=int, help="stop there (default: when the pool is labelled)")


def run(args: argparse.Namespace) -> int:
    """Replay what is missing, write the results, print the labels needed."""
    from .. import __version__
    from ..errors import UnsuitableInputError
    from ..io.json_records import JsonRecords
    from ..learning.campaign import CampaignOptions, digest_of, run_campaign
    from ..learning.campaign_summary import summarise
    from ..reports.folder import check_own_folder, publish
    from .campaign_page import campaign_files
    from .console import progress_bar

    if args.task not in TASKS:
        raise UnsuitableInputError(
            f"A campaign needs one of the tasks {', '.join(TASKS)}; found {args.task!r}. Choose of these."
        )
    options = CampaignOptions(
        strategies=None if args.strategies is None else tuple(args.strategies.replace(",", " ").split()),
        n_seeds=args.seeds,
        first_seed=args.seed,
        n_start=args.start,
        batch=args.batch,
        max_labels=args.max_labels,
    )
    out = Path(args.out)
    check_own_folder(out, OWN_NAMES)
    learner = TASKS[args.task](TaskOptions(args.cases, args.subjects, args.seed))
    digest = digest_of(learner, options)
    records = JsonRecords(out / "units", {"schema": UNIT_SCHEMA, "version": __version__, "sha256": digest})
    with progress_bar("Replaying") as progress:
        units = run_campaign(learner, options, records, progress)
    summary = summarise(units, getattr(learner, "chance", None))
    publish(out, campaign_files(learner, options, units, summary, _command(args, units), args.task, digest))
    _tell(summary, learner)
    print(f"wrote {out / 'report.html'}")
    return 0


def _command(args: argparse.Namespace, units) -> str:
    """The command that makes the folder again; paths by their last name, for a page that travels."""
    source = f"--cases {Path(args.cases).name}" if args.cases else f"--subjects {args.subjects}"
    strategies = ",".join(dict.fromkeys(unit.strategy for unit in units))
    words = [f"liverlabel simulate --task {args.task} {source} --strategies {strategies} --seeds {args.seeds}"]
    words += [f"--seed {args.seed} --start {args.start} --batch {args.batch}"]
    words += [f"--max-labels {args.max_labels}"] if args.max_labels else []
    return " ".join([*words, "--out DIR"])


def _tell(summary, learner) -> None:
    if learner.data != "measured":
        print(learner.data.replace("_", " ").upper() + " DATA")
    print(f"{'labels to 95 % of':17}  {'strategy':16}  {'labels':>6}  {'over random (95 % CI)':22}  never reached")
    for row in summary.needed:
        interval = f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})".replace(
            "nan–nan", "one repetition: none"
        )
        never = f"{row.n_not_reached} of {len(row.labels)}, counted as the pool" if row.n_not_reached else "0"
        what = learner.quality_name if row.target == "quality" else "gain over chance"
        print(f"{what:17}  {row.strategy:16}  {row.mean:6.1f}  {interval:22}  {never}")
