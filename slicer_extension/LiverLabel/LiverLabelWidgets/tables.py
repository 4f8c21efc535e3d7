"""Filling a table with texts, and which of its rows are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import qt


def fill(table, rows: Sequence[Sequence[str]]) -> None:
    """Put texts into a table; each cell's whole text is its tooltip."""
    table.clearSelection()
    table.setRowCount(len(rows))
    for index, row in enumerate(rows):
        for column, text in enumerate(row):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(index, column, item)
    fitColumns(table)


def fitColumns(table, widest: int = 160) -> None:
    """Give each column the width of its texts, up to some pixels."""
    table.resizeColumnsToContents()
    for column in range(table.columnCount):
        table.setColumnWidth(column, min(table.columnWidth(column), widest))


def chosenRows(table) -> list[int]:
    """Numbers of the chosen rows, in order."""
    return sorted(index.row() for index in table.selectionModel().selectedRows())


def chooseRows(table, rows: Sequence[int]) -> None:
    """Choose these rows and no others, and bring the first into view."""
    table.clearSelection()
    columns = table.columnCount - 1
    for row in rows:
        table.setRangeSelected(qt.QTableWidgetSelectionRange(row, 0, row, columns), True)
    if rows:
        table.scrollToItem(table.item(rows[0], 0))
