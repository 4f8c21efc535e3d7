"""What several subcommands say in the same way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, *, shown: bool = True) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error while the block runs; gives a function (done, total, title of the stage).

    The third may be left out: the bar keeps its title.

    Args:
        title: What is being done.
        shown: False gives a function that does nothing; so does a standard error that is no terminal.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda done, total, stage=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total, stage=None: progress.update(
            task, completed=done, total=total, description=stage or title
        )


def called(conformal_answers: tuple[bool, ...]) -> str:
    """What a conformal set decides: yes, no, or nothing."""
    return "abstains" if len(conformal_answers) != 1 else "yes" if conformal_answers[0] else "no"


def percent(probability: float, low: float, high: float) -> str:
    """A probability with its interval; nothing is certain."""

    def share(value: float) -> str:
        return "<1" if value < 0.01 else ">99" if value > 0.99 else f"{100 * value:.0f}"

    return f"{share(probability)} % ({share(low)}–{share(high)} %)"


def print_regions(rows: list[dict]) -> None:
    """The ROI table of a result on standard output."""
    if not rows:
        print("No region given; draw one and pass it with --roi to get its numbers.")
        return
    width = max(12, *(len(row["name"]) for row in rows))
    print(f"{'region':{width}}  {'voxels':>7}  {'mL':>7}  {'PDFF %':>14}  {'median':>7}  {'R2* 1/s':>8}")
    for row in rows:
        mean, spread, median, rate = (
            "–" if row[key] is None else f"{round(row[key], 1) + 0.0:.1f}"
            for key in ("pdff_mean_percent", "pdff_std_percent", "pdff_median_percent", "r2_star_mean_per_s")
        )
        print(
            f"{row['name']:{width}}  {row['n_voxels']:>7}  {row['volume_ml']:>7.1f}  {f'{mean} ± {spread}':>14}  "
            f"{median:>7}  {rate:>8}"
        )


def numbers(text: str) -> list[float]:
    """Numbers separated by commas or spaces, for argparse."""
    try:
        found = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"needs numbers such as 1.3,3.4,5.5; found {text!r}")
    return found
