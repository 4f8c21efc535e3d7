"""The experiment's page: one offline file with every table and figure. The same results give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ...reports.figures import Picture
from ...reports.notice import RESEARCH_NOTICE
from ...reports.page import (
    NOTHING,
    cell_text,
    contents_html,
    head_cells,
    page_html,
    picture_html,
    row_cells,
    table_html,
)
from ...reports.tables import Column, Table
from .options import LIVER_SNR, MEASURED, SIMULATED, label
from .results import Results, named
from .units import NOT_APPLICABLE


def report_html(
    results: Results,
    sections: Sequence[tuple[str, Sequence[Table | Picture]]],
    provenance: dict,
) -> str:
    """The page.

    Args:
        results: Every unit.
        sections: Heading, and the tables and figures under it.
        provenance: "command", "version", "code_sha256", and "skipped": dicts of name and reason.
    Returns:
        HTML that needs no other file and no network.
    """
    kinds = {case.data for case in results.cases}
    banner = {
        frozenset({SIMULATED}): "SIMULATED DATA · every number here is computed, none measured",
        frozenset({SIMULATED, MEASURED}): "PARTLY SIMULATED DATA · each table and figure says which",
    }.get(frozenset(kinds), "")
    shown = [(heading, members) for heading, members in sections if members]
    parts = [
        f'<div class="banner simulated">{banner}</div>' if banner else "",
        "<h1>PDFF methods compared</h1>",
        f'<p class="lead">{_lead(results)} · LiverLabel {escape(provenance["version"])} · a research tool, not a '
        "medical device</p>",
        f'<pre class="command">{escape(provenance["command"])}</pre>',
        contents_html(shown),
        _data(results),
        *(_section(number, heading, members) for number, (heading, members) in enumerate(shown, start=1)),
        _skipped(provenance["skipped"]),
        _cases(results),
        _provenance(results, provenance),
        f'<p class="notice">{escape(RESEARCH_NOTICE)} Dark grey voxels hold no estimate; PDFF is not clipped. Each '
        "table and figure is also a CSV in <code>tables/</code>, everything in <code>results.json</code>.</p>",
    ]
    return page_html("PDFF experiment", parts)


def _lead(results: Results) -> str:
    methods = ", ".join(escape(label(method)) for method in results.options.methods)
    counts = []
    for data in (MEASURED, SIMULATED):
        n = sum(case.data == data for case in results.cases)
        counts += [f"{n} {data} {'case' if n == 1 else 'cases'}"] if n else []
    return f"{methods} on {' and '.join(counts)}"


def _data(results: Results) -> str:
    """What was measured and what was simulated, in sentences."""
    parts = {part: [c for c in results.cases if c.part == part] for part in ("given", "livers", "vials", "protocols")}
    items = []
    if given := parts["given"]:
        n_measured = sum(case.data == MEASURED for case in given)
        n_simulated = len(given) - n_measured
        items.append(
            f"<b>Given cases</b>: {n_measured} measured{f', {n_simulated} simulated' if n_simulated else ''}. Nobody "
            "knows their true PDFF: methods are compared with graph cut. Regions are those drawn by a reader; a case "
            "without any enters the whole-slice table only."
        )
    if livers := parts["livers"]:
        known = "graph cut" if results.options.reference == "graph_cut" else "the truth"
        items.append(
            f"<b>Simulated livers</b>: {len(livers)} abdomens, one slice each, half through the dome, at 1.5 and 3 T, "
            f"0 to 45 % fat, SNR {LIVER_SNR:g} (liver signal over the noise of one channel), compared with {known}. "
            "Regions: squares of 18 mm (9 × 9 at 192², 17 × 17 at 384²), placed where they lie deepest inside each "
            "lobe, away from vessels; a lobe too small for half of that has none."
        )
    if parts["vials"]:
        items.append(
            "<b>Simulated vials</b>: seven of 0 to 100 % fat with R2* 25 to 100 1/s and different susceptibilities in "
            "a water bath at 1.5 T, six echoes."
        )
    if parts["protocols"]:
        items.append("<b>Simulated protocols</b>: one liver, sampled at other echo times.")
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f'<h2>What was measured, what was simulated</h2><div class="panel"><ul class="plain">{listed}</ul></div>'


def _section(number: int, heading: str, members: Sequence[Table | Picture]) -> str:
    body = "".join(_table(one) if isinstance(one, Table) else picture_html(one) for one in members)
    return f'<h2 id="s{number}">{escape(heading)}</h2>{body}'


def _table(table: Table) -> str:
    if not table.by_method:
        return table_html(table, named=named) + _refusals(table)
    return table_html(table, *_by_method(table), named=named) + _refusals(table)


def _by_method(table: Table) -> tuple[str, list[str]]:
    methods = list(dict.fromkeys(row["method"] for row in table.rows))
    groups = {}
    for row in table.rows:
        groups.setdefault("".join(row_cells(table, row, named)), {})[row["method"]] = row
    lines = []
    for key, members in groups.items():
        cells = "".join(f"<td>{_method_cell(table.by_method, members.get(method))}</td>" for method in methods)
        lines.append(f"<tr>{key}{cells}</tr>")
    return head_cells(table) + "".join(f"<th>{escape(label(method))}</th>" for method in methods), lines


def _method_cell(column: Column, row: dict | None) -> str:
    if row is None:
        return NOTHING
    if row.get("status") == NOT_APPLICABLE:
        return '<span class="soft">not applicable</span>'
    first, *rest = cell_text(column, row, named).split("\n")
    return first + "".join(f'<br><small class="soft">{line}</small>' for line in rest if NOTHING not in line)


def _refusals(table: Table) -> str:
    refused = {(row["method"], row["reason"]) for row in table.rows if row.get("status") == NOT_APPLICABLE}
    items = "".join(f"<li><b>{escape(label(method))}</b>: {escape(reason)}</li>" for method, reason in sorted(refused))
    return f'<ul class="plain refusals">{items}</ul>' if items else ""


def _skipped(skipped: Sequence[dict]) -> str:
    items = "".join(f"<li><b>{escape(item['name'])}</b>: {escape(item['reason'])}</li>" for item in skipped)
    return f'<h2>Not used</h2><ul class="warnings">{items}</ul>' if items else ""


def _cases(results: Results) -> str:
    lines = []
    for case in results.cases:
        unit = next((u for m in results.options.methods if (u := results.unit(case, m)) is not None), None)
        regions = ", ".join(sample.name for sample in unit.regions) if unit else ""
        about = case.about
        times = ", ".join(f"{t:g}" for t in about["echo_times_ms"])
        snr = "–" if about["snr"] is None else f"{about['snr']:g}"
        lines.append(
            f"<tr><td>{escape(case.name)}</td><td>{case.data}</td><td>{about['field_strength_t']:g}</td>"
            f"<td>{times}</td><td>{snr}</td><td>{escape(regions) or '–'}</td></tr>"
        )
    return (
        f'<h2>Cases</h2><details><summary>{len(lines)} cases</summary><div class="panel"><table><thead><tr>'
        "<th>Case</th><th>Data</th><th>T</th><th>Echo times, ms</th><th>SNR</th><th>Regions</th></tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div></details>"
    )


def _provenance(results: Results, provenance: dict) -> str:
    reference = results.options.reference
    entries = [
        ("Methods", ", ".join(results.options.methods)),
        ("Reference", reference or "the truth where it is known, graph_cut elsewhere"),
        ("Seed", str(results.options.seed)),
        ("Version", f"LiverLabel {provenance['version']}"),
        ("SHA-256 of the estimators and weights", provenance["code_sha256"]),
        ("After", "the evaluation of AI-DEAL, Meneses JP et al., Med Image Anal 2025, doi 10.1016/j.media.2025.103811"),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    return f'<h2>How it came about</h2><div class="panel"><dl>{listed}</dl></div>'
