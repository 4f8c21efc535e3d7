"""Pictures of the modules for the documentation: a module's panel beside a slice view, drawn without a screen.

They are written where ``LIVERLABEL_PICTURES`` says, else into the test's own folder; every file name says "simulated".
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import qt

_MARGIN_PX = 8


def folderOf(tmp_path: Path) -> Path:
    """Where pictures go."""
    folder = Path(os.environ.get("LIVERLABEL_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pictureOf(panel, view, path: Path, widthPx: int = 430) -> np.ndarray:
    """Save the panel, as tall as it needs to be, and beside it what the slice view shows.

    Args:
        panel: The module's widget.
        view: A slice view of the scene; None: the panel alone.
        path: Of the PNG file.
        widthPx: Of the panel.
    Returns:
        The picture, shape (rows, columns, 3).
    """
    panel.resize(widthPx, 100)
    panel.show()
    qt.QCoreApplication.processEvents()
    panel.resize(widthPx, max(panel.layout().heightForWidth(widthPx), panel.layout().sizeHint().height()))
    qt.QCoreApplication.processEvents()
    left = panel.grab()
    images = [left.toImage()]
    if view is not None:
        pixels = np.ascontiguousarray(view.draw().astype(np.uint8))
        rows, columns, _ = pixels.shape
        images.append(qt.QImage(pixels.data, columns, rows, 3 * columns, qt.QImage.Format_RGB888).copy())
    width = sum(image.width() for image in images) + _MARGIN_PX * (len(images) + 1)
    height = max(image.height() for image in images) + 2 * _MARGIN_PX
    whole = qt.QImage(width, height, qt.QImage.Format_RGB888)
    whole.fill(qt.QColor("#f4f5f7"))
    painter = qt.QPainter(whole)
    x = _MARGIN_PX
    for image in images:
        painter.drawImage(x, _MARGIN_PX, image)
        x += image.width() + _MARGIN_PX
    painter.end()
    whole.save(str(path))
    buffer = np.frombuffer(whole.constBits(), np.uint8).reshape(height, whole.bytesPerLine())
    return buffer[:, : 3 * width].reshape(height, width, 3).copy()
