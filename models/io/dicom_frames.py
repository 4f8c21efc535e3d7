"""One DICOM file as a list of frames with everything that decides where its pixels belong.

A file that is cut short is refused by name, wherever it was cut: its pixels have to be all there and its last element
has to end with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..errors import UnsuitableInputError
from ..units import PROTON_GYROMAGNETIC_RATIO_HZ_PER_T
from .dicom_vendors import component, private_value, value_scale
from .echo_images import EchoTimeUs
from .files import Skipped, read_bytes, sha256_of_bytes

MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4")
ENHANCED_MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4.1")
_MR_STORAGE = (MR_IMAGE_STORAGE, ENHANCED_MR_IMAGE_STORAGE)
_PREAMBLE_BYTES = 128
SIMULATED_COMMENT = "SIMULATED"
"""What ImageComments holds in files of simulated signals."""

# The library's warnings about odd values of other attributes quote them, and they may identify a patient.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_NEEDED = {
    "rows": "Rows",
    "columns": "Columns",
    "orientation": "ImageOrientationPatient",
    "position": "ImagePositionPatient",
    "pixel_spacing": "PixelSpacing",
    "echo_time": "EchoTime",
}


@dataclass(frozen=True)
class Frame:
    """One image of one echo, slice and component; its pixels are read later."""

    path: Path
    """The file it is in."""
    name: str
    """Name of the file relative to the folder."""
    sha256: str
    """Digest of the file."""
    index: int | None
    """Number of the frame in a multi-frame file."""
    series_uid: str
    """SeriesInstanceUID."""
    visit: tuple[str, str]
    """(StudyInstanceUID, PatientID)."""
    part: str
    """magnitude, phase, real or imaginary."""
    echo_time_us: EchoTimeUs
    """Echo time, µs."""
    echo_number: int | None
    """EchoNumbers, where given."""
    shape: tuple[int, int]
    """(Rows, Columns)."""
    orientation: tuple[float, ...]
    """ImageOrientationPatient: direction of increasing column index, then of increasing row index (LPS)."""
    position: tuple[float, ...]
    """ImagePositionPatient, mm (LPS)."""
    pixel_spacing: tuple[float, float]
    """Distance between rows, between columns, mm."""
    slice_spacing: float | None
    """SpacingBetweenSlices or SliceThickness, mm; used when there is one slice."""
    slope: float
    """Pixel value = slope · stored + intercept."""
    intercept: float
    """See ``slope``."""
    phase_unit: str | None
    """Unit of the rescaled values, as the file declares it."""
    field_strength_t: float | None
    """MagneticFieldStrength, or from ImagingFrequency, tesla."""
    protocol: tuple
    """Equal for the echoes of one acquisition stored as a series each."""
    acquired: str
    """Acquisition date and time."""
    series_number: int
    """SeriesNumber, 0 when absent."""
    series_description: str
    """SeriesDescription."""
    is_ge_3d: bool
    """GE 3-D acquisition: complex images may alternate in sign."""
    is_deflated: bool
    """The whole data set is compressed."""
    is_simulated: bool
    """ImageComments say that the signal was computed."""

    def pixels(self) -> np.ndarray:
        """The rescaled pixel values, shape (columns, rows), float64.

        Raises:
            UnsuitableInputError: the pixels cannot be decoded.
        """
        with naming(self.name):
            # Reads the one frame from its place in the file, which a deflated file does not allow.
            source = pydicom.dcmread(self.path) if self.is_deflated else str(self.path)
            stored = pydicom.pixels.pixel_array(source, index=self.index)
        return stored.T.astype(np.float64) * self.slope + self.intercept


@contextmanager
def naming(name: str):
    """Turn whatever the DICOM library raises on a broken file into a sentence that names the file."""
    try:
        yield
    except (UnsuitableInputError, MemoryError):
        raise
    except Exception as error:
        raise broken_file(name) from error


def broken_file(name: str) -> UnsuitableInputError:
    return UnsuitableInputError(
        f"A whole DICOM file is needed; '{name}' is cut short, damaged or compressed in a way that cannot be read. "
        "Export or copy it again (uncompressed)."
    )


def frames_of(path: Path, name: str) -> tuple[list[Frame], list[Skipped]]:
    """The frames of one file, and what of it is not used.

    Args:
        path: The file.
        name: Its name relative to the folder, as said to the user.
    Raises:
        UnsuitableInputError: a DICOM file that is cut short or lacks what an MR image needs.
    """
    data = read_bytes(path)
    if not is_dicom(data):
        if not data.strip(b"\0") and len(data) <= _PREAMBLE_BYTES + 4 or Path(name).suffix.lower() in (".dcm", ".ima"):
            raise broken_file(name)
        return [], [Skipped(name, "not a DICOM file")]
    with naming(name):
        dataset = pydicom.dcmread(BytesIO(data))
        check_end(dataset, len(data), name)
        reason = _unused(dataset)
        if reason is not None:
            return [], [Skipped(name, reason)]
        _check_pixels(dataset, name)
        digest = sha256_of_bytes(data)
        frames, skipped = [], []
        for index, image in _images(dataset):
            frame = _frame(image, dataset, path, name, digest, index)
            if isinstance(frame, Frame):
                frames.append(frame)
            elif Skipped(name, frame) not in skipped:
                skipped.append(Skipped(name, frame))
    return frames, skipped


def is_dicom(data: bytes) -> bool:
    """Whether bytes begin as a DICOM file does."""
    return data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM"


def _unused(dataset: Dataset) -> str | None:
    """Why a dataset holds no image of ours, or None if it does."""
    storage = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if storage is None:
        raise ValueError("no SOP class: cut within the first elements")
    if storage not in _MR_STORAGE:
        modality = dataset.get("Modality", "")
        said = f"modality {modality}, " if modality else ""
        return f"not an MR image ({said}{UID(storage).name})"
    if dataset.get("Modality", "MR") != "MR":
        return f"not an MR image (modality {dataset.Modality})"
    if dataset.get("SamplesPerPixel", 1) != 1:
        return "a colour image"
    scanning = dataset.get("ScanningSequence", "")
    scanning = [scanning] if isinstance(scanning, str) else list(scanning)
    if dataset.get("EchoPulseSequence") == "SPIN" or ("SE" in scanning and "GR" not in scanning):
        return "a spin echo; PDFF needs gradient echoes"
    return None


def check_end(dataset: Dataset, n_bytes: int, name: str) -> None:
    """Refuse unless the last element ends where the file ends; called before elements are decoded."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    raw = [element for element in (dataset.get_item(tag) for tag in dataset.keys()) if hasattr(element, "value_tell")]
    if not raw:
        raise broken_file(name)
    last = max(raw, key=lambda element: element.value_tell)
    if syntax.is_deflated or last.length == 0xFFFFFFFF:
        return
    is_followed = any(tag > last.tag for tag in dataset.keys())
    end = last.value_tell + last.length
    if len(last.value or b"") != last.length or (end != n_bytes and not is_followed):
        raise broken_file(name)


