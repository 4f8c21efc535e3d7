"""Figures as PNG: the same numbers give the same bytes, and what was simulated says so."""

from __future__ import annotations

import io
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours of the methods, in their order."""
SIMULATED_MARK = "SIMULATED DATA"
"""Stands in every figure whose data were computed."""
DOTS_PER_INCH = 110
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6875",
    "axes.labelcolor": "#16202a",
    "xtick.color": "#5b6875",
    "ytick.color": "#5b6875",
    "axes.grid": True,
    "grid.color": "#e8ecf0",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@dataclass(frozen=True)
class Picture:
    """One figure of the page."""

    name: str
    """Stem of its CSV; holds "simulated" when its data were computed."""
    title: str
    """Heading."""
    caption: str
    """What is shown."""
    png: bytes
    """The picture."""
    rows: tuple[dict, ...]
    """The numbers in it."""


def grid(n_panels: int, *, width: float = 3.1, height: float = 2.8, n_columns: int = 3, **options):
    """A figure of equal panels, at most three a line.

    Returns:
        The figure and its axes, shape (n_panels,); places left over are blank.
    """
    columns = min(n_panels, n_columns)
    lines = -(-n_panels // columns)
    figure = Figure(figsize=(width * columns + 0.3, height * lines + 0.5), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, **options).ravel()
    for spare in axes[n_panels:]:
        spare.set_axis_off()
    return figure, axes[:n_panels]


def png_of(figure: Figure, is_simulated: bool) -> bytes:
    """The figure as PNG, the same bytes every time; computed data are marked."""
    if is_simulated:
        figure.suptitle(SIMULATED_MARK, x=0.995, ha="right", fontsize=8, color="#8a6100", weight="bold")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.05, metadata={"Software": None})
    return buffer.getvalue()
