"""Labels as DICOM objects beside their images: regions as segmentations, answers as structured reports.

An archive deletes nothing, so a third object, a mark, says that a case was reopened. SeriesDescription says what an
object is, as in ``LiverLabel MR region final``, so that a search finds it without opening it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.valuerep import DT

from ..errors import UnsuitableInputError
from .case import ID_PATTERN, Case
from .dicom_geometry import LPS_TO_RAS
from .dicom_label_source import SourceImages, header_of, source_images
from .picture_file import PICTURE_AFFINE
from .volumes import read_labels, volume_bytes

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

REGION, ANSWER, REOPENED = WHAT = ("region", "answer", "reopened")
"""What an object holds."""
MODALITIES = ("MR", "US")
"""Of the images that are labelled."""
DESCRIPTION_START = "LiverLabel "
_DESCRIPTION = re.compile(rf"^{DESCRIPTION_START}({'|'.join(MODALITIES)}) ({'|'.join(WHAT)}) (\S+)$")
_LONGEST = 64
"""Characters of a SeriesDescription (LO) and of a part of a name (PN)."""
_SERIES_NUMBER = 9000
_STORED_AT = "stored "


@dataclass(frozen=True)
class LabelNote:
    """What is said of a label besides its content."""

    modality: str
    """One of :data:`MODALITIES`."""
    what: str
    """One of :data:`WHAT`."""
    tag: str
    """Under which it is stored."""
    reader: str
    """Who drew or answered; empty: not known."""
    time_s: float
    """When it was stored, seconds since 1970."""

    @property
    def description(self) -> str:
        """The SeriesDescription.

        Raises:
            UnsuitableInputError: a tag or a reader's name too long for DICOM.
        """
        # A tag that a label may have, a mark may have too.
        longest = _LONGEST - len(f"{DESCRIPTION_START}{self.modality} {REOPENED} ")
        if len(self.tag) > longest or len(self.reader) >= _LONGEST:
            raise UnsuitableInputError(
                f"A label in a DICOMweb store needs a tag of up to {longest} and a reader's name of up to "
                f"{_LONGEST - 1} characters; found {len(self.tag)} and {len(self.reader)}. Shorten it."
            )
        return f"{DESCRIPTION_START}{self.modality} {self.what} {self.tag}"


@dataclass(frozen=True)
class StoredObject:
    """What a DICOM object of ours says."""

    note: LabelNote
    content: bytes
    """The region as ``.nii.gz``, the answer's JSON, or nothing for a mark."""
    reopened: tuple[str, ...] = ()
    """What a mark sets aside: region, answer or both."""


def described(text: str) -> tuple[str, str, str] | None:
    """Modality, what and tag of a SeriesDescription; None: not one of ours."""
    match = _DESCRIPTION.match(text.strip())
    return (match[1], match[2], match[3]) if match and ID_PATTERN.fullmatch(match[3]) else None


def region_object(case: Case, region: Path, note: LabelNote, names: Mapping[int, str] | None = None) -> Dataset:
    """A region as a DICOM segmentation of the images it was drawn on, one segment a label.

    Args:
        case: Whose files are DICOM.
        region: NIfTI or NRRD label volume.
        note: Of the label.
        names: Label -> name of its segment.
    Raises:
        UnsuitableInputError: another geometry than the images', empty, no label volume, a tag that is too long.
    """
    import highdicom
    from highdicom.seg import Segmentation

    images = source_images(case)
    labels = read_labels(region, images.shape, images.affine)
    values = [int(value) for value in np.unique(labels) if value > 0]
    if len(values) > 255:
        raise UnsuitableInputError(f"A region needs at most 255 labels; '{region.name}' has {len(values)}.")
    numbers = np.searchsorted([0, *values], labels).astype(np.uint8)
    named = {value: (names or {}).get(value, "liver" if values == [1] else f"region {value}") for value in values}
    with warnings.catch_warnings():
        # The library warns about names of one part and quotes the patient's.
        warnings.simplefilter("ignore", UserWarning)
        dataset = Segmentation(
            images.headers,
            _pixels(numbers, images),
            "BINARY",
            [_segment(number, value, named[value]) for number, value in enumerate(values, start=1)],
            highdicom.UID(),
            _SERIES_NUMBER,
            highdicom.UID(),
            1,
            manufacturer="LiverLabel",
            manufacturer_model_name="LiverLabel",
            software_versions=_version(),
            device_serial_number="0",
            content_label="LIVERLABEL",
            content_description=_STORED_AT + _iso(note.time_s),
            content_creator_name=_person(note.reader),
            series_description=note.description,
            # A region that lacks the empty slices would not say how many slices its images have.
            omit_empty_frames=False,
        )
    if images.frame is not None:
        _name_frame(dataset, *images.frame)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def text_object(case: Case, text: str, note: LabelNote) -> Dataset:
    """An answer's JSON, or a mark, as a structured report about the images.

    Args:
        case: Whose files are DICOM.
        text: The JSON.
        note: Of the label.
    Raises:
        UnsuitableInputError: a tag that is too long.
    """
    import highdicom
    from highdicom import sr
    from highdicom.sr.coding import CodedConcept

    root = sr.ContainerContentItem(CodedConcept("126000", "DCM", "Imaging Measurement Report"))
    stored = datetime.fromtimestamp(note.time_s, UTC)
    items = [
        sr.DateTimeContentItem(CodedConcept("111526", "DCM", "DateTime Started"), stored, "HAS OBS CONTEXT"),
        sr.TextContentItem(CodedConcept("121106", "DCM", "Comment"), text, "CONTAINS"),
    ]
    if note.reader:
        name = CodedConcept("121008", "DCM", "Person Observer Name")
        items.insert(0, sr.PnameContentItem(name, _person(note.reader), "HAS OBS CONTEXT"))
    root.ContentSequence = sr.ContentSequence(items)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        dataset = sr.EnhancedSR(
            [header_of(case)],
            root,
            highdicom.UID(),
            _SERIES_NUMBER + 1,
            highdicom.UID(),
            1,
            manufacturer="LiverLabel",
            is_complete=True,
            series_description=note.description,
        )
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def mark_object(case: Case, kinds: tuple[str, ...], note: LabelNote) -> Dataset:
    """A mark that labels of these kinds were set aside."""
    return text_object(case, json.dumps({"reopened": list(kinds)}), note)


