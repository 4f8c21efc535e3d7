"""What every ultrasound method reads: one subject's images in canonical form, with clinical values.

Ultrasound arrays are (channel, row, column), rows downwards with depth: the order of image files and of weights
trained on them (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import UnsuitableInputError
from ..io.clinical import CLINICAL_FEATURES

__all__ = ["CLINICAL_FEATURES", "ImagePair", "UltrasoundSubject"]


@dataclass(frozen=True)
class ImagePair:
    """One B-mode image and the elastogram of the same place; one of the two may be missing."""

    b_mode: np.ndarray | None = None
    """Grey levels, shape (rows, columns), uint8; 0 outside tissue, where text and ECG were masked."""
    stiffness_kpa: np.ndarray | None = None
    """Young's modulus, shape (rows, columns) of its own image, float32, kPa; NaN where nothing was measured."""
    swe_rgb: np.ndarray | None = None
    """The elastogram as its colours show it, shape (3, rows, columns), uint8; only the ``paper`` mode reads it."""
    roi: np.ndarray | None = None
    """The reader's region of ``b_mode``, same shape, bool; None: none was drawn."""
    name: str = ""
    """Of the image inside its case, such as a lobe or a file name."""

    def __post_init__(self):
        if self.b_mode is None and self.stiffness_kpa is None and self.swe_rgb is None:
            raise UnsuitableInputError("An image pair needs a B-mode image or an elastogram; found neither.")


@dataclass(frozen=True)
class UltrasoundSubject:
    """One visit of one patient: image pairs, clinical values, and the answer where it is known."""

    case_id: str
    """Of the case."""
    patient_id: str
    """What every split groups by."""
    pairs: tuple[ImagePair, ...] = ()
    """Images, in the order of the case."""
    clinical: Mapping[str, float] = field(default_factory=dict)
    """Of :data:`CLINICAL_FEATURES` those that were measured; what is missing is not in it."""
    is_fibrotic_nash: bool | None = None
    """The known answer; None: not known."""
    is_fatty: bool | None = None
    """Whether the liver is known to be fatty (NAFLD); None: not known."""
    is_simulated: bool = False
    """True when images or values were computed, not measured."""

    def median_stiffness_kpa(self) -> float | None:
        """Median over all voxels of all elastograms, kPa; None without any."""
        values = [p.stiffness_kpa[np.isfinite(p.stiffness_kpa)] for p in self.pairs if p.stiffness_kpa is not None]
        values = np.concatenate(values) if values else np.empty(0)
        return float(np.median(values)) if values.size else None
