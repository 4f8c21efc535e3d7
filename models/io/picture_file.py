"""Ultrasound pictures in one form, whatever file they come from: DICOM (one frame or many), PNG or JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from .files import read_bytes

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
PICTURE_AFFINE = np.diag((-1.0, -1.0, 1.0, 1.0))
"""Index (column, row, 0) of a picture to RAS+: it lies in LPS with pixels of 1 mm, as 3D Slicer reads it."""
_LUMA = np.array([299, 587, 114])
"""Luma of ITU-R BT.601, per mille: that of YBR_FULL in DICOM."""


@dataclass(frozen=True)
class UltrasoundRegion:
    """A rectangle of the picture and what DICOM says is in it."""

    kind: str
    """``tissue``, ``colour`` (a colour overlay on tissue), ``colour_bar``, ``grey_bar`` or ``other`` (ECG, spectra)."""
    box: tuple[int, int, int, int]
    """(top, left, bottom, right) in pixels, inside the picture; bottom and right are the first outside."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Distance between rows, between columns, mm; None where the region is no length in both directions."""
    is_clipped: bool = False
    """The file states it larger than the picture: the picture was cut or resized afterwards; check the spacing."""
    values: tuple[float, float, str] | None = None
    """(low, high, unit) of the values that colours stand for, where stated; the unit is m/s."""


@dataclass(frozen=True)
class PictureFile:
    """One file of pictures; a frame is decoded when it is asked for."""

    name: str
    """Of the file."""
    n_frames: int
    """How many pictures it holds."""
    shape: tuple[int, int]
    """(rows, columns)."""
    decode: Callable[[int], np.ndarray]
    """Frame index -> shape (rows, columns) or (rows, columns, 3), uint8."""
    is_dicom: bool = False
    """Whether it is DICOM."""
    regions: tuple[UltrasoundRegion, ...] = ()
    """What DICOM says where."""
    patient_id: str | None = None
    """PatientID of DICOM."""
    is_elastography: bool = False
    """DICOM's descriptions speak of elastography."""

    def pixel_spacing_mm(self) -> tuple[float, float] | None:
        """Distance between rows and between columns of the tissue region, mm; None when it is not stated."""
        for region in self.regions:
            if region.kind in ("tissue", "colour") and region.pixel_spacing_mm is not None:
                return region.pixel_spacing_mm
        return None

    def grey(self, frame: int = 0) -> np.ndarray:
        """A frame as grey levels.

        Args:
            frame: Index from 0.
        Returns:
            Shape (rows, columns), uint8: luma of a colour picture, exactly its grey where it is grey.
        Raises:
            UnsuitableInputError: no such frame, or it cannot be decoded.
        """
        pixels = self._frame(frame)
        if pixels.ndim == 2:
            return pixels
        return ((pixels.astype(np.int64) @ _LUMA + 500) // 1000).astype(np.uint8)

    def rgb(self, frame: int = 0) -> np.ndarray:
        """A frame in colour, shape (3, rows, columns), uint8; a grey one three times the same.

        Args:
            frame: Index from 0.
        Raises:
            UnsuitableInputError: no such frame, or it cannot be decoded.
        """
        pixels = self._frame(frame)
        if pixels.ndim == 2:
            return np.repeat(pixels[None], 3, axis=0)
        return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))

    def shown(self, frame: int = 0) -> np.ndarray:
        """A frame as it looks: shape (rows, columns) where it is grey all over, else (rows, columns, 3), uint8.

        Args:
            frame: Index from 0.
        Raises:
            UnsuitableInputError: no such frame, or it cannot be decoded.
        """
        pixels = self._frame(frame)
        is_grey = pixels.ndim == 3 and (pixels == pixels[..., :1]).all()
        return np.ascontiguousarray(pixels[..., 0]) if is_grey else pixels

    def _frame(self, frame: int) -> np.ndarray:
        if not 0 <= frame < self.n_frames:
            raise UnsuitableInputError(
                f"A frame of '{self.name}' needs an index from 0 to {self.n_frames - 1}; found {frame}. Correct it."
            )
        return self.decode(frame)


def open_picture(path: Path | str) -> PictureFile:
    """Open a file of ultrasound pictures; pixels are decoded later.

    Args:
        path: DICOM, PNG or JPEG.
    Raises:
        UnsuitableInputError: another kind of file, one that is cut short, DICOM without pixels.
    """
    path = Path(path)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return _picture(path)
    from .ultrasound_dicom import open_dicom

    return open_dicom(path)


def _picture(path: Path) -> PictureFile:
    from PIL import Image

    data = read_bytes(path)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            size, mode, n_frames = image.size, image.mode, getattr(image, "n_frames", 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _no_picture(path.name) from error
    if mode not in ("L", "LA", "P", "RGB", "RGBA", "1") or n_frames != 1:
        raise UnsuitableInputError(
            f"A picture of 8 bits, grey or RGB, is needed; '{path.name}' is {mode} with {n_frames} frames. Save it as "
            "an ordinary PNG."
        )

    def decode(_: int) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(read_bytes(path)), formats=("PNG", "JPEG")) as image:
                image.load()
                if "A" in image.getbands() or "transparency" in image.info:
                    _check_opaque(image.convert("RGBA"), path.name)
                return np.array(image.convert("L" if image.mode in ("L", "LA", "1") else "RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            if isinstance(error, UnsuitableInputError):
                raise
            raise _no_picture(path.name) from error

    return PictureFile(path.name, 1, (size[1], size[0]), decode)


def _check_opaque(image, name: str) -> None:
    if np.asarray(image)[..., 3].min() < 255:
        raise UnsuitableInputError(
            f"An opaque picture is needed; '{name}' has transparent pixels. Save it without an alpha channel."
        )


def _no_picture(name: str) -> UnsuitableInputError:
    return UnsuitableInputError(
        f"A whole PNG or JPEG picture is needed; '{name}' is cut short, damaged or no picture. Export it again."
    )
