"""The page of replayed campaigns: learning curves, labels needed, and how it came about."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape

import matplotlib.style
from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

from .. import __version__
from ..learning.campaign import BASELINE, CampaignOptions, Learner, Unit
from ..learning.campaign_summary import CampaignSummary
from ..reports.figures import METHOD_COLOURS, STYLE, Picture, grid, png_of
from ..reports.notice import RESEARCH_NOTICE, result_head
from ..reports.page import contents_html, page_html, picture_html, table_html
from ..reports.tables import Column, Table, csv_bytes, plain, row_of

CAMPAIGN_SCHEMA = "liverlabel.campaign.v1"
"""Name and version of ``results.json``."""
BANNERS = {
    "simulated": "SIMULATED DATA · every number here is computed, none measured",
    "partly_simulated": "PARTLY SIMULATED DATA",
}
GREY = "#5b6875"


def campaign_files(
    learner: Learner,
    options: CampaignOptions,
    units: list[Unit],
    summary: CampaignSummary,
    command: str,
    task: str,
    digest: str,
) -> dict[str, bytes]:
    """Everything that the folder of a campaign holds beside its units.

    Args:
        learner: What learnt.
        options: What was replayed.
        units: Every strategy in every repetition.
        summary: Of the units.
        command: That makes the folder again.
        task: Its name.
        digest: Of code, cases and settings.
    Returns:
        Name -> bytes.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = curves_figure(summary, learner)
    table = needed_table(summary, learner)
    counts = {
        "n_cases": learner.n_cases,
        "n_patients": len({str(patient) for patient in learner.patient_ids}),
        "n_repetitions": len({unit.seed for unit in units}),
        "n_pool": list(summary.n_pool),
    }
    settings = {k: v for k, v in asdict(options).items() if k != "strategies"}
    document = {
        **result_head(CAMPAIGN_SCHEMA),
        "command": command,
        "task": task,
        "data": learner.data,
        "quality_name": learner.quality_name,
        **counts,
        "settings": settings,
        "sha256": digest,
        "full_pool_quality": {
            "mean": plain(summary.full_quality),
            "low": plain(summary.full_low),
            "high": plain(summary.full_high),
        },
        "labels_of_each_repetition": [
            {"strategy": row.strategy, "target": row.target, "labels": list(row.labels)} for row in summary.needed
        ],
        "tables": {table.name: list(table.rows), figure.name: list(figure.rows)},
    }
    files = {f"tables/{name}.csv": csv_bytes(rows) for name, rows in document["tables"].items()}
    files["report.html"] = _page(document, table, figure).encode("utf-8")
    files["results.json"] = (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    return files


def curves_figure(summary: CampaignSummary, learner: Learner) -> Picture:
    """Each strategy's mean curve with its interval, beside that of random choice."""
    curves = {curve.strategy: curve for curve in summary.curves}
    others = [name for name in curves if name != BASELINE] or [BASELINE]
    figure, axes = grid(len(others), sharex=True, sharey=True)
    for k, (axis, name) in enumerate(zip(axes, others, strict=True)):
        for shown, colour in ((BASELINE, GREY), (name, METHOD_COLOURS[k % len(METHOD_COLOURS)])):
            curve = curves[shown]
            axis.fill_between(curve.n_labels, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(curve.n_labels, curve.mean, color=colour, linewidth=1.4, label=shown.replace("_", " "))
            if shown == name == BASELINE:
                break
        axis.axhline(summary.full_quality, color="black", linewidth=0.8, linestyle="--", label="whole pool")
        axis.set_title(name.replace("_", " "), loc="left")
        axis.tick_params(labelbottom=True)
        axis.legend(loc="lower right")
        # What differs lies among the first labels.
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
    figure.supxlabel("Labels", fontsize=9)
    figure.supylabel(f"{learner.quality_name} on held-out patients", fontsize=9)
    rows = tuple(
        row_of(strategy=curve.strategy, labels=n, mean=mean, low=low, high=high)
        for curve in summary.curves
        for n, mean, low, high in zip(curve.n_labels, curve.mean, curve.low, curve.high, strict=True)
    )
    return Picture(
        f"learning_curves_{learner.data}",
        "Learning curves",
        f"{_said(learner)}{learner.quality_name} on held-out patients against labels: mean over repetitions with its "
        "95 % bootstrap interval; dashed: models of the whole pool.",
        png_of(figure, learner.data == "simulated"),
        rows,
    )


def needed_table(summary: CampaignSummary, learner: Learner) -> Table:
    """Labels until 95 % of what the whole pool teaches is reached."""
    what = {"quality": f"95 % of the whole pool's {learner.quality_name}", "gain": "95 % of its gain over chance"}
    rows = tuple(
        row_of(
            target=what[row.target],
            strategy=row.strategy.replace("_", " "),
            labels=row.mean,
            ratio=row.ratio,
            ratio_low=row.ratio_low,
            ratio_high=row.ratio_high,
            median_ratio=row.median_ratio,
            n_repetitions=len(row.labels),
            never=row.n_not_reached,
            at_start=row.n_at_start,
            mean_curve_labels=row.mean_curve_labels,
            mean_curve_ratio=row.mean_curve_ratio,
        )
        for row in summary.needed
    )
    columns = (
        Column("Reached", "{target}"),
        Column("Strategy", "{strategy}"),
        Column("Labels", "{labels}", 1),
        Column("Over random (95 % CI)", "{ratio} ({ratio_low}–{ratio_high})"),
        Column("Median ratio", "{median_ratio}"),
        Column("Never reached", "{never} of {n_repetitions}"),
        Column("At the start", "{at_start}"),
        Column("Labels, mean curve", "{mean_curve_labels}"),
    )
    note = (
        f"{_said(learner)}Labels until a round first reaches the target, mean over repetitions; one that never does "
        "counts as the whole pool. Over random: ratio of means, repetitions paired, bootstrap interval. At the "
        "start: repetitions that were there before anything was chosen. Mean curve: where the mean over repetitions "
        "reaches the mean target."
    )
    return Table(f"labels_needed_{learner.data}", "Labels needed", note, columns, rows)


def _said(learner: Learner) -> str:
    return {"simulated": "Simulated data. ", "partly_simulated": "Partly simulated data. "}.get(learner.data, "")


def _page(document: dict, table: Table, figure: Picture) -> str:
    full, banner = document["full_pool_quality"], BANNERS.get(document["data"], "")
    settings = document["settings"]
    counts = (
        f"{document['n_cases']} cases of {document['n_patients']} patients, {document['n_repetitions']} repetitions; "
        f"models of the whole pool reach {document['quality_name']} {full['mean']:.3f}"
    )
    sections = [("Labels needed", table_html(table)), ("Learning curves", picture_html(figure))]
    entries = [
        ("Task", document["task"]),
        ("Labels", f"{settings['n_start']} at the start, {settings['batch']} a round, strategies share the start"),
        ("Held out", f"{100 * settings['test_fraction']:.0f} % of the patients, anew in each repetition"),
        ("SHA-256 of code, cases, settings", document["sha256"]),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    parts = [
        f'<div class="banner simulated">{banner}</div>' if banner else "",
        "<h1>How many labels each strategy needs</h1>",
        f'<p class="lead">{escape(counts)} · LiverLabel {escape(__version__)} · a research tool, not a medical '
        "device</p>",
        f'<pre class="command">{escape(document["command"])}</pre>',
        contents_html(sections),
        *(f'<h2 id="s{n}">{escape(name)}</h2>{body}' for n, (name, body) in enumerate(sections, start=1)),
        f'<h2>How it came about</h2><div class="panel"><dl>{listed}</dl></div>',
        f'<p class="notice">{escape(RESEARCH_NOTICE)} Each table and figure is also a CSV in <code>tables/</code>, '
        "everything in <code>results.json</code>.</p>",
    ]
    return page_html("Annotation campaigns", parts)
