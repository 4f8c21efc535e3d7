"""Loss and metric of a training, drawn as two plots above each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import qt
from LiverLabelLib.protocol import CurvePoint

LOSS_COLOUR, METRIC_COLOUR, GRID_COLOUR, TEXT_COLOUR = "#1f5fa8", "#b35900", "#d0d4d8", "#202428"
LEFT, RIGHT, HEAD, GAP, FOOT = 52, 12, 20, 8, 34
"""Margins of a plot in pixels; above each stands its name, under the last the epochs."""
_N_TICKS = 4


@dataclass(frozen=True)
class Axes:
    """Where a plot lies in the picture, and the values at its edges."""

    left: int
    """Pixels."""
    top: int
    """Pixels."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    first: float
    """Epoch at the left edge."""
    last: float
    """Epoch at the right edge."""
    low: float
    """Value at the bottom."""
    high: float
    """Value on top."""

    def pixel(self, epoch: float, value: float) -> tuple[int, int]:
        """Where a value lies: (column, row)."""
        x = self.left + (epoch - self.first) / (self.last - self.first) * self.width
        y = self.top + (self.high - value) / (self.high - self.low) * self.height
        return round(x), round(y)


def axesOf(curve: Sequence[CurvePoint], width: int, height: int) -> tuple[Axes, Axes]:
    """Those of the loss and of the metric, for a picture of that size in pixels."""
    plotHeight = max((height - 2 * HEAD - GAP - FOOT) // 2, 20)
    plotWidth = max(width - LEFT - RIGHT, 20)
    tops = (HEAD, HEAD + plotHeight + GAP + HEAD)
    epochs = epochsOf(curve)
    first = min(epochs, default=0)
    last = max([first + 1, *epochs])
    made = []
    for top, take in zip(tops, (_loss, _metric), strict=True):
        low, high = _range([value for point in curve if (value := take(point)) is not None])
        made.append(Axes(LEFT, top, plotWidth, plotHeight, first, last, low, high))
    return made[0], made[1]


def curvePicture(curve: Sequence[CurvePoint], width: int, height: int):
    """Draw the curve; epochs count on from stage to stage, and a line joins the known values of a stage.

    Args:
        curve: Each epoch of each stage; 0 is before the first.
        width, height: Pixels.
    Returns:
        A QPixmap.
    """
    picture = qt.QPixmap(width, height)
    picture.fill(qt.QColor("#ffffff"))
    painter = qt.QPainter()
    painter.begin(picture)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    lossAxes, metricAxes = axesOf(curve, width, height)
    metricName = next((point.metric_name for point in reversed(curve) if point.metric_name), "Metric")
    _drawPlot(painter, lossAxes, curve, _loss, "Loss, training cases (no unit)", LOSS_COLOUR)
    _drawPlot(painter, metricAxes, curve, _metric, metricName, METRIC_COLOUR)
    _drawEpochs(painter, metricAxes, curve)
    painter.end()
    return picture


def epochsOf(curve: Sequence[CurvePoint]) -> list[int]:
    """Where each point lies along the epochs: those of a stage follow those of the stages before."""
    places: list[int] = []
    begin, stage = 0, None
    for point in curve:
        if places and point.stage != stage:
            begin = max(places)
        stage = point.stage
        places.append(begin + point.epoch if point.epoch is not None else max(places, default=0) + 1)
    return places


def ticks(low: float, high: float, n: int = _N_TICKS) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``n`` of them."""
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.7 * rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _loss(point: CurvePoint) -> float | None:
    return point.loss


def _metric(point: CurvePoint) -> float | None:
    return point.metric


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From a little under the least value to a little above the greatest."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _drawPlot(
    painter,
    axes: Axes,
    curve: Sequence[CurvePoint],
    take: Callable[[CurvePoint], float | None],
    name: str,
    colour: str,
) -> None:
    for value in ticks(axes.low, axes.high):
        _, y = axes.pixel(axes.first, value)
        _line(painter, GRID_COLOUR, (axes.left, y), (axes.left + axes.width, y))
        text = f"{value:.4g}"
        _text(painter, axes.left - 6 - _widthOf(painter, text), y + 4, text)
    epochs = epochsOf(curve)
    for epoch, former, point in zip(epochs, curve, curve[1:], strict=False):
        if former.stage != point.stage:
            x, _ = axes.pixel(epoch, axes.low)
            _line(painter, "#808890", (x, axes.top), (x, axes.top + axes.height), qt.Qt.DotLine)
    _line(painter, TEXT_COLOUR, (axes.left, axes.top), (axes.left, axes.top + axes.height))
    _line(
        painter,
        TEXT_COLOUR,
        (axes.left, axes.top + axes.height),
        (axes.left + axes.width, axes.top + axes.height),
    )
    _line(painter, colour, (axes.left, axes.top - 9), (axes.left + 18, axes.top - 9), width=2)
    _text(painter, axes.left + 24, axes.top - 5, name)
    former = None
    for epoch, point in zip(epochs, curve, strict=True):
        value = take(point)
        if value is None:
            continue
        here = axes.pixel(epoch, value)
        if former is not None and former[1] == point.stage:
            _line(painter, colour, former[0], here, width=2)
        painter.fillRect(here[0] - 2, here[1] - 2, 5, 5, qt.QColor(colour))
        former = (here, point.stage)


def _drawEpochs(painter, axes: Axes, curve: Sequence[CurvePoint]) -> None:
    bottom = axes.top + axes.height
    for value in ticks(axes.first, axes.last):
        if value == round(value):
            x, _ = axes.pixel(value, axes.low)
            _line(painter, TEXT_COLOUR, (x, bottom), (x, bottom + 3))
            text = f"{value:.0f}"
            _text(painter, x - _widthOf(painter, text) // 2, bottom + 15, text)
    stages = list(dict.fromkeys(point.stage for point in curve if point.stage))
    name = f"Epoch; stages: {', '.join(stages)}" if len(stages) > 1 else "Epoch"
    _text(painter, axes.left + (axes.width - _widthOf(painter, name)) // 2, bottom + 29, name)


def _line(painter, colour: str, start: tuple[int, int], end: tuple[int, int], style=None, width: int = 1) -> None:
    pen = qt.QPen(qt.QColor(colour))
    pen.setWidth(width)
    if style is not None:
        pen.setStyle(style)
    painter.setPen(pen)
    painter.drawLine(*start, *end)


def _text(painter, x: int, y: int, text: str) -> None:
    painter.setPen(qt.QPen(qt.QColor(TEXT_COLOUR)))
    painter.drawText(x, y, text)


def _widthOf(painter, text: str) -> int:
    return painter.fontMetrics().boundingRect(text).width()
