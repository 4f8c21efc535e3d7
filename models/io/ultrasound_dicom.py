"""Ultrasound DICOM files: frames decoded one at a time, calibration from SequenceOfUltrasoundRegions."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..errors import UnsuitableInputError
from .dicom_frames import broken_file, is_dicom, naming
from .files import read_bytes
from .picture_file import PictureFile, UltrasoundRegion

_DEFER_BYTES = 1 << 16
"""Elements longer than this, such as pixels, stay on disk until they are needed."""
_HEADER_BYTES = 132
_CENTIMETRES, _CENTIMETRES_PER_SECOND = 3, 7
_KINDS = {1: "tissue", 2: "colour", 13: "grey_bar", 14: "colour_bar"}
"""RegionDataType -> kind, PS3.3 C.8.5.5.1.2."""
_TWO_DIMENSIONAL = 1
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420")
_DESCRIPTIONS = ("SeriesDescription", "StudyDescription", "ImageComments", "ProtocolName", "ImageType")
_ELASTOGRAPHY = re.compile(r"elasto|shear.?wave|\bswe\b|\bSTE\b|\bSWV\b", re.IGNORECASE)


def open_dicom(path: Path | str) -> PictureFile:
    """Open an ultrasound DICOM file, of one frame or many.

    Args:
        path: The file. Grey, RGB, YBR and palette images of 8 or 16 bits, any planar configuration; compressed ones
            where a decoder is installed.
    Raises:
        UnsuitableInputError: not DICOM, cut short, without pixels, or of a kind of colour that is not known.
    """
    path = Path(path)
    with naming(path.name):
        if not is_dicom(_head(path)):
            raise UnsuitableInputError(
                f"An ultrasound image needs to be DICOM, PNG or JPEG; '{path.name}' is none of them. Export it as one."
            )
        dataset = pydicom.dcmread(path, defer_size=_DEFER_BYTES)
        if "PixelData" not in dataset:
            raise UnsuitableInputError(
                f"An ultrasound image needs pixels; '{path.name}' is DICOM without any. Export the images themselves."
            )
        photometric = str(dataset.get("PhotometricInterpretation", ""))
        if photometric not in (*_GREY, *_COLOUR, "PALETTE COLOR") or dataset.get("PixelRepresentation", 0) != 0:
            signed = " signed" if dataset.get("PixelRepresentation", 0) else ""
            raise UnsuitableInputError(
                f"An ultrasound image needs unsigned grey, RGB, YBR or palette pixels; '{path.name}' has{signed} "
                f"'{photometric}'. Export it in another form."
            )
        shape = (int(dataset.Rows), int(dataset.Columns))
        n_frames = max(int(dataset.get("NumberOfFrames", 1) or 1), 1)
        _check_length(dataset, path, shape, n_frames, photometric)
        return PictureFile(
            name=path.name,
            n_frames=n_frames,
            shape=shape,
            decode=lambda frame: _decode(path, dataset, photometric, frame),
            is_dicom=True,
            regions=_regions(dataset, shape),
            patient_id=str(dataset.get("PatientID", "") or "") or None,
            is_elastography=any(_ELASTOGRAPHY.search(str(dataset.get(key, ""))) for key in _DESCRIPTIONS),
        )


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError:
        return read_bytes(path)  # Says why it cannot be read.


def _check_length(dataset: Dataset, path: Path, shape, n_frames: int, photometric: str) -> None:
    """Refuse a file that ends before its pixels do."""
    element = dataset.get_item("PixelData", keep_deferred=True)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_deflated or syntax.is_compressed:
        return  # Its frames say when they are decoded.
    samples = 2 if photometric == "YBR_FULL_422" else int(dataset.get("SamplesPerPixel", 1))
    n_bytes = (shape[0] * shape[1] * n_frames * samples * int(dataset.BitsAllocated) + 7) // 8
    if element.length < n_bytes or element.value_tell + element.length > path.stat().st_size:
        raise broken_file(path.name)


def _decode(path: Path, dataset: Dataset, photometric: str, frame: int) -> np.ndarray:
    """One frame, shape (rows, columns) or (rows, columns, 3), uint8."""
    try:
        stored = _stored(path, frame, is_whole=UID(dataset.file_meta.TransferSyntaxUID).is_deflated)
    except MemoryError:
        raise
    except Exception as error:
        if "missing required dependencies" in str(error) or "unable to decode" in str(error).lower():
            syntax = UID(dataset.file_meta.TransferSyntaxUID).name
            raise UnsuitableInputError(
                f"Pixels that can be decoded are needed; '{path.name}' is compressed as {syntax}, for which there is "
                "no decoder here, or is damaged. Export it uncompressed, as baseline JPEG or as PNG."
            ) from error
        raise broken_file(path.name) from error
    with naming(path.name):
        if photometric == "PALETTE COLOR":
            return _palette(stored, dataset)
        bits = int(dataset.get("BitsStored", 8))
        if bits > 8:
            stored = stored >> (bits - 8)
        elif bits < 8:
            stored = stored.astype(np.uint16) * 255 // (2**bits - 1)
        pixels = stored.astype(np.uint8)
        return 255 - pixels if photometric == "MONOCHROME1" else pixels


def _stored(path: Path, frame: int, *, is_whole: bool) -> np.ndarray:
    """The pixels of one frame as stored, YBR as RGB; read from its place in the file where that is possible."""
    with warnings.catch_warnings():
        # The library remarks on streams that differ from what the header says, and decodes them.
        warnings.simplefilter("ignore", UserWarning)
        if not is_whole:
            try:
                return pydicom.pixels.pixel_array(str(path), index=frame)
            except ValueError:
                pass  # A header whose elements are not encoded as it says is only understood with the whole file.
        return pydicom.pixels.pixel_array(pydicom.dcmread(BytesIO(read_bytes(path))), index=frame)


def _palette(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Colours of palette indices, the table's 16 or 8 bits to 8."""
    colours = pydicom.pixels.apply_color_lut(stored, dataset)
    bits = 16 if colours.dtype.itemsize > 1 else 8
    return (colours >> (bits - 8)).astype(np.uint8)


