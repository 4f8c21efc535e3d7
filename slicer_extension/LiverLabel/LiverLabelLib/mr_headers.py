"""What the headers of MR images say of echoes and components: DICOM by pydicom, NIfTI with the JSON beside it."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom

from .errors import UnsuitableInputError

PARTS = ("magnitude", "phase", "real", "imaginary")
_MR_STORAGE = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1")
_GE, _PHILIPS = (0x0043, 0x102F), (0x2005, 0x1011)
"""Private elements that hold an image's component."""
_GE_PARTS = dict(enumerate(PARTS))
_WORDS = {"M": 0, "MAG": 0, "MAGNITUDE": 0, "M_FFE": 0, "P": 1, "PH": 1, "PHA": 1, "PHASE": 1, "PHASE MAP": 1}
_WORDS |= {"R": 2, "REAL": 2, "I": 3, "IMAG": 3, "IMAGINARY": 3}
_COMPUTED = {"WATER", "FAT", "W", "F", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "FF", "FAT_FRACTION"}
_COMPUTED |= {"WATER_FRACTION", "R2_STAR", "R2STAR", "T2_STAR", "T2_STAR_MAP", "R2_STAR_MAP", "FIELD_MAP", "B0"}


@dataclass(frozen=True)
class Image:
    """One image of one slice, or a volume of NIfTI."""

    visit: str
    """Equal within one visit of one patient."""
    series: str
    """For people, such as "series 5 'multi-echo'"."""
    key: tuple
    """Of its series, in the order to be listed."""
    part: str | None
    """One of ``PARTS``; None: something else."""
    echo_time_ms: float | None
    """None: the header has none."""
    position: tuple[float, ...]
    """Where it lies; equal for the echoes of a slice."""
    size: tuple[int, int]
    """(columns, rows)."""
    n_slices: int = 1
    """Of a volume."""


def dicom_images(path: Path) -> list[Image]:
    """The images of a DICOM file.

    Raises:
        UnsuitableInputError: why it is left out, in a few words.
    """
    try:
        with path.open("rb") as opened:
            is_dicom = opened.read(132)[128:] == b"DICM"
            opened.seek(0)
            dataset = pydicom.dcmread(opened, stop_before_pixels=True) if is_dicom else None
    except OSError as error:
        raise UnsuitableInputError(f"cannot be read ({error.strerror or 'cut short'})") from error
    except Exception as error:  # Whatever pydicom raises on damaged bytes.
        raise UnsuitableInputError("cut short or damaged") from error
    if dataset is None:
        raise UnsuitableInputError("neither DICOM, NIfTI, JSON, .mat nor .zip")
    storage = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if storage is None:
        raise UnsuitableInputError("cut short or damaged")
    if storage not in _MR_STORAGE or dataset.get("Modality", "MR") != "MR":
        raise UnsuitableInputError(f"not MR but {dataset.get('Modality') or 'something else'}")
    try:
        return [_image(layers, dataset) for layers in _frames(dataset)]
    except Exception as error:  # pydicom reads values when they are asked for, and raises as above.
        raise UnsuitableInputError("its header is incomplete or damaged") from error