def _check_pixels(dataset: Dataset, name: str) -> None:
    if "PixelData" not in dataset:
        raise broken_file(name)
    element = dataset.get_item("PixelData")
    if not UID(dataset.file_meta.TransferSyntaxUID).is_compressed:
        bits = dataset.Rows * dataset.Columns * dataset.BitsAllocated * int(dataset.get("NumberOfFrames", 1) or 1)
        if len(element.value) < (bits + 7) // 8:
            raise broken_file(name)


class _Layers:
    """One frame's attributes: its own functional groups first, then the shared ones, then the file's.

    A classic file has one layer. Philips repeats classic attributes in a private sequence (2005,140F) of each frame.
    """

    def __init__(self, layers: list[Dataset]):
        self.layers = layers

    def get(self, keyword: str, default=None):
        """Value of the first layer that has the attribute and a value for it."""
        for layer in self.layers:
            value = layer.get(keyword)
            if value is not None and value != "":
                return value
        return default

    def private(self, tag: int):
        """Value of the first layer that has the private element."""
        for layer in self.layers:
            value = private_value(layer, tag)
            if value is not None:
                return value
        return None


def _images(dataset: Dataset) -> Iterator[tuple[int | None, _Layers]]:
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        yield None, _Layers([dataset])
        return
    shared = _flattened(dataset.get("SharedFunctionalGroupsSequence") or [])
    for index, group in enumerate(groups):
        yield index, _Layers([*_flattened([group]), *shared, dataset])


