"""The page of an experiment: banner, headline, sections, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ... import __version__
from ...reports.figures import Picture
from ...reports.notice import RESEARCH_NOTICE
from ...reports.page import contents_html, page_html, picture_html, table_html
from ...reports.tables import Table

Sections = Sequence[tuple[str, Sequence[Table | Picture | None]]]
"""Heading -> tables and figures; None and empty tables are left out."""


def kept(sections: Sections) -> list[tuple[str, list[Table | Picture]]]:
    """The sections without what is empty."""
    shown = [(heading, [one for one in members if one is not None and one.rows]) for heading, members in sections]
    return [(heading, members) for heading, members in shown if members]


def report_html(
    title: str,
    lead: str,
    headline: str,
    command: str,
    sections: Sections,
    about: Mapping[str, str],
    is_simulated: bool,
) -> str:
    """One offline page.

    Args:
        title: Its heading.
        lead: What it is about, one line.
        headline: What came out, a paragraph.
        command: Makes the folder again.
        sections: As :func:`kept` gives them.
        about: Name -> how it came about.
        is_simulated: Whether the data are.
    """
    banner = "SIMULATED DATA · every number here is computed, none measured"
    parts = [
        f'<div class="banner simulated">{banner}</div>' if is_simulated else "",
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(lead)} · LiverLabel {escape(__version__)} · a research tool, not a medical '
        "device</p>",
        f'<div class="panel"><p>{escape(headline)}</p></div>',
        f'<pre class="command">{escape(command)}</pre>',
        contents_html(sections),
    ]
    for number, (heading, members) in enumerate(sections, start=1):
        shown = [one for one in members if isinstance(one, Picture) or one.columns]
        body = "".join(table_html(one) if isinstance(one, Table) else picture_html(one) for one in shown)
        parts.append(f'<h2 id="s{number}">{escape(heading)}</h2>{body}')
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in about.items())
    parts += [
        f'<h2>How it came about</h2><div class="panel"><dl>{listed}</dl></div>',
        f'<p class="notice">{escape(RESEARCH_NOTICE)} Each table and figure is also a CSV in <code>tables/</code>, '
        "everything in <code>results.json</code>.</p>",
    ]
    return page_html(title, parts)
