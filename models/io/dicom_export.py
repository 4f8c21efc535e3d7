"""Write a study as DICOM MR images: classic files of one slice each, or one enhanced multi-frame file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from ..errors import UnsuitableInputError
from ..units import PROTON_GYROMAGNETIC_RATIO_HZ_PER_T
from .dicom_frames import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE, SIMULATED_COMMENT
from .dicom_geometry import LPS_TO_RAS
from .files import write_atomically
from .study import MultiEchoStudy

_LARGEST = 32767
_PHASE_STEP = np.pi / 32768
"""Radians of one step of a stored 16-bit phase."""
_DIMENSIONS = (
    ("ComplexImageComponent", "MRImageFrameTypeSequence"),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("InStackPositionNumber", "FrameContentSequence"),
)
"""What tells the frames of a multi-frame file apart, the slowest first."""
_CODES = {"magnitude": "M", "phase": "P", "real": "R", "imaginary": "I"}
_FIXED_DATE, _FIXED_TIME = "20000101", "000000"
"""No real date: the same study gives the same bytes."""


@dataclass(frozen=True)
class _Slice:
    """One image: where it belongs and its stored pixels."""

    part: str
    echo: int
    number: int
    stored: np.ndarray
    slope: float


def write_dicom(
    study: MultiEchoStudy, folder: Path | str, *, parts: str = "magnitude_phase", layout: str = "classic"
) -> list[Path]:
    """Write MR images that :func:`read_study` reads back, with signed 16-bit pixels.

    Every UID is derived from the content. A simulated study says so in ImageComments and SeriesDescription.

    Args:
        study: What to write; its slices need to be stacked along their normal. Unusable pixels are written as 0.
        folder: Where the files go; made if it does not exist.
        parts: ``magnitude_phase`` or ``real_imaginary``; magnitude alone for a study without phase.
        layout: ``classic`` (a file an image) or ``enhanced`` (one multi-frame file).
    Returns:
        The files.
    Raises:
        UnsuitableInputError: a sheared image, a full disk.
    """
    chosen = {"magnitude_phase": ("magnitude", "phase"), "real_imaginary": ("real", "imaginary")}[parts]
    if study.is_magnitude_only:
        chosen = ("magnitude",)
    _check_is_orthogonal(study.affine)
    folder = Path(folder)
    identity = _identity(study)
    slices = _slices(study, chosen)
    if layout == "enhanced":
        path = folder / "study.dcm"
        write_atomically(path, _bytes(_enhanced(study, list(slices), identity, "_".join(chosen))))
        return [path]
    if layout != "classic":
        raise ValueError(f"layout is classic or enhanced; found {layout}")
    paths = []
    for image in slices:
        path = folder / f"{image.part}_echo{image.echo + 1:02d}_slice{image.number + 1:04d}.dcm"
        write_atomically(path, _bytes(_classic(study, image, identity, "_".join(chosen))))
        paths.append(path)
    return paths


def _check_is_orthogonal(affine: np.ndarray) -> None:
    sides = np.asarray(affine, dtype=np.float64)[:3, :3]
    unit = sides / np.linalg.norm(sides, axis=0)
    if np.abs(unit.T @ unit - np.eye(3)).max() > 1e-3:
        raise UnsuitableInputError(
            "DICOM needs rows, columns and slices at right angles; this image is sheared. Write BIDS or a "
            ".mat file instead."
        )


def _identity(study: MultiEchoStudy) -> str:
    """A digest of everything that is written: the source of every UID."""
    digest = hashlib.sha256(np.ascontiguousarray(study.signal).tobytes())
    digest.update(np.asarray(study.affine, dtype=np.float64).tobytes())
    digest.update(np.asarray(study.echo_times_s, dtype=np.float64).tobytes())
    digest.update(repr((study.field_strength_t, study.case_id, study.patient_id, study.is_simulated)).encode())
    return digest.hexdigest()


def _uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))


def _slices(study: MultiEchoStudy, parts: tuple[str, ...]) -> Iterator[_Slice]:
    largest = float(np.abs(study.signal).max()) or 1.0
    # The slope has to survive being written as at most 16 characters, so that pixels are rounded with what is read.
    slope = float(str(DSfloat(largest / _LARGEST, auto_format=True)))
    phase_slope = float(str(DSfloat(_PHASE_STEP, auto_format=True)))
    values = {"magnitude": np.abs, "phase": np.angle, "real": np.real, "imaginary": np.imag}
    for part in parts:
        step = phase_slope if part == "phase" else slope
        for echo in range(study.signal.shape[0]):
            for number in range(study.signal.shape[3]):
                pixels = values[part](study.signal[echo, :, :, number]).astype(np.float64)
                stored = np.clip(np.round(pixels / step), -_LARGEST - 1, _LARGEST).astype("<i2")
                yield _Slice(part, echo, number, np.ascontiguousarray(stored.T), step)


def _common(study: MultiEchoStudy, identity: str, kind: str, storage: str, instance: str) -> Dataset:
    """What classic and enhanced files share: patient, study, series, equipment, frame of reference, pixels' format."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = storage
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = storage
    dataset.SOPInstanceUID = instance
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _FIXED_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _FIXED_TIME
    dataset.AccessionNumber = ""
    dataset.Modality = "MR"
    dataset.Manufacturer = "LiverLabel"
    dataset.ReferringPhysicianName = ""
    dataset.SeriesDescription = ("SIMULATED " if study.is_simulated else "") + "multi-echo chemical-shift-encoded MRI"
    dataset.PatientName = study.patient_id or study.case_id
    dataset.PatientID = study.patient_id or ""
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.MagneticFieldStrength = DSfloat(study.field_strength_t, auto_format=True)
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = _uid(identity, "study")
    dataset.SeriesInstanceUID = _uid(identity, "series", kind, storage)
    dataset.FrameOfReferenceUID = _uid(identity, "frame of reference")
    dataset.PositionReferenceIndicator = dataset.StudyID = ""
    dataset.SeriesNumber = 1
    dataset.ImageComments = SIMULATED_COMMENT if study.is_simulated else ""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Columns, dataset.Rows = study.signal.shape[1:3]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    return dataset