def _regions(dataset: Dataset, shape: tuple[int, int]) -> tuple[UltrasoundRegion, ...]:
    """The regions that overlap the picture; an item that lacks what the standard asks for is passed over."""
    regions = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or []:
        corners = [item.get(f"RegionLocation{corner}") for corner in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
        if any(corner is None for corner in corners):
            continue
        top, left, bottom, right = (int(corner) for corner in corners)
        # Max is the last pixel inside by the standard, but many scanners write the first outside.
        is_clipped = bottom > shape[0] or right > shape[1]
        box = (top, left, min(bottom + 1, shape[0]), min(right + 1, shape[1]))
        if not (0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
            continue
        data_type = int(item.get("RegionDataType", 0) or 0)
        kind = _KINDS.get(data_type, "other")
        if kind in ("tissue", "colour") and item.get("RegionSpatialFormat") != _TWO_DIMENSIONAL:
            kind = "other"
        regions.append(UltrasoundRegion(kind, box, _spacing(item), is_clipped, _values(item)))
    return tuple(regions)


def _spacing(item: Dataset) -> tuple[float, float] | None:
    units = (item.get("PhysicalUnitsYDirection"), item.get("PhysicalUnitsXDirection"))
    steps = (item.get("PhysicalDeltaY"), item.get("PhysicalDeltaX"))
    if units != (_CENTIMETRES, _CENTIMETRES) or None in steps or not all(np.isfinite(s) and s != 0 for s in steps):
        return None
    return abs(float(steps[0])) * 10, abs(float(steps[1])) * 10


def _values(item: Dataset) -> tuple[float, float, str] | None:
    """The speeds that colours stand for, m/s; DICOM knows no unit of Young's modulus here."""
    table = item.get("TableOfParameterValues")
    if item.get("PixelComponentPhysicalUnits") != _CENTIMETRES_PER_SECOND or table is None:
        return None
    speeds = np.asarray(table, dtype=np.float64) / 100
    return (float(speeds[0]), float(speeds[-1]), "m/s") if speeds.size > 1 and speeds[0] < speeds[-1] else None
