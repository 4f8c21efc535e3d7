"""Pictures on this computer: DICOM stills and cines, PNG and JPEG, read without the scene, so in any thread."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .errors import UnsuitableInputError
from .picture_check import is_whole_jpeg, is_whole_png
from .us_dicom import NO_SIZE, UltrasoundFile, read_ultrasound
from .us_pixels import read_frames
from .us_sidecar import BMODE, SWE, SentPicture, SentScale

_NUMBERS = itertools.count(1)
_READERS = {".png": vtk.vtkPNGReader, ".jpg": vtk.vtkJPEGReader, ".jpeg": vtk.vtkJPEGReader}


@dataclass(eq=False)
class OpenedFile:
    """A file that the reader opened, and what the reader said of it."""

    path: Path
    """Where it is."""
    frames: list[np.ndarray]
    """(rows, columns) or (rows, columns, 3), uint8."""
    said: UltrasoundFile | None
    """What DICOM says; None: PNG or JPEG."""
    role: str | None
    """``bmode``, ``swe``, or None: it is not sent."""
    frame: int = 0
    """The one shown and sent."""
    box: tuple[int, int, int, int] | None = None
    """Of an elastogram: (top, left, bottom, right)."""
    scale: SentScale | None = None
    """Of an elastogram; None: not stated."""
    number: int = field(default_factory=lambda: next(_NUMBERS))
    """Different for each file that is opened."""

    @property
    def case(self) -> str:
        """Under which its nodes lie in the scene; with its space it is no id of a stored case."""
        return f"{self.name} #{self.number}"

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.frames[0].shape[:2]

    @property
    def pixel_spacing_mm(self) -> tuple[float, float] | None:
        """Between rows, between columns, mm; None: not known, or regions that differ."""
        return None if self.said is None else self.said.pixel_spacing_mm

    @property
    def spacing_note(self) -> str:
        """A sentence where lengths are not in mm; empty where they are."""
        return NO_SIZE if self.said is None else self.said.spacing_note

    @property
    def frame_times_s(self) -> tuple[float, ...] | None:
        """Of each frame from the first; None: not stated, or not rising."""
        times = None if self.said is None else self.said.frame_times_s
        isRising = times is not None and all(a < b for a, b in zip(times, times[1:], strict=False))
        return times if isRising else None

    def sent(self) -> SentPicture:
        """The picture as it is sent; the server reads the spacing of DICOM itself."""
        isElastogram = self.role == SWE
        box, scale = (self.box, self.scale) if isElastogram else (None, None)
        return SentPicture(self.path, self.role, self.frame, None, box, scale)


def openPicture(path: Path | str) -> OpenedFile:
    """Read a file with all its frames.

    Raises:
        UnsuitableInputError: another kind of file, no decoder, cut short, too large.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        said = read_ultrasound(path)
        role = SWE if said.is_elastography else BMODE
        box = said.colour_boxes[0] if role == SWE and said.colour_boxes else None
        return OpenedFile(path, read_frames(path), said, role, box=box)
    return OpenedFile(path, [_picture(path)], None, SWE if path.stem.lower().startswith("swe") else BMODE)


def _picture(path: Path) -> np.ndarray:
    reader = _READERS[path.suffix.lower()]()
    isReadable = _isWhole(path) and reader.CanReadFile(str(path))
    if isReadable:
        reader.SetFileName(str(path))
        reader.Update()
    image = reader.GetOutput()
    scalars = image.GetPointData().GetScalars()
    if not isReadable or reader.GetErrorCode() or scalars is None or scalars.GetDataType() != vtk.VTK_UNSIGNED_CHAR:
        raise UnsuitableInputError(
            f"A whole PNG or JPEG picture of 8 bits is needed; '{path.name}' is cut short, damaged or of another kind. "
            "Export it again."
        )
    columns, rows, _ = image.GetDimensions()
    # VTK counts rows from the bottom.
    pixels = vtk_to_numpy(scalars).reshape(rows, columns, -1)[::-1]
    colours = pixels[..., : 3 if pixels.shape[-1] >= 3 else 1]
    if pixels.shape[-1] in (2, 4) and pixels[..., -1].min() < 255:
        raise UnsuitableInputError(
            f"An opaque picture is needed; '{path.name}' has transparent pixels. Save it without an alpha channel."
        )
    return np.ascontiguousarray(colours[..., 0] if colours.shape[-1] == 1 else colours)


def _isWhole(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnsuitableInputError(f"'{path.name}' cannot be read: {error.strerror}. Choose another.") from error
    return is_whole_png(content) if path.suffix.lower() == ".png" else is_whole_jpeg(content)
