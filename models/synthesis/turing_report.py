"""The report of a reader study: tables, one figure, one page, in a folder that is never half written."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from .. import __version__
from ..io.files import cannot_write
from ..reports.figures import METHOD_COLOURS, STYLE, Picture, grid, png_of
from ..reports.folder import check_own_folder, publish
from ..reports.notice import RESEARCH_NOTICE, result_head
from ..reports.page import page_html, picture_html, table_html
from ..reports.tables import Column, Table, csv_bytes, row_of
from .turing import REAL, TuringKey
from .turing_score import MEASURES, N_RESAMPLES, PAPER, ReaderScore, TuringResult

SCHEMA = "liverlabel.turing.v1"
OWN_NAMES = ("tables", "report.html", "results.json")
PAPER_SOURCE = "Hardy R et al., Sci Rep 2023, 10.1038/s41598-023-48062-z, Table 1: five readers, images not public"
_HEADINGS = {"accuracy": "Accuracy, %", "sensitivity": "Real called real, %", "specificity": "Synthetic called so, %"}
_GROUPS = {"all": "all images", "fatty": "fatty livers", "healthy": "healthy livers"}


def write_report(key: TuringKey, result: TuringResult, out: Path | str, command: str) -> None:
    """Write ``report.html``, ``results.json`` and the tables as CSV.

    Args:
        key: Of the study.
        result: Of its readers.
        out: New, empty, or of an earlier run.
        command: What makes it again.
    Raises:
        UnsuitableInputError: a folder that holds something else, or cannot be written.
    """
    import matplotlib.style

    out = Path(out)
    check_own_folder(out, OWN_NAMES)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    data = "simulated" if key.is_simulated else "measured"
    tables = [make(result, data) for make in (_readers_table, _pooled_table, _sources_table)]
    tables.append(_images_table(key, result, data))
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(result, data)
    document = {
        **result_head(SCHEMA),
        "command": command,
        "data": data,
        "study": key.study,
        "n_images": len(key.images),
        "n_readers": len(result.readers),
        "fleiss_kappa": result.agreement,
        "n_resamples": N_RESAMPLES,
        "readers": [one.to_json() for one in result.readers],
        "pooled": [one.to_json() for one in result.pooled],
        "papers": {"source": PAPER_SOURCE, **{k: dict(zip(MEASURES, v, strict=True)) for k, v in PAPER.items()}},
    }
    files = {f"tables/{one.name}.csv": csv_bytes(one.rows) for one in (*tables, figure)}
    files["report.html"] = _page(key, result, tables, figure, command).encode("utf-8")
    files["results.json"] = (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    publish(out, files)


def _percents(name: str, values) -> dict:
    return dict(
        zip((name, f"{name}_low", f"{name}_high"), (None if v is None else 100 * v for v in values), strict=True)
    )


def _row(score: ReaderScore, **more) -> dict:
    rates = {}
    for name in MEASURES:
        rate = getattr(score, name)
        rates |= _percents(name, (rate.value, rate.low, rate.high))
    return row_of(**more, **rates)


def _rate_columns() -> tuple[Column, ...]:
    return tuple(Column(head, f"{{{m}}} ({{{m}_low}} to {{{m}_high}})", 1) for m, head in _HEADINGS.items())


def _readers_table(result: TuringResult, data: str) -> Table:
    rows = tuple(
        _row(one, reader=one.reader, p_value=one.p_value, median_seconds=one.median_seconds) for one in result.readers
    )
    columns = (
        Column("Reader", "{reader}"),
        *_rate_columns(),
        Column("p", "{p_value}", 3),
        Column("Seconds an image", "{median_seconds}", 1),
    )
    return Table(
        f"readers_{data}",
        "Each reader",
        "95 % intervals by Wilson; p of Fisher's exact test that the answers go with the truth; median seconds.",
        columns,
        rows,
    )


def _pooled_table(result: TuringResult, data: str) -> Table:
    rows = []
    for one in result.pooled:
        if one.group not in _GROUPS:
            continue
        rows.append(_row(one, group=_GROUPS[one.group], of="here"))
        values = {}
        for name, ends in zip(MEASURES, PAPER[one.group], strict=True):
            values |= _percents(name, ends)
        rows.append(row_of(group=_GROUPS[one.group], of="the paper's", **values))
    columns = (Column("Images", "{group}"), Column("Whose", "{of}"), *_rate_columns())
    return Table(
        f"pooled_{data}",
        "All readers together, beside the paper's",
        f"Means over readers; 95 % intervals by {N_RESAMPLES} resamples of readers and, within each source, of images. "
        f"The paper's own figures stand beside for comparison: {PAPER_SOURCE}. Guessing gives two shares that add up "
        "to 100 %.",
        columns,
        tuple(rows),
    )


def _sources_table(result: TuringResult, data: str) -> Table:
    rows = []
    for one in result.pooled:
        if one.group not in _GROUPS:
            rate = one.specificity
            values = _percents("specificity", (rate.value, rate.low, rate.high))
            rows.append(row_of(source=one.group, n=rate.n, **values))
    columns = (Column("Source", "{source}"), Column("Decisions", "{n}"), _rate_columns()[-1])
    return Table(
        f"sources_{data}",
        "Synthetic images by source",
        "The less often they are called synthetic, the more real they look. Intervals as above.",
        columns,
        tuple(rows),
    )


def _images_table(key: TuringKey, result: TuringResult, data: str) -> Table:
    rows = tuple(
        row_of(image=k + 1, source=one.source, called_real_percent=100 * share)
        for k, (one, share) in enumerate(zip(key.images, result.called_real, strict=True))
    )
    return Table(f"images_{data}", "Each image", "Share of readers who called it real.", (), rows)


def _figure(result: TuringResult, data: str) -> Picture:
    """Rates with intervals: each reader, all together, the paper's."""
    lines = [(one.reader, one, METHOD_COLOURS[0]) for one in result.readers]
    lines.append(("all readers", result.pooled[0], METHOD_COLOURS[1]))
    figure, axes = grid(len(MEASURES), height=0.7 + 0.24 * (len(lines) + 1), sharey=True)
    rows = []
    for axis, measure, paper in zip(axes, MEASURES, PAPER["all"], strict=True):
        drawn = [(name, getattr(one, measure), colour) for name, one, colour in lines]
        shown = [(name, (rate.value, rate.low, rate.high), colour) for name, rate, colour in drawn]
        shown.append(("the paper's", paper, "#8a949e"))
        for height, (name, (value, low, high), colour) in enumerate(reversed(shown)):
            axis.plot([100 * low, 100 * high], [height] * 2, color=colour, linewidth=1.6)
            axis.plot(100 * value, height, "o", color=colour, markersize=5)
            rows.append(row_of(reader=name, measure=measure, **_percents("value", (value, low, high))))
        axis.axvline(50, color="#9aa5b0", linewidth=0.8, linestyle="--")
        axis.set_xlim(-2, 104)
        axis.set_title(_HEADINGS[measure], loc="left")
        axis.set_yticks(range(len(shown)), [name for name, _, _ in reversed(shown)])
    return Picture(
        f"figure_rates_{data}",
        "How often readers were right",
        "Points with 95 % intervals: by Wilson for a reader, by resampling readers and images for all. Dashed: 50 %. "
        "Grey: the paper's Table 1.",
        png_of(figure, data == "simulated"),
        tuple(rows),
    )


