"""What a DICOM ultrasound file says of sizes and times, which 3D Slicer and ITK pass over.

Source: DICOM PS3.3 C.8.5.5 (US Region Calibration), C.7.6.5 (Cine).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from .errors import UnsuitableInputError

NO_SIZE = "This picture states no size of its pixels: lengths and areas are in pixels, not in mm."
_CENTIMETRES = 3
_TWO_DIMENSIONAL = 1
_KINDS = {1: "tissue", 2: "colour", 13: "grey_bar", 14: "colour_bar"}
"""RegionDataType -> kind, C.8.5.5.1.2."""
_ELASTOGRAPHY = re.compile(r"elasto|shear.?wave|\bswe\b|\bSTE\b|\bSWV\b", re.IGNORECASE)
_DESCRIPTIONS = ("SeriesDescription", "StudyDescription", "ImageComments", "ProtocolName", "ImageType")
_SAME_SPACING = 0.01


@dataclass(frozen=True)
class UltrasoundRegion:
    """A rectangle of the picture and what the file says is in it."""

    kind: str
    """``tissue``, ``colour`` (over tissue: Doppler or elastography), ``colour_bar``, ``grey_bar``, ``other``."""
    box: tuple[int, int, int, int]
    """(top, left, bottom, right) in pixels, inside the picture; bottom and right are the first outside."""
    pixel_spacing_mm: tuple[float, float] | None
    """Between rows, between columns, mm; None where the region is no length both ways."""


@dataclass(frozen=True)
class UltrasoundFile:
    """What one file says."""

    shape: tuple[int, int]
    """(rows, columns)."""
    n_frames: int
    """Pictures in it."""
    regions: tuple[UltrasoundRegion, ...]
    """In the order of the file."""
    frame_times_s: tuple[float, ...] | None
    """Of each frame from the first; None for one frame, or where the file does not say."""
    is_elastography: bool
    """Its descriptions speak of elastography."""

    @property
    def pixel_spacing_mm(self) -> tuple[float, float] | None:
        """Between rows, between columns of tissue, mm; None: not stated, or several regions that differ."""
        found = {r.pixel_spacing_mm for r in self.regions if r.kind in ("tissue", "colour") and r.pixel_spacing_mm}
        first = next(iter(found), None)
        return first if first and all(np.allclose(first, other, rtol=_SAME_SPACING) for other in found) else None

    @property
    def spacing_note(self) -> str:
        """A sentence on the sizes, to be shown where they are missing; empty where they are known."""
        if self.pixel_spacing_mm:
            return ""
        if any(r.pixel_spacing_mm for r in self.regions if r.kind in ("tissue", "colour")):
            return "This picture holds regions of different scale: lengths are measured inside one region only."
        return NO_SIZE

    @property
    def colour_boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Where colours lie over tissue: Doppler, or the elastogram's box."""
        return tuple(region.box for region in self.regions if region.kind == "colour")

    def spacing_at(self, row: float, column: float) -> tuple[float, float] | None:
        """The pixel spacing at a place, mm; None outside every region with one. The smallest region counts."""
        inside = [
            region
            for region in self.regions
            if region.pixel_spacing_mm
            and region.box[0] <= row < region.box[2]
            and region.box[1] <= column < region.box[3]
        ]
        smallest = min(inside, key=lambda r: (r.box[2] - r.box[0]) * (r.box[3] - r.box[1]), default=None)
        return smallest.pixel_spacing_mm if smallest else None


def read_ultrasound(path: Path | str) -> UltrasoundFile:
    """Read what a file says, without its pixels.

    Raises:
        UnsuitableInputError: it cannot be read, is no DICOM, or has no picture.
    """
    path = Path(path)
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise UnsuitableInputError(f"A DICOM file is needed; '{path.name}' is none. Export it as DICOM.") from error
    except OSError as error:
        raise UnsuitableInputError(f"'{path.name}' cannot be read: {error.strerror or 'it is cut short'}.") from error
    try:
        shape = (int(dataset.Rows), int(dataset.Columns))
        n_frames = max(int(dataset.get("NumberOfFrames") or 1), 1)
        return UltrasoundFile(
            shape=shape,
            n_frames=n_frames,
            regions=tuple(
                r for item in dataset.get("SequenceOfUltrasoundRegions") or [] if (r := _region(item, shape))
            ),
            frame_times_s=_frame_times_s(dataset, n_frames),
            is_elastography=any(_ELASTOGRAPHY.search(str(dataset.get(key, ""))) for key in _DESCRIPTIONS),
        )
    except (AttributeError, ValueError, TypeError) as error:
        raise UnsuitableInputError(
            f"A DICOM picture is needed; '{path.name}' lacks its size or holds broken values. Export it again."
        ) from error


def _region(item: Dataset, shape: tuple[int, int]) -> UltrasoundRegion | None:
    """A region that overlaps the picture; one that lacks what the standard asks for is passed over."""
    corners = [item.get(f"RegionLocation{corner}") for corner in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
    if any(corner is None for corner in corners):
        return None
    top, left, bottom, right = (int(corner) for corner in corners)
    box = (top, left, min(bottom + 1, shape[0]), min(right + 1, shape[1]))
    if not (0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
        return None
    kind = _KINDS.get(int(item.get("RegionDataType") or 0), "other")
    if kind in ("tissue", "colour") and item.get("RegionSpatialFormat") != _TWO_DIMENSIONAL:
        kind = "other"  # M-mode and spectra: one direction is a time.
    units = (item.get("PhysicalUnitsYDirection"), item.get("PhysicalUnitsXDirection"))
    steps = (item.get("PhysicalDeltaY"), item.get("PhysicalDeltaX"))
    is_length = units == (_CENTIMETRES, _CENTIMETRES) and all(
        s is not None and np.isfinite(s) and s != 0 for s in steps
    )
    return UltrasoundRegion(kind, box, (abs(float(steps[0])) * 10, abs(float(steps[1])) * 10) if is_length else None)


def _frame_times_s(dataset: Dataset, n_frames: int) -> tuple[float, ...] | None:
    """Frame Time Vector (increments, ms), else Frame Time (ms), else Cine Rate (frames a second)."""
    if n_frames == 1:
        return None
    vector = dataset.get("FrameTimeVector")
    if vector is not None and not isinstance(vector, (str, float, int)) and len(vector) == n_frames:
        steps_ms = np.array([float(step) for step in vector])
        steps_ms[0] = 0.0
        return tuple(np.cumsum(steps_ms) / 1000) if np.isfinite(steps_ms).all() and (steps_ms >= 0).all() else None
    if step_ms := float(dataset.get("FrameTime") or 0):
        return tuple(np.arange(n_frames) * step_ms / 1000) if step_ms > 0 else None
    rate = float(dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate") or 0)
    return tuple(np.arange(n_frames) / rate) if rate > 0 else None
