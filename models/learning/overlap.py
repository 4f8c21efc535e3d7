"""How far two regions are the same."""

from __future__ import annotations

import numpy as np


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Overlap 2|A∩B| / (|A|+|B|) of two regions, 1 for two empty ones.

    Args:
        found: Bool, any shape.
        truth: The same shape.
    Source: Dice LR, Ecology 1945, 10.2307/1932409.
    """
    total = int(found.sum()) + int(truth.sum())
    return 1.0 if not total else float(2 * np.logical_and(found, truth).sum() / total)