def _flattened(groups) -> list[Dataset]:
    """The items of the sequences of a functional group, macros before the vendor's private copies."""
    macros, private = [], []
    for group in groups:
        for element in group:
            if element.VR == "SQ" and len(element.value):
                (private if element.tag.is_private else macros).append(element.value[0])
    return macros + private


def _frame(image: _Layers, dataset: Dataset, path: Path, name: str, digest: str, index: int | None) -> Frame | str:
    """The frame, or why it is not used."""
    part = component(image)
    if part is None:
        kinds = image.get("FrameType") or image.get("ImageType") or ["unknown"]
        return f"not a magnitude, phase, real or imaginary image (image type {'/'.join(kinds)})"
    echo_time = image.get("EffectiveEchoTime", image.get("EchoTime"))
    found = {
        "rows": dataset.get("Rows"),
        "columns": dataset.get("Columns"),
        "orientation": image.get("ImageOrientationPatient"),
        "position": image.get("ImagePositionPatient"),
        "pixel_spacing": image.get("PixelSpacing"),
        "echo_time": echo_time,
    }
    absent = [_NEEDED[key] for key, value in found.items() if value is None]
    if absent:
        raise UnsuitableInputError(
            f"An MR image needs {', '.join(_NEEDED.values())}; '{name}' has no {', '.join(absent)}. Export it again "
            "without removing these attributes."
        )
    slope, intercept = value_scale(image, part)
    spacing = image.get("SpacingBetweenSlices") or image.get("SliceThickness")
    number = image.get("EchoNumbers")
    is_ge = "GE" in str(dataset.get("Manufacturer", "")).upper().split()
    return Frame(
        path=path,
        name=name,
        sha256=digest,
        index=index,
        series_uid=str(dataset.get("SeriesInstanceUID", "")),
        visit=(str(dataset.get("StudyInstanceUID", "")), str(dataset.get("PatientID", "") or "")),
        part=part,
        echo_time_us=round(float(echo_time) * 1e3),
        echo_number=int(number) if isinstance(number, int | str) else None,
        shape=(int(found["rows"]), int(found["columns"])),
        orientation=tuple(float(v) for v in found["orientation"]),
        position=tuple(float(v) for v in found["position"]),
        pixel_spacing=tuple(float(v) for v in found["pixel_spacing"]),
        slice_spacing=float(spacing) if spacing else None,
        slope=slope,
        intercept=intercept,
        phase_unit=_declared_unit(image),
        field_strength_t=_field_strength(image),
        protocol=tuple(
            str(image.get(keyword, "")) for keyword in ("ProtocolName", "RepetitionTime", "FlipAngle", "SequenceName")
        ),
        acquired=str(dataset.get("AcquisitionDateTime") or "")
        or f"{dataset.get('AcquisitionDate') or ''}{dataset.get('AcquisitionTime') or ''}",
        series_number=int(dataset.get("SeriesNumber") or 0),
        series_description=str(dataset.get("SeriesDescription", "") or ""),
        is_ge_3d=is_ge and str(image.get("MRAcquisitionType", "3D")).upper() != "2D",
        is_deflated=UID(dataset.file_meta.TransferSyntaxUID).is_deflated,
        is_simulated=SIMULATED_COMMENT in str(dataset.get("ImageComments", "")).upper(),
    )


def _declared_unit(image: _Layers) -> str | None:
    unit = image.get("RescaleType")
    return None if unit is None else str(unit)


def _field_strength(image: _Layers) -> float | None:
    field = image.get("MagneticFieldStrength")
    if field:
        return float(field)
    frequency = image.get("TransmitterFrequency", image.get("ImagingFrequency"))
    return float(frequency) * 1e6 / PROTON_GYROMAGNETIC_RATIO_HZ_PER_T if frequency else None
