"""What worked and what did not, in sentences made from the numbers."""

from __future__ import annotations

from ...reports.tables import Column, Table, row_of
from .options import DATA_LABELS, Arm
from .results import NafldResults
from .statistics import Gain

GAINED, HARMED, OPEN = "gain", "harm", "not shown"
"""What an interval says."""


def verdict(found: Gain) -> str:
    """Whether an interval lies above 0, below, or on it."""
    return GAINED if found.is_shown else HARMED if found.is_harm_shown else OPEN


def words_of(arm: Arm) -> str:
    """A way of training in words."""
    return f"{DATA_LABELS[arm.data]} images at r = {arm.rate:g} ({arm.model}, {arm.variant})"


def headline(results: NafldResults) -> str:
    """One paragraph: what the main comparison shows of patients."""
    if not results.main:
        return "Nothing was mixed in; there is nothing to compare."
    said = [
        f"{DATA_LABELS[arm.data]} {_of(results.gains[arm, 'patient'])} ({verdict(results.gains[arm, 'patient'])})"
        for arm in results.main
    ]
    base = results.performances[results.main[0].baseline].patient
    return (
        f"Patient AUC on real images only: {base.value:.3f} ({base.bootstrap_low:.3f}–{base.bootstrap_high:.3f}). "
        f"Gain at r = {results.options.main_rate:g}: " + "; ".join(said) + "."
    )


def finding_tables(results: NafldResults) -> list[Table]:
    """What was shown to work, and what was not; one of them may be empty."""
    worked, failed = [], []
    for arm in results.mixed:
        found = results.gains[arm, "patient"]
        said = verdict(found)
        (worked if said == GAINED else failed).append(row_of(what=words_of(arm), verdict=said, why=_why(arm, results)))
    for kind in results.options.kinds:
        failed += _of_images(kind, results)
    head = (Column("What", "{what}"), Column("Verdict", "{verdict}"), Column("In numbers", "{why}"))
    note = "By the 95 % interval of the patient AUC's gain over real images only, not corrected for how many lines."
    return [
        Table(f"worked_{results.data}", "What worked", note, head, tuple(worked)),
        Table(
            f"did_not_work_{results.data}",
            "What did not work",
            note + " Not shown means that the interval holds 0: neither a gain nor its absence is shown.",
            head,
            tuple(failed),
        ),
    ]


def _why(arm: Arm, results: NafldResults) -> str:
    patient, image = results.gains[arm, "patient"], results.gains[arm, "image"]
    said = f"Patients {_of(patient)}; images {_of(image)}."
    if not patient.is_shown and image.t > 0 and image.t_p < 0.05:
        said += " Over seeds alone the gain would look sure (paired t); it is not, over patients."
    return said


def _of_images(kind: str, results: NafldResults) -> list[dict]:
    n_folds, rows = results.options.n_folds, []
    folds = [results.judged[kind, fold][0] for fold in range(n_folds)]
    label = f"{DATA_LABELS[kind]} images"
    both = [one["both"] for one in folds]
    collapsed = sum(bool(one["is_collapsed"]) for one in both)
    if collapsed:
        why = f"Too few different images in {collapsed} of {n_folds} folds."
        rows.append(row_of(what=label, verdict="collapsed", why=why))
    kids = [(one["synthetic"]["kid"]["low"], one["floor"]["kid"]["value"]) for one in both]
    apart = sum(low is not None and low > floor for low, floor in kids)
    if apart:
        why = f"KID's interval lies above that of real training frames in {apart} of {n_folds} folds."
        rows.append(row_of(what=label, verdict="told apart from real", why=why))
    copied = max(one["audit"]["share"] for one in folds)
    if copied > 0:
        why = f"Up to {100 * copied:.1f} % of a fold's images copy a training frame."
        rows.append(row_of(what=label, verdict="copies", why=why))
    return rows


def _of(found: Gain) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})".replace("-", "−")
