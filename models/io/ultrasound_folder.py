"""A folder of one subject's ultrasound files: their roles, from a sidecar, their names or DICOM."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from .clinical import SPECIES
from .files import Skipped, identifier, inside, read_bytes, sha256_of_bytes
from .manifest_checks import check_choice, check_type, checked
from .picture_file import PICTURE_SUFFIXES, PictureFile, open_picture
from .ultrasound_manifest import ROLES, Box, ElastogramScale, image_settings

SIDECAR = "ultrasound.json"
SCHEMA = "liverlabel.ultrasound"
SCHEMA_VERSION = 1
DICOM_SUFFIXES = (".dcm", "")
"""DICOM files often have no suffix."""
_ROLE_IN_NAME = re.compile(r"^(bmode|b-mode|swe)(?:[_ -]+(.+))?$", re.IGNORECASE)
_BLACK = 3
"""Grey level up to which a whole image is black."""
_ULTRASOUND_STORAGE = tuple(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("6.1", "3.1", "6", "3"))


@dataclass(frozen=True)
class SourceImage:
    """One frame of one file on disk, and how it is read."""

    path: Path
    """The file."""
    role: str
    """bmode or swe."""
    name: str
    """Of the place, such as a lobe."""
    frame: int = 0
    """Index in the file, from 0."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Distance between rows, between columns, mm."""
    box: Box | None = None
    """The elasticity box."""
    scale: ElastogramScale | None = None
    """How the colours of an elastogram are values."""
    roi: Path | None = None
    """A picture of the reader's region, of the size of the image."""
    sha256: str | None = None
    """Digest the file has to have; None: any."""
    roi_sha256: str | None = None
    """Digest the region's file has to have; None: any."""

    def open(self) -> PictureFile:
        """The file, checked against its digest.

        Raises:
            UnsuitableInputError: it changed, or cannot be read.
        """
        check_unchanged(self.path, self.sha256)
        return open_picture(self.path)

    def read_roi(self, shape: tuple[int, int]) -> np.ndarray | None:
        """The reader's region, shape (rows, columns), bool; None when none was drawn.

        Raises:
            UnsuitableInputError: another size than the image, or empty.
        """
        if self.roi is None:
            return None
        check_unchanged(self.roi, self.roi_sha256)
        mask = open_picture(self.roi).grey() > 0
        if mask.shape != shape or not mask.any():
            raise UnsuitableInputError(
                f"A region of interest needs the size of its image, {shape[0]} x {shape[1]}, and at least one pixel; "
                f"'{self.roi.name}' has {mask.shape[0]} x {mask.shape[1]} and {int(mask.sum())} pixels. Draw it again."
            )
        return mask


@dataclass(frozen=True)
class SubjectSource:
    """One visit of one patient on disk; its images are read later."""

    subject_id: str
    """Of the visit: name of the folder, or id of the case."""
    patient_id: str | None
    """What every split groups by; None: only a clinical table may say it."""
    images: tuple[SourceImage, ...]
    """In the order they are shown."""
    species: str | None = None
    """rat or human."""
    is_simulated: bool = False
    """True when the images were computed."""
    clinical: Mapping[str, float] = field(default_factory=dict)
    """Clinical values by canonical name."""
    is_fibrotic_nash: bool | None = None
    """The known answer; None: not known."""
    is_fatty: bool | None = None
    """Whether the liver is known to be fatty (NAFLD); None: not known."""
    skipped: tuple[Skipped, ...] = ()
    """Files and frames that are not used, and why."""
    sidecar: Path | None = None
    """The file that said all this."""


def check_unchanged(path: Path, sha256: str | None) -> None:
    """Refuse a file that is not the one that was imported."""
    if sha256 is not None and sha256_of_bytes(read_bytes(path)) != sha256:
        raise UnsuitableInputError(
            f"The files of a case need to stay as they were imported; '{path.name}' has changed. Restore it or import "
            "the case again."
        )


def is_subject(path: Path) -> bool:
    """Whether a folder or file holds one subject's ultrasound: a sidecar, names with a role, ultrasound DICOM."""
    if path.is_file():
        return _is_picture(path) and bool(_ROLE_IN_NAME.match(path.stem)) or _is_ultrasound_dicom(path)
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        return False
    if (path / SIDECAR).is_file():
        return True
    files = _visible(path)
    if any(_is_picture(file) and _ROLE_IN_NAME.match(file.stem) for file in files):
        return True
    return any(_is_ultrasound_dicom(file) for file in files[:3])


