"""The report of a measurement as one HTML page that needs no network; files are written whole or not at all."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from .errors import UnsuitableInputError
from .slice_picture import Picture
from .stats import SegmentRow

RESEARCH = "Research tool, not a medical device. Not for diagnosis or treatment decisions."
_STYLE = """
body { font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1c2530; margin: 2em auto;
  max-width: 60em; padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0 0 .2em; } h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
.case { color: #55606e; margin: 0 0 1em; }
.notice, .simulated { padding: .5em .8em; border-left: 4px solid #8a94a0; background: #f1f3f5; margin: .5em 0; }
.simulated { border-color: #b26a00; background: #fff4e0; font-weight: 600; }
.picture { display: flex; gap: 1em; align-items: stretch; margin: 1em 0; }
.slice { display: grid; grid-template: auto 1fr auto / auto 1fr auto; text-align: center; background: #21262e;
  color: #dfe5ec; padding: .2em; }
.slice span { align-self: center; padding: 0 .35em; font-size: .85em; }
.slice img { display: block; width: 100%; max-width: 36em; image-rendering: pixelated; }
.bar { display: flex; gap: .4em; } .bar img { width: 1.1em; height: 100%; min-height: 14em; }
.bar div { display: flex; flex-direction: column; justify-content: space-between; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .3em .6em; border-bottom: 1px solid #d5dae0; }
th { text-align: right; font-weight: 600; vertical-align: bottom; } td { text-align: right;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 8em; }
.facts th, .facts td { text-align: left; } .facts th { width: 14em; font-weight: 400; color: #55606e; }
figcaption, .foot { color: #55606e; font-size: .9em; }
@media print { body { margin: 0; } }
""".strip()


@dataclass(frozen=True)
class Report:
    """What a page says."""

    title: str
    """Heading, such as "Liver fat"."""
    case_id: str
    """Of which case; empty for files that are not stored."""
    is_simulated: bool
    """Said at the top."""
    notice: str
    """The server's."""
    facts: Mapping[str, str]
    """Label -> text: method, model, acquisition."""
    quantity: str
    """Such as PDFF."""
    unit: str
    """Of the map."""
    rows: Sequence[SegmentRow]
    """Of the table."""
    remarks: Sequence[str] = ()
    """Sentences under the table."""
    picture: Picture | None = None
    """A slice of the map."""
    caption: str = ""
    """Under the picture."""
    bar: Picture | None = None
    """The colour scale."""
    ticks: Sequence[str] = field(default=())
    """Numbers at the scale, from its high end down."""


def report_html(report: Report) -> str:
    """The page: everything inline, every text escaped."""
    title = escape(f"{report.title}: {report.case_id}" if report.case_id else report.title)
    simulated = '<p class="simulated">Simulated: computed signals, not a patient.</p>' if report.is_simulated else ""
    notices = dict.fromkeys(one for one in (RESEARCH, report.notice) if one)
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in report.facts.items())
    remarks = "".join(f"<li>{escape(one)}</li>" for one in report.remarks)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(report.title)}</h1>
<p class="case">{escape(f"Case {report.case_id}" if report.case_id else "Files that are not stored on the server")}</p>
{simulated}
{"".join(f'<p class="notice">{escape(one)}</p>' for one in notices)}
{_figure(report)}
<h2>{escape(report.quantity)} by region</h2>
{_table(report)}
{f"<ul>{remarks}</ul>" if remarks else ""}
<h2>How it was measured</h2>
<table class="facts">{facts}</table>
<p class="foot">Standard errors hold for independent voxels and noise alone. Written by LiverLabel for 3D Slicer.</p>
</body>
</html>
"""


def _table(report: Report) -> str:
    unit = escape(report.unit)
    heads = ("Region", "Voxels", f"Mean ({unit})", f"Weighted mean ± SE ({unit})", f"Median ({unit})", f"SD ({unit})")
    heads += ("Volume (ml)", "Masked (%)")
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row_cells(row)) + "</tr>" for row in report.rows
    )
    empty = f'<tr><td colspan="{len(heads)}">No region was measured.</td></tr>'
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body or empty}</tbody></table>"


def row_cells(row: SegmentRow) -> tuple[str, ...]:
    """A row as shown: name, voxels, mean, weighted mean ± its standard error, median, SD, ml, masked %."""
    weighted = "–"
    if np.isfinite(row.weighted_mean):
        weighted = f"{row.weighted_mean:.2f} ± {row.weighted_mean_std:.2g}"
    spread = (_number(row.median), _number(row.std), _number(row.volume_ml))
    return row.name, str(row.n_voxels), _number(row.mean), weighted, *spread, _number(100 * row.fraction_masked, 1)


def _number(value: float, decimals: int = 2) -> str:
    return f"{value:.{decimals}f}" if np.isfinite(value) else "–"


def _figure(report: Report) -> str:
    if report.picture is None:
        return ""
    left, right, top, bottom = (escape(one) for one in report.picture.edges)
    columns, rows = report.picture.size
    ticks = "".join(f"<span>{escape(one)}</span>" for one in report.ticks)
    bar = (
        "" if report.bar is None else f'<div class="bar"><img alt="" src="{_uri(report.bar)}"><div>{ticks}</div></div>'
    )
    return f"""<figure style="margin: 0">
<div class="picture">
<div class="slice"><span></span><span>{top}</span><span></span>
<span>{left}</span><img alt="{escape(report.caption)}" width="{columns}" height="{rows}" style="height: auto"
 src="{_uri(report.picture)}"><span>{right}</span>
<span></span><span>{bottom}</span><span></span></div>
{bar}
</div>
<figcaption>{escape(report.caption)}</figcaption>
</figure>"""


def _uri(picture: Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"


def write_whole(path: Path | str, content: str) -> None:
    """Write a text file in UTF-8 that takes the place of a former one only when it is complete.

    Raises:
        UnsuitableInputError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as opened:
            opened.write(content.encode("utf-8"))
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnsuitableInputError(
            f"'{path.name}' cannot be written: {error.strerror}. Choose another folder, or make room."
        ) from error
