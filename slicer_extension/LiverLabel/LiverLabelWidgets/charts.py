"""Drawings of an answer: a probability with its interval and threshold, signed bars. Dark on white in any theme."""

from __future__ import annotations

from collections.abc import Sequence

import qt

FOR, AGAINST = "#b2182b", "#2166ac"
"""Colours of what speaks for and against."""
INK, PALE = "#222222", "#d9d9d9"
MAX_FRAMES = 20
"""That are drawn; a cine may have hundreds."""
_ROW_PX = 20
_TITLE_CHARACTERS = 24
_MARGIN_PX = 10


def probabilityPixmap(value: float, low: float, high: float, threshold: float, width: int = 380):
    """A line from 0 to 100 % with the interval as a bar, the value as a dot, the threshold as a marked line."""
    height, line = 58, 32
    pixmap, painter = _canvas(width, height)
    left, right = 2 * _MARGIN_PX, width - 2 * _MARGIN_PX

    def x(share: float) -> int:
        return round(left + share * (right - left))

    _fill(painter, left, line - 4, right - left, 8, PALE)
    _fill(painter, x(low), line - 4, max(x(high) - x(low), 2), 8, "#8c8c8c")
    _fill(painter, x(threshold) - 1, line - 12, 2, 24, INK)
    painter.setPen(qt.QColor(INK))
    _text(painter, f"threshold {100 * threshold:g} %", x(threshold), 13, width)
    for share in (0, 0.25, 0.5, 0.75, 1):
        _text(painter, f"{100 * share:g} %", x(share), height - 3, width)
    painter.setBrush(qt.QBrush(qt.QColor(FOR if value >= threshold else AGAINST)))
    painter.drawEllipse(x(value) - 6, line - 6, 12, 12)
    painter.end()
    return pixmap


def contributionsPixmap(bars: Sequence[tuple[str, float]], width: int = 380):
    """Signed horizontal bars: for to the right, against to the left, with their numbers.

    Args:
        bars: (title, log-odds), in the order they are drawn.
    """
    pixmap, painter = _canvas(width, _ROW_PX * max(len(bars), 1) + 24)
    metrics = painter.fontMetrics()
    titles = max((_width(metrics, title) for title, _ in bars), default=0)
    numbers = 48
    left = titles + 2 * _MARGIN_PX
    zero, half = (left + width) // 2, max((width - left) // 2 - numbers, 10)
    largest = max((abs(value) for _, value in bars), default=0) or 1.0
    painter.setPen(qt.QColor(INK))
    for row, (title, value) in enumerate(bars):
        top, length = row * _ROW_PX, round(half * abs(value) / largest)
        _fill(
            painter, zero if value >= 0 else zero - length, top + 4, length, _ROW_PX - 8, FOR if value >= 0 else AGAINST
        )
        painter.drawText(_MARGIN_PX, top + 15, title)
        number = f"{value:+.2f}"
        place = zero + length + 4 if value >= 0 else zero - length - 4 - _width(metrics, number)
        painter.drawText(place, top + 15, number)
    bottom = _ROW_PX * len(bars)
    _fill(painter, zero, 0, 1, bottom, INK)
    _text(painter, "against", zero - half // 2, bottom + 16, width)
    _text(painter, "for", zero + half // 2, bottom + 16, width)
    painter.end()
    return pixmap


def framesPixmap(frames: Sequence[tuple[str, float]], threshold: float, width: int = 380):
    """The probability from each of the first frames alone: a bar from 0 to 100 %, its number, the threshold as a line.

    Args:
        frames: (name, 0 to 1); the first :data:`MAX_FRAMES` are drawn.
        threshold: From which the answer is yes.
    """
    drawn = frames[:MAX_FRAMES]
    pixmap, painter = _canvas(width, _ROW_PX * max(len(drawn), 1) + 24)
    metrics = painter.fontMetrics()
    titles = [_shortened(name) for name, _ in drawn]
    left = max((_width(metrics, title) for title in titles), default=0) + 2 * _MARGIN_PX
    length = max(width - left - _width(metrics, "above 99.9 %") - 2 * _MARGIN_PX, 40)
    painter.setPen(qt.QColor(INK))
    for row, (title, (_, value)) in enumerate(zip(titles, drawn, strict=True)):
        top = row * _ROW_PX
        _fill(painter, left, top + 4, length, _ROW_PX - 8, PALE)
        colour = FOR if value >= threshold else AGAINST
        _fill(painter, left, top + 4, max(round(value * length), 1), _ROW_PX - 8, colour)
        painter.drawText(_MARGIN_PX, top + 15, title)
        painter.drawText(left + length + _MARGIN_PX // 2, top + 15, percent(value))
    bottom, at = _ROW_PX * len(drawn), left + round(threshold * length)
    _fill(painter, at - 1, 0, 2, bottom + 4, INK)
    _text(painter, f"threshold {100 * threshold:g} %", at, bottom + 18, width)
    painter.end()
    return pixmap


def percent(share: float) -> str:
    """A probability in per cent; what would be rounded to certainty is not."""
    if share < 0.001:
        return "below 0.1 %"
    return "above 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def _shortened(title: str) -> str:
    return title if len(title) <= _TITLE_CHARACTERS else f"{title[: _TITLE_CHARACTERS - 1]}…"


def _canvas(width: int, height: int):
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(qt.QColor("#ffffff"))
    painter = qt.QPainter()
    painter.begin(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    font = qt.QFont()
    font.setPixelSize(12)
    painter.setFont(font)
    return pixmap, painter


def _fill(painter, x: int, y: int, width: int, height: int, colour: str) -> None:
    painter.fillRect(x, y, width, height, qt.QColor(colour))


def _text(painter, text: str, middle: int, base: int, width: int) -> None:
    """Text around a place, moved inside the picture where it would leave it."""
    long = _width(painter.fontMetrics(), text)
    painter.drawText(min(max(middle - long // 2, 2), width - long - 2), base, text)


def _width(metrics, text: str) -> int:
    # Qt 5.11's horizontalAdvance is not in every PythonQt.
    return metrics.boundingRect(text).width()