def read_subject_folder(path: Path | str) -> SubjectSource:
    """What a folder (or a single file) of one subject's ultrasound holds; no pixels are read.

    Args:
        path: A folder with ``ultrasound.json``; or with pictures named ``bmode_*`` and ``swe_*``; or with ultrasound
            DICOM files.
    Raises:
        UnsuitableInputError: a sidecar with a fault, files that it does not list, no images.
    """
    path = Path(path)
    if path.is_dir() and (path / SIDECAR).is_file():
        return _from_sidecar(path)
    files = [path] if path.is_file() else _visible(path)
    images, skipped, patients = [], [], set()
    for file in files:
        found = _from_name(file) if file.suffix.lower() in (*PICTURE_SUFFIXES, *DICOM_SUFFIXES) else None
        if isinstance(found, str) or found is None:
            skipped.append(Skipped(file.name, found or "no picture of ultrasound"))
            continue
        image, picture = found
        images.append(image)
        if picture.patient_id:
            patients.add(picture.patient_id)
        if picture.n_frames > 1:
            reason = f"frames 1 to {picture.n_frames - 1}: name those to use in {SIDECAR}"
            skipped.append(Skipped(file.name, reason))
    if len(patients) > 1:
        raise UnsuitableInputError(
            f"A subject's folder needs images of one patient; '{path.name}' holds those of {len(patients)}. Make a "
            "folder of each."
        )
    subject_id = identifier(path.stem if path.is_file() else path.resolve().name)
    return _checked(SubjectSource(subject_id, next(iter(patients), None), tuple(images), skipped=tuple(skipped)), path)


def check_images(source: SubjectSource) -> None:
    """Decode every image of a subject once.

    Raises:
        UnsuitableInputError: a file that cannot be read, a frame that is not there, an image that is black, a region
        of another size.
    """
    for image in source.images:
        picture = image.open()
        grey = picture.grey(image.frame)
        if grey.max() <= _BLACK:
            raise UnsuitableInputError(
                f"An ultrasound image needs tissue; frame {image.frame} of '{picture.name}' is black all over. Export "
                "it again."
            )
        image.read_roi(grey.shape)


def _from_sidecar(folder: Path) -> SubjectSource:
    path = folder / SIDECAR
    data = read_bytes(path)
    try:
        content = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise UnsuitableInputError(f"{_where(folder)} needs to be JSON; it cannot be read. Write it again.") from error
    found = (content.get("schema"), content.get("schema_version")) if isinstance(content, dict) else None
    if found != (SCHEMA, SCHEMA_VERSION):
        raise UnsuitableInputError(
            f'{_where(folder)} needs "schema": "{SCHEMA}" and "schema_version": {SCHEMA_VERSION}; it has others.'
        )
    name = f"{folder.name}/{SIDECAR}"
    values = {key: value for key, value in content.items() if key not in ("schema", "schema_version")}
    values = checked(_Sidecar, values, name)
    check_type(values, "patient_id", (str,), name)
    check_type(values, "is_simulated", (bool,), name)
    check_type(values, "images", (list,), name)
    check_choice(values, "species", (*SPECIES, None), name)
    if not values["patient_id"].strip():
        raise UnsuitableInputError(f"{_where(folder)} needs a patient_id, by which every split goes; it is empty.")
    images = tuple(_image(folder, item, name) for item in values["images"])
    used = {image.path for image in images}
    forgotten = [f.name for f in _visible(folder) if _is_picture(f) and _ROLE_IN_NAME.match(f.stem) and f not in used]
    if forgotten:
        raise UnsuitableInputError(
            f"{_where(folder)} needs to list every picture; {', '.join(forgotten)} is not in it. Add or remove it."
        )
    skipped = tuple(_without_scale(images))
    source = SubjectSource(
        subject_id=identifier(folder.resolve().name),
        patient_id=values["patient_id"],
        images=images,
        species=values.get("species"),
        is_simulated=values["is_simulated"],
        skipped=skipped,
        sidecar=path,
    )
    return _checked(source, folder)