def _page(key: TuringKey, result: TuringResult, tables, figure: Picture, command: str) -> str:
    sources = {}
    for one in key.images:
        sources[one.source] = sources.get(one.source, 0) + 1
    counts = ", ".join([f"{sources.pop(REAL)} real", *(f"{n} {name}" for name, n in sorted(sources.items()))])
    kappa = "" if result.agreement is None else f" · agreement between readers: Fleiss' κ {result.agreement:.2f}"
    parts = [
        '<div class="banner simulated">SIMULATED DATA · the frames, or what the generators learnt from, are computed'
        "</div>"
        if key.is_simulated
        else "",
        "<h1>Real or synthetic? What readers said</h1>",
        f'<p class="lead">{len(result.readers)} reader(s), {len(key.images)} images: {escape(counts)}{kappa} · '
        f"LiverLabel {escape(__version__)} · a research tool, not a medical device</p>",
        f'<pre class="command">{escape(command)}</pre>',
        picture_html(figure),
        *(table_html(one) for one in tables),
        f'<p class="notice">{escape(RESEARCH_NOTICE)} Study {escape(key.study)}. Each table and the figure are also a '
        "CSV in <code>tables/</code>, everything in <code>results.json</code>.</p>",
    ]
    return page_html("Reader study", parts)
