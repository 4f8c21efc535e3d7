"""The images of a case that a label refers to: their DICOM headers and their place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..errors import UnsuitableInputError
from .case import Case
from .dicom_frames import frames_of, is_dicom, naming
from .dicom_geometry import stack_of

ULTRASOUND_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.6.1")
_EXPECTED = (
    "PatientID PatientName PatientBirthDate PatientSex StudyID AccessionNumber StudyDate StudyTime "
    "ReferringPhysicianName"
).split()
"""Attributes an object has to share with its images, empty where those lack them."""


@dataclass(frozen=True)
class SourceImages:
    """What a region was drawn on."""

    headers: list[Dataset]
    """Of its files, in the order of the slices; without pixels."""
    shape: tuple[int, int, int]
    """Columns, rows and slices."""
    affine: np.ndarray | None
    """Index to world millimetres, RAS+; None for a picture, which has no place."""
    frame: tuple[UID, int] | None = None
    """Of a multi-frame picture: its SOP class, and the number of the frame from 1."""


def source_images(case: Case) -> SourceImages:
    """One image a slice of an MRI, or the first B-mode image.

    Raises:
        UnsuitableInputError: the files are not DICOM, or there is no B-mode image.
    """
    return _slices(case) if case.cse_mri is not None else _picture(case)


def header_of(case: Case) -> Dataset:
    """The header of one image.

    Raises:
        UnsuitableInputError: the files are not DICOM.
    """
    files = case.cse_mri.files if case.cse_mri is not None else case.ultrasound.images
    return _header(case.path_of(files[0]))


def _slices(case: Case) -> SourceImages:
    frames = [frame for file in case.cse_mri.files for frame in frames_of(case.path_of(file), file.path)[0]]
    if not frames:
        raise _not_dicom(case.case_id)
    kind = min((frame.part not in ("magnitude", "real"), frame.echo_time_us, frame.part) for frame in frames)
    chosen = [frame for frame in frames if (frame.echo_time_us, frame.part) == kind[1:]]
    columns = ("position", "orientation", "pixel_spacing")
    places = [[getattr(frame, name) for frame in chosen] for name in columns]
    stack = stack_of(*places, case.case_id, chosen[0].slice_spacing)
    ordered = [frame for _, frame in sorted(zip(stack.slice_of, chosen, strict=True), key=lambda item: item[0])]
    headers = [_header(path) for path in dict.fromkeys(frame.path for frame in ordered)]
    rows, columns = chosen[0].shape
    return SourceImages(headers, (columns, rows, stack.n_slices), stack.affine)


def _picture(case: Case) -> SourceImages:
    image = next((image for image in case.ultrasound.images if image.role == "bmode"), None)
    if image is None:
        raise UnsuitableInputError(
            f"The liver is outlined on a B-mode image; the case '{case.case_id}' has none. Import one."
        )
    header = _header(case.path_of(image))
    # A region is of one frame and has no place; the library asks for as many frames as the header states.
    is_multi_frame = int(header.get("NumberOfFrames", 1) or 1) > 1
    storage = header.SOPClassUID
    if is_multi_frame:
        header.SOPClassUID = ULTRASOUND_IMAGE_STORAGE
    for keyword in ("NumberOfFrames", "FrameOfReferenceUID"):
        if keyword in header:
            del header[keyword]
    frame = (storage, image.frame + 1) if is_multi_frame else None
    return SourceImages([header], (header.Columns, header.Rows, 1), None, frame)


def _header(path: Path) -> Dataset:
    with naming(path.name):
        with open(path, "rb") as opened:
            if not is_dicom(opened.read(132)):
                raise _not_dicom(path.name)
        header = pydicom.dcmread(path, stop_before_pixels=True)
        for keyword in _EXPECTED:
            if keyword not in header:
                setattr(header, keyword, "")
        return header


def _not_dicom(name: str) -> UnsuitableInputError:
    return UnsuitableInputError(
        f"A label is stored as DICOM beside DICOM images; those of '{name}' are not. Store it in a folder of cases."
    )