@dataclass(frozen=True)
class _Sidecar:
    """Keys of ``ultrasound.json``."""

    patient_id: str
    is_simulated: bool
    images: list
    species: str | None = None


@dataclass(frozen=True)
class _SidecarImage:
    """Keys of an image in ``ultrasound.json``."""

    file: str
    role: str
    name: str
    frame: int = 0
    pixel_spacing_mm: list | None = None
    box: list | None = None
    scale: dict | None = None
    roi: str | None = None


def _image(folder: Path, item: object, name: str) -> SourceImage:
    values = checked(_SidecarImage, item, name)
    check_type(values, "file", (str,), name)
    check_type(values, "roi", (str, type(None)), name)
    values = image_settings(values, name)
    path = _present(folder, values.pop("file"))
    roi = values.pop("roi", None)
    roi = None if roi is None else _present(folder, roi)
    image = SourceImage(path, roi=roi, **values)
    return image if path.suffix.lower() in PICTURE_SUFFIXES else _completed(image, open_picture(path))


def _present(folder: Path, file: str) -> Path:
    path = inside(folder, file)
    if not path.is_file():
        raise UnsuitableInputError(
            f"Every file that {_where(folder)} names needs to be there; '{file}' is missing. Copy it or "
            "correct the name."
        )
    return path


def _from_name(file: Path) -> tuple[SourceImage, PictureFile] | str:
    """The image a file is by its name or its DICOM attributes, or why it is not used."""
    match = _ROLE_IN_NAME.match(file.stem)
    if file.suffix.lower() in PICTURE_SUFFIXES:
        if not match:
            return "not named bmode_* or swe_*"
    elif not _is_ultrasound_dicom(file) and not match:
        return "no ultrasound DICOM"
    picture = open_picture(file)
    if match:
        role, place = match[1].lower().replace("-", ""), match[2] or "1"
    else:
        if not picture.is_elastography and any(region.kind == "colour" for region in picture.regions):
            return f"in colour, and not said to be elastography; state its role in {SIDECAR}"
        role, place = ("swe" if picture.is_elastography else "bmode"), file.stem
    return _completed(SourceImage(file, role, place), picture), picture


def _completed(image: SourceImage, picture: PictureFile) -> SourceImage:
    """With what DICOM says of box, scale and spacing where nothing else does."""
    image = replace(image, pixel_spacing_mm=image.pixel_spacing_mm or picture.pixel_spacing_mm())
    if image.role != "swe":
        return image
    box = next((region.box for region in picture.regions if region.kind == "colour"), None)
    scale = image.scale
    bar = next((region for region in picture.regions if region.kind == "colour_bar"), None)
    stated = next((region.values for region in picture.regions if region.values is not None), None)
    if scale is None and bar is not None and stated is not None:
        scale = ElastogramScale(*stated, bar=bar.box)
    return replace(image, box=image.box or box, scale=scale)


def _without_scale(images: Sequence[SourceImage]):
    for image in images:
        if image.role == "swe" and image.scale is None:
            yield Skipped(image.path.name, "its stiffness: the scale of its colours is not stated")


def _checked(source: SubjectSource, path: Path) -> SubjectSource:
    if not source.images:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in source.skipped[:3]) or "it is empty"
        raise UnsuitableInputError(
            f"A subject needs at least one ultrasound image; '{path.name}' holds none ({reasons}). Name files bmode_* "
            f"and swe_*, or write {SIDECAR}."
        )
    for role in ROLES:
        names = [image.name for image in source.images if image.role == role]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UnsuitableInputError(
                f"Images of a role need different names; '{path.name}' has {role} '{twice[0]}' more "
                "than once. Rename one."
            )
    return source


def _where(folder: Path) -> str:
    return f"'{folder.name}/{SIDECAR}'"


def _visible(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in (*PICTURE_SUFFIXES, ".dcm")


def _is_ultrasound_dicom(file: Path) -> bool:
    if file.suffix.lower() not in DICOM_SUFFIXES:
        return False
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        return str(dataset.get("SOPClassUID", "")) in _ULTRASOUND_STORAGE
    except (InvalidDicomError, OSError, ValueError, KeyError, EOFError, AttributeError):
        return False