def _classic(study: MultiEchoStudy, image: _Slice, identity: str, kind: str) -> Dataset:
    instance = _uid(identity, image.part, image.echo, image.number)
    dataset = _common(study, identity, kind, MR_IMAGE_STORAGE, instance)
    place = _Place(study.affine)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", _CODES[image.part]]
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SP", ""
    dataset.MRAcquisitionType = "3D"
    dataset.SliceThickness = dataset.SpacingBetweenSlices = place.slice_spacing
    dataset.RepetitionTime = dataset.EchoTrainLength = None
    dataset.EchoTime = DSfloat(round(float(study.echo_times_s[image.echo]) * 1e3, 6), auto_format=True)
    dataset.EchoNumbers = image.echo + 1
    dataset.ImagingFrequency = DSfloat(_frequency_mhz(study), auto_format=True)
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = image.echo * study.signal.shape[3] + image.number + 1
    dataset.ImagePositionPatient = place.position(image.number)
    dataset.ImageOrientationPatient = place.orientation
    dataset.PixelSpacing = place.pixel_spacing
    dataset.ComplexImageComponent = image.part.upper()
    dataset.RescaleIntercept = 0
    dataset.RescaleSlope = DSfloat(image.slope, auto_format=True)
    dataset.RescaleType = "rad" if image.part == "phase" else "US"
    dataset.PixelData = image.stored.tobytes()
    return dataset


