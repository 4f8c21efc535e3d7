"""Parts of an offline page: head with style, tables, figures, a table of contents."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from string import Formatter
from typing import TYPE_CHECKING

from .tables import Column, Table

if TYPE_CHECKING:
    from .figures import Picture

NOTHING = "–"
"""Stands for a number that is not there; a minus sign is another character."""
LONG_TEXT = 32
"""Texts of more characters may be broken into lines."""
MAX_SHOWN_ROWS = 60
"""Longer tables are shown to this row; their CSV holds the rest."""
STYLES = ("report.css", "experiment.css")
"""Style of a short report, and what an experiment adds."""


def style_sheet(names: Sequence[str] = STYLES) -> str:
    """The text of style sheets, one after the other."""
    folder = resources.files(__package__).joinpath("resources")
    return "".join(folder.joinpath(name).read_text("utf-8") for name in names)


def page_html(title: str, parts: Sequence[str], styles: Sequence[str] = STYLES) -> str:
    """One page that needs no other file and no network.

    Args:
        title: Of the window.
        parts: HTML of the body in order; empty ones are left out.
        styles: Names of style sheets.
    """
    whole = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{style_sheet(styles)}</style></head><body><main>",
        *parts,
        "</main></body></html>\n",
    ]
    return "\n".join(part for part in whole if part)


def contents_html(sections) -> str:
    """Links to the sections, given as (heading, members)."""
    items = "".join(f'<a href="#s{n}">{escape(heading)}</a>' for n, (heading, _) in enumerate(sections, start=1))
    return f'<nav class="contents">{items}</nav>'


def picture_html(picture: Picture) -> str:
    """A figure with its caption and the name of its CSV."""
    uri = "data:image/png;base64," + base64.b64encode(picture.png).decode("ascii")
    return (
        f'<figure class="plot"><figcaption>{escape(picture.title)}</figcaption>'
        f'<img alt="{escape(picture.title)}" src="{uri}"><p>{escape(picture.caption)} '
        f"<code>tables/{escape(picture.name)}.csv</code></p></figure>"
    )


def table_html(
    table: Table, head: str | None = None, lines: Sequence[str] | None = None, *, named: Callable[[dict], dict] = dict
) -> str:
    """A table with its note; one without columns is a file only and gives nothing.

    Args:
        table: What is shown.
        head: Cells of its head; None: the columns'.
        lines: Its lines; None: one a row.
        named: Gives a row as it is shown, with words for identifiers.
    """
    if not table.columns or not table.rows:
        return ""
    head = head if head is not None else head_cells(table)
    if lines is None:
        lines = ["<tr>" + "".join(row_cells(table, row, named)) + "</tr>" for row in table.rows]
    rest = len(lines) - MAX_SHOWN_ROWS
    more = f" The first {MAX_SHOWN_ROWS} of {len(lines)} lines." if rest > 0 else ""
    return (
        f'<h3>{escape(table.title)}</h3><div class="panel"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines[:MAX_SHOWN_ROWS])}</tbody></table></div>"
        f'<p class="lead">{escape(table.note)}{more} <code>tables/{escape(table.name)}.csv</code></p>'
    )


def head_cells(table: Table) -> str:
    """Headings of the columns."""
    return "".join(
        f'<th class="text">{escape(column.heading)}</th>'
        if is_text(column, table.rows[0])
        else f"<th>{escape(column.heading)}</th>"
        for column in table.columns
    )


def row_cells(table: Table, row: dict, named: Callable[[dict], dict] = dict) -> list[str]:
    """Cells of one row."""
    return [
        f'<td class="{"text long" if len(cell) > LONG_TEXT else "text"}">{cell}</td>'
        if is_text(column, row)
        else f"<td>{cell}</td>"
        for column, cell in ((column, cell_text(column, row, named)) for column in table.columns)
    ]


def cell_text(column: Column, row: dict, named: Callable[[dict], dict] = dict) -> str:
    """What a cell shows."""
    values = {key: _text(key, value, column.digits) for key, value in named(row).items()}
    return column.template.format_map(values).replace(f" ± {NOTHING}", "")


def is_text(column: Column, row: dict) -> bool:
    """Whether a column holds words, which stand at the left; numbers stand at the right."""
    keys = [name for _, name, _, _ in Formatter().parse(column.template) if name]
    return len(keys) == 1 and isinstance(row[keys[0]], str)


def _text(key: str, value, digits: int) -> str:
    if value is None:
        return NOTHING
    if not isinstance(value, float):
        return escape(str(value))
    if key == "p_value" and value < 1e-4:
        return "&lt; 0.0001"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