def _frames(dataset) -> list[list]:
    """For each frame the data sets that describe it, the nearest first."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        return [[dataset]]
    shared = _items(dataset.get("SharedFunctionalGroupsSequence") or [])
    return [[*_items([one]), *shared, dataset] for one in groups]


def _items(groups) -> list:
    return [element.value[0] for one in groups for element in one if element.VR == "SQ" and len(element.value)]


def _value(layers, keyword: str):
    return next((v for one in layers if (v := one.get(keyword)) is not None and v != ""), None)


def _image(layers, dataset) -> Image:
    number, description = int(dataset.get("SeriesNumber") or 0), str(dataset.get("SeriesDescription") or "")
    time = _value(layers, "EffectiveEchoTime")
    time = _value(layers, "EchoTime") if time is None else time
    place = [*(_value(layers, "ImagePositionPatient") or ()), *(_value(layers, "ImageOrientationPatient") or ())]
    return Image(
        visit=f"{dataset.get('StudyInstanceUID')}/{dataset.get('PatientID')}",
        series=f"series {number}" + (f" '{description}'" if description else ""),
        key=(number, str(dataset.get("SeriesInstanceUID"))),
        part=_part(layers),
        echo_time_ms=None if time is None else float(time),
        position=tuple(round(float(value), 3) for value in place),
        size=(int(dataset.Columns), int(dataset.Rows)),
    )


def _part(layers) -> str | None:
    """ComplexImageComponent, the vendor's private element, then the third value of FrameType or ImageType."""
    kinds = _value(layers, "FrameType") or _value(layers, "ImageType") or ()
    kinds = [] if isinstance(kinds, str) else [str(kind).upper() for kind in kinds]
    if not set(kinds[2:]) & _COMPUTED:
        if part := _named(_value(layers, "ComplexImageComponent")):
            return part
        private = {tag: next((one[tag].value for one in layers if tag in one), None) for tag in (_PHILIPS, _GE)}
        philips, ge = private[_PHILIPS], private[_GE]
        if philips := _named(philips.decode("ascii", "replace") if isinstance(philips, bytes) else philips):
            return philips
        if ge is not None:
            if isinstance(ge, bytes):
                ge = struct.unpack_from("<h", ge)[0]
            return _GE_PARTS.get(int(ge[0] if hasattr(ge, "__iter__") else ge))
    return _named(kinds[2] if len(kinds) > 2 else None)


def _named(word) -> str | None:
    index = _WORDS.get(str(word or "").strip(" \0").upper())
    return None if index is None else PARTS[index]


def nifti_images(path: Path, paths: Sequence[Path]) -> list[Image]:
    """The volumes of a NIfTI file, its echo times from the JSON beside it.

    Args:
        path: Of the file.
        paths: All that were chosen.
    Raises:
        UnsuitableInputError: why it is left out, in a few words.
    """
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    words = "ph|phase|pha|real|imaginary|imag|mag|magnitude"
    series = re.sub(rf"[_-](?:{words})$", "", re.sub(r"_(?:echo|part)-[A-Za-z0-9]+", "", stem), flags=re.IGNORECASE)
    series = re.sub(r"_e\d+$", "", series)
    beside = [one for one in paths if one.suffix.lower() == ".json" and one.parent == path.parent]
    told: dict = {}
    for candidate in sorted((one for one in beside if one.stem in (series, stem)), key=lambda one: one.stem == stem):
        told |= _json(candidate)
    times = told.get("EchoTimes", told.get("EchoTime"))
    times = times if isinstance(times, list) else [times]
    shape = _nifti_shape(path)
    entity = re.search(r"(?:^|_)part-([A-Za-z]+)", stem)
    kind = told.get("ImageType")
    declared = [told.get("ComplexImageComponent"), *(kind[2:] if isinstance(kind, list) else ())]
    last = re.split(r"[_-]", stem)[-1]
    # A single letter at the end of a name says nothing of the part.
    named = [entity[1] if entity else None, last if len(last) > 1 else None, *declared]
    first = Image(
        visit=str(told.get("StudyInstanceUID") or ""),
        series=f"'{series}'",
        key=(0, f"{path.parent}/{series}"),
        part=next((part for word in named if (part := _named(word))), "magnitude"),
        echo_time_ms=None,
        position=(),
        size=shape[:2],
        n_slices=shape[2],
    )
    if not all(isinstance(time, int | float) and not isinstance(time, bool) for time in times):
        return [first]
    return [replace(first, echo_time_ms=round(float(time) * 1e3, 3)) for time in times]


def _json(path: Path) -> dict:
    try:
        told = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        told = None
    return told if isinstance(told, dict) else {}


def _nifti_shape(path: Path) -> tuple[int, int, int]:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as opened:
            head = opened.read(56)
        order = "<" if struct.unpack_from("<i", head)[0] == 348 else ">"
        n_dimensions, *sizes = struct.unpack_from(order + "8h", head, 40)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UnsuitableInputError("cut short, damaged or no NIfTI") from error
    if struct.unpack_from(order + "i", head)[0] != 348 or not 2 <= n_dimensions <= 7:
        raise UnsuitableInputError("cut short, damaged or no NIfTI")
    return sizes[0], sizes[1], sizes[2] if n_dimensions > 2 else 1