def _enhanced(study: MultiEchoStudy, slices: list[_Slice], identity: str, kind: str) -> Dataset:
    dataset = _common(study, identity, kind, ENHANCED_MR_IMAGE_STORAGE, _uid(identity, "enhanced", kind))
    place = _Place(study.affine)
    mixed = "MIXED" if len({image.part for image in slices}) > 1 else slices[0].part.upper()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.ComplexImageComponent = mixed
    dataset.AcquisitionContrast = "UNKNOWN"
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.AcquisitionNumber = dataset.InstanceNumber = 1
    dataset.AcquisitionDateTime = _FIXED_DATE + _FIXED_TIME
    dataset.AcquisitionDuration = 0.0
    dataset.ResonantNucleus = "1H"
    dataset.EchoPulseSequence = "GRADIENT"
    dataset.MRAcquisitionType = "3D"
    dataset.ApplicableSafetyStandardAgency = "RESEARCH"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.ContentQualification = "RESEARCH"
    dataset.NumberOfFrames = len(slices)
    organisation = _item(DimensionOrganizationUID=_uid(identity, "dimensions"))
    dataset.DimensionOrganizationSequence = Sequence([organisation])
    dataset.DimensionIndexSequence = Sequence(
        _item(
            DimensionIndexPointer=tag_for_keyword(attribute),
            FunctionalGroupPointer=tag_for_keyword(group),
            DimensionOrganizationUID=organisation.DimensionOrganizationUID,
        )
        for attribute, group in _DIMENSIONS
    )
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=place.orientation)])
    measures = _item(
        PixelSpacing=place.pixel_spacing, SliceThickness=place.slice_spacing, SpacingBetweenSlices=place.slice_spacing
    )
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.MRImagingModifierSequence = Sequence([_item(TransmitterFrequency=_frequency_mhz(study))])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([_frame(study, image, place) for image in slices])
    dataset.PixelData = b"".join(image.stored.tobytes() for image in slices)
    return dataset


def _frame(study: MultiEchoStudy, image: _Slice, place: _Place) -> Dataset:
    frame = Dataset()
    content = _item(StackID="1", InStackPositionNumber=image.number + 1, TemporalPositionIndex=1)
    content.DimensionIndexValues = [list(_CODES).index(image.part) + 1, image.echo + 1, image.number + 1]
    frame.FrameContentSequence = Sequence([content])
    frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=place.position(image.number))])
    echo_time_ms = round(float(study.echo_times_s[image.echo]) * 1e3, 6)
    frame.MREchoSequence = Sequence([_item(EffectiveEchoTime=echo_time_ms)])
    kind = _item(
        FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        ComplexImageComponent=image.part.upper(),
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        AcquisitionContrast="UNKNOWN",
    )
    frame.MRImageFrameTypeSequence = Sequence([kind])
    scale = _item(
        RescaleIntercept=0,
        RescaleSlope=DSfloat(image.slope, auto_format=True),
        RescaleType="rad" if image.part == "phase" else "US",
    )
    frame.PixelValueTransformationSequence = Sequence([scale])
    return frame


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


class _Place:
    """The affine in DICOM's words."""

    def __init__(self, affine: np.ndarray):
        self._lps = LPS_TO_RAS @ np.asarray(affine, dtype=np.float64)
        self._sides = np.linalg.norm(self._lps[:3, :3], axis=0)
        directions = self._lps[:3, :2] / self._sides[:2]
        self.orientation = [DSfloat(value, auto_format=True) for value in directions.T.ravel()]
        self.pixel_spacing = [DSfloat(self._sides[1], auto_format=True), DSfloat(self._sides[0], auto_format=True)]
        self.slice_spacing = DSfloat(self._sides[2], auto_format=True)

    def position(self, number: int) -> list[DSfloat]:
        corner = self._lps[:3, 3] + number * self._lps[:3, 2]
        return [DSfloat(float(value), auto_format=True) for value in corner]


def _frequency_mhz(study: MultiEchoStudy) -> float:
    return float(study.field_strength_t) * PROTON_GYROMAGNETIC_RATIO_HZ_PER_T * 1e-6


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
