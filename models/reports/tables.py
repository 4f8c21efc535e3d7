"""What a table is, and how its rows are written."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Column:
    """One column of a page's table."""

    heading: str
    """Its heading, with the unit."""
    template: str
    """What a cell shows, with the row's keys in braces."""
    digits: int = 2
    """Decimals of its numbers."""


@dataclass(frozen=True)
class Table:
    """One table: all of it as CSV, some of it on the page."""

    name: str
    """Stem of its file; holds "simulated" when its numbers do not come from measurements."""
    title: str
    """Heading."""
    note: str
    """What the numbers are."""
    columns: tuple[Column, ...]
    """What the page shows; empty: the table is a file only."""
    rows: tuple[dict, ...]
    """Numbers that are not finite are None."""
    by_method: Column | None = None
    """What the page shows of each method beside the columns, which then hold what the methods share; None: a method a
    line. The further lines of its template are shown smaller, those without a number not at all."""


def plain(value):
    """A number for JSON and CSV: six significant digits, None when not finite."""
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def row_of(**values) -> dict:
    """A row of a table: :func:`plain` values by name."""
    return {key: plain(value) for key, value in values.items()}


def csv_bytes(rows) -> bytes:
    """Rows as CSV with every key that occurs, in order of appearance; None is an empty field.

    Args:
        rows: Dicts of plain values.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")
