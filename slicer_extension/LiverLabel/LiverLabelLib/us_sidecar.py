"""The files of one subject as the server reads them: pictures named by role and ``ultrasound.json`` beside them.

The layout is that of docs/ultrasound-data.md. The k-th B-mode picture and the k-th elastogram are a pair.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .clinical_facts import SPECIES
from .errors import UnsuitableInputError

SIDECAR = "ultrasound.json"
BMODE, SWE = "bmode", "swe"
ROLES = (BMODE, SWE)
UNITS = ("kPa", "m/s")
COLOURMAPS = ("jet", "turbo", "rainbow", "viridis", "plasma")
HIGHEST = {"kPa": 400.0, "m/s": 11.0}
"""No scale of a scanner goes beyond; higher numbers are of another unit."""
_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm")


@dataclass(frozen=True)
class SentScale:
    """What the colours of an elastogram stand for.

    Raises:
        UnsuitableInputError: numbers that no scale has.
    """

    low: float
    """Value of the bar's first colour, in ``unit``."""
    high: float
    """Value of the bar's last colour, in ``unit``."""
    unit: str
    """kPa or m/s."""
    colormap: str
    """One of :data:`COLOURMAPS`."""
    opacity: float | None = 1.0
    """Of the colours over the grey; None: the server estimates it."""

    def __post_init__(self):
        highest = HIGHEST.get(self.unit, 0.0)
        if self.colormap not in COLOURMAPS or not 0 <= self.low < self.high <= highest:
            raise UnsuitableInputError(
                f"The scale of an elastogram in {self.unit} needs a lower end from 0 and a higher end up to "
                f"{highest:g}; found {self.low:g} to {self.high:g}. Read both numbers and the unit beside the bar."
            )


@dataclass(frozen=True)
class SentPicture:
    """One picture that is sent."""

    path: Path
    """PNG, JPEG or DICOM."""
    role: str
    """One of :data:`ROLES`."""
    frame: int = 0
    """Of a cine, from 0."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Between rows, between columns, mm; None: as the file says, or not known."""
    box: tuple[int, int, int, int] | None = None
    """Of an elastogram: (top, left, bottom, right), the last two outside; None: the server looks for the colours."""
    scale: SentScale | None = None
    """Of an elastogram; None: as DICOM says."""


def sent_names(pictures: Sequence[SentPicture]) -> list[str]:
    """Names that tell nothing of the patient: ``bmode_1.png``, ``swe_1.dcm`` …, in the order of the pictures."""
    counts = dict.fromkeys(ROLES, 0)
    names = []
    for picture in pictures:
        counts[picture.role] += 1
        suffix = picture.path.suffix.lower()
        names.append(f"{picture.role}_{counts[picture.role]}{suffix if suffix in _SUFFIXES else '.dcm'}")
    return names


def sidecar(
    pictures: Sequence[SentPicture], *, patient_id: str, is_simulated: bool, species: str | None = None
) -> dict:
    """What ``ultrasound.json`` holds.

    Args:
        pictures: In the order they are sent.
        patient_id: A pseudonym.
        is_simulated: The pictures were computed.
        species: rat or human; None: not stated.
    Raises:
        UnsuitableInputError: no picture, no patient id, another species.
    """
    if not pictures:
        raise UnsuitableInputError("At least one picture is needed; none is opened as B-mode or elastogram. Open one.")
    if not patient_id.strip():
        raise UnsuitableInputError("A patient id is needed and the field is empty. Enter a pseudonym, such as 'local'.")
    if species not in (None, *SPECIES):
        raise UnsuitableInputError(f"The species is {' or '.join(SPECIES)}, or not stated; found '{species}'.")
    images = []
    for picture, file in zip(pictures, sent_names(pictures), strict=True):
        image = {"file": file, "role": picture.role, "name": Path(file).stem.rpartition("_")[2]}
        image |= {"frame": picture.frame} if picture.frame else {}
        if picture.pixel_spacing_mm is not None:
            image["pixel_spacing_mm"] = list(picture.pixel_spacing_mm)
        if picture.role == SWE:
            image |= {"box": list(picture.box)} if picture.box is not None else {}
            image |= {"scale": asdict(picture.scale)} if picture.scale is not None else {}
        images.append(image)
    head = {"schema": "liverlabel.ultrasound", "schema_version": 1, "patient_id": patient_id.strip()}
    stated = {} if species is None else {"species": species}
    return {**head, "is_simulated": is_simulated, **stated, "images": images}


def write_subject(folder: Path, pictures: Sequence[SentPicture], content: dict) -> list[Path]:
    """Copy the pictures under their sent names into a folder and write the sidecar; the files to send.

    Raises:
        UnsuitableInputError: a picture is gone, or the folder is full.
    """
    written = []
    try:
        for picture, name in zip(pictures, sent_names(pictures), strict=True):
            written.append(folder / name)
            shutil.copyfile(picture.path, written[-1])
        written.append(folder / SIDECAR)
        written[-1].write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    except OSError as error:
        raise UnsuitableInputError(
            f"The pictures need to be copied before they are sent; '{written[-1].name}' could not be: "
            f"{error.strerror or 'it cannot be read'}. Open the picture again."
        ) from error
    return written