def read_object(dataset: Dataset) -> StoredObject:
    """What an object of ours says.

    Raises:
        UnsuitableInputError: it is none of ours, or damaged.
    """
    found = described(str(dataset.get("SeriesDescription", "")))
    try:
        if found is None:
            raise ValueError("another series description")
        if found[1] == REGION:
            reader = str(dataset.get("ContentCreatorName", "") or "")
            stored_at = datetime.fromisoformat(str(dataset.ContentDescription).removeprefix(_STORED_AT))
            content, kinds = _region_bytes(dataset, found[0]), ()
        else:
            items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in dataset.ContentSequence}
            reader = str(items["121008"].PersonName) if "121008" in items else ""
            stored_at = DT(str(items["111526"].DateTime))
            text = str(items["121106"].TextValue)
            kinds = tuple(k for k in json.loads(text)["reopened"] if k in WHAT) if found[1] == REOPENED else ()
            content = b"" if found[1] == REOPENED else text.encode()
        reader = reader.rstrip("^")
        if reader and not ID_PATTERN.fullmatch(reader):
            raise ValueError("a reader's name of other characters")
        return StoredObject(LabelNote(*found, reader, stored_at.timestamp()), content, kinds)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise UnsuitableInputError(
            f"A label that LiverLabel stored is needed; an object of the store is none or damaged ({error}). "
            "Store the label again."
        ) from error


def _pixels(numbers: np.ndarray, images: SourceImages):
    """The segments' numbers, shape (x, y, z), as the library takes them: slices first."""
    import highdicom

    array = np.ascontiguousarray(numbers.transpose(2, 1, 0))
    if images.affine is None:
        return array
    affine = (LPS_TO_RAS @ images.affine)[:, [2, 1, 0, 3]]
    frame_of_reference = images.headers[0].FrameOfReferenceUID
    return highdicom.Volume(array, affine, coordinate_system="PATIENT", frame_of_reference_uid=frame_of_reference)


def _segment(number: int, value: int, name: str) -> SegmentDescription:
    import highdicom
    from highdicom.seg import SegmentDescription
    from highdicom.sr.coding import CodedConcept

    family = CodedConcept("123110", "DCM", "Artificial Intelligence")
    return SegmentDescription(
        number,
        name[:_LONGEST],
        CodedConcept("123037004", "SCT", "Anatomical Structure"),
        CodedConcept("10200004", "SCT", "Liver"),
        # A reader may have begun with what the server proposed.
        "SEMIAUTOMATIC",
        highdicom.AlgorithmIdentificationSequence("LiverLabel liver_roi", family, _version()),
        tracking_uid=highdicom.UID(),
        tracking_id=f"label {value}",
    )


def _region_bytes(dataset: Dataset, modality: str) -> bytes:
    from highdicom.seg import Segmentation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        segmentation = Segmentation.from_dataset(dataset)
        values = [0] + [int(item.TrackingID.removeprefix("label ")) for item in dataset.SegmentSequence]
        if modality == "MR":
            volume = segmentation.get_volume(combine_segments=True)
            array, affine = volume.array.transpose(2, 1, 0), LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]]
            if np.linalg.det(affine[:3, :3]) < 0:  # Slices go along their normal, as those of the images do.
                array, affine = array[:, :, ::-1], affine @ _last_slice_first(array.shape[2])
        else:
            frames = segmentation.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
            # What all frames share, as the segment where there is one, stands in one place for all.
            shared = dataset.SharedFunctionalGroupsSequence[0]
            groups = [item.get("SegmentIdentificationSequence") for item in dataset.PerFrameFunctionalGroupsSequence]
            groups = [group or shared.SegmentIdentificationSequence for group in groups]
            numbers = np.array([group[0].ReferencedSegmentNumber for group in groups])
            array = (frames * numbers[:, None, None]).max(axis=0).T[:, :, None]
            affine = PICTURE_AFFINE
    return volume_bytes(np.asarray(values, dtype=np.int32)[array], affine)


def _last_slice_first(n_slices: int) -> np.ndarray:
    flipped = np.diag([1.0, 1.0, -1.0, 1.0])
    flipped[2, 3] = n_slices - 1
    return flipped


def _name_frame(dataset: Dataset, storage: UID, frame: int) -> None:
    """Say which frame of a multi-frame picture was outlined, which the library takes for a single one."""
    (listed,) = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    listed.ReferencedSOPClassUID = storage
    for group in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence", ()):
            (source,) = derivation.SourceImageSequence
            source.ReferencedSOPClassUID, source.ReferencedFrameNumber = storage, frame


def _person(reader: str) -> str | None:
    """A name of one part, as DICOM writes it."""
    return f"{reader}^" if reader else None


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="microseconds")


def _version() -> str:
    from .. import __version__

    return __version__
