"""The public set of B-mode frames with and without fatty liver (Byra 2018) in its MATLAB layout.

A struct array ``data``, one element a patient (55 of them), with the fields ``id``, ``class`` (1: more than 5 % of
hepatocytes have fat in the biopsy), ``fat`` (that share, percent) and ``images`` (10 x 434 x 636, uint8).

Source: Byra M et al., Int J CARS 2018, 10.1007/s11548-018-1843-2; data 10.5281/zenodo.1009146.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from .files import write_atomically
from .synthetic_set import picture_bytes
from .ultrasound_folder import SCHEMA, SCHEMA_VERSION, SIDECAR

BYRA_SHA256 = "912dc5367e06ccf24d8ba33e503d7b755b92ba84a6840cb232c92096dbe936f7"
"""Of the published file."""
BYRA_DOI = "10.5281/zenodo.1009146"
FIELDS = ("id", "class", "fat", "images")
"""Of the struct, exactly."""
_LAYOUT = f"a struct array data with the fields {', '.join(FIELDS)}"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class ByraPatient:
    """One patient of the set."""

    patient_id: str
    """Number in the set, as text."""
    is_fatty: bool
    """The biopsy's answer."""
    fat_percent: float
    """Hepatocytes with fat, percent."""
    images: np.ndarray
    """Frames, shape (n_frames, rows, columns), uint8."""


def is_byra(path: Path | str) -> bool:
    """Whether a file has a variable ``data`` that is a struct; nothing but headers is read."""
    path = Path(path)
    if path.suffix.lower() != ".mat" or not path.is_file():
        return False
    import scipy.io

    try:
        return any(name == "data" and kind == "struct" for name, _, kind in scipy.io.whosmat(path))
    except Exception:  # A damaged header makes scipy raise whatever it meets; the other readers say what is wrong.
        return False


def recognised(path: Path | str) -> str:
    """Whether a file is the published one, as a sentence."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    name, found = Path(path).name, digest.hexdigest()
    if found == BYRA_SHA256:
        return f"'{name}' is the public set {BYRA_DOI}, unchanged (SHA-256 {found[:16]}…). Cite Byra et al. 2018."
    return (
        f"'{name}' has the layout of the public set {BYRA_DOI} but not its SHA-256 ({found[:16]}… instead of "
        f"{BYRA_SHA256[:16]}…): it is another or a changed file."
    )


def read_byra(path: Path | str) -> Iterator[ByraPatient]:
    """The patients of a file, one after the other; the file's frames are in memory once (152 MB of the public one).

    Raises:
        UnsuitableInputError: a file that is cut short or of another layout, a patient with a value or frames that
            cannot be, or one that is there twice.
    """
    import scipy.io

    name = Path(path).name
    try:
        data = np.asarray(scipy.io.loadmat(path, variable_names=["data"])["data"]).ravel()
    except Exception as error:  # scipy raises whatever a damaged file makes it meet.
        raise UnsuitableInputError(
            f"A whole MATLAB file of version 7 or older with {_LAYOUT} is needed; '{name}' cannot be read as one. Copy "
            "it again."
        ) from error
    if data.dtype.names is None or set(data.dtype.names) != set(FIELDS):
        found = ", ".join(data.dtype.names or ()) or "no struct"
        raise UnsuitableInputError(f"The file needs {_LAYOUT}, exactly; '{name}' has {found}. Take the published file.")
    seen = set()
    for number, element in enumerate(data, start=1):
        where = f"patient {number} of '{name}'"
        patient_id = str(_whole(element["id"], "id", where))
        if patient_id in seen:
            raise UnsuitableInputError(
                f"Every patient needs its own id; '{patient_id}' is there twice in '{name}'. Take the published file."
            )
        seen.add(patient_id)
        answer = _whole(element["class"], "class", where)
        fat, images = _number(element["fat"], "fat", where), np.asarray(element["images"])
        if answer not in (0, 1) or not 0 <= fat <= 100:
            raise UnsuitableInputError(
                f"A class needs to be 0 or 1 and a fat share 0 to 100 %; {where} has {answer} and {fat:g}. Correct it."
            )
        if images.ndim != 3 or images.dtype != np.uint8 or not images.size:
            raise UnsuitableInputError(
                f"Frames need shape (frames, rows, columns), uint8; {where} has {images.shape}, {images.dtype}. Take "
                "the published file."
            )
        yield ByraPatient(patient_id, bool(answer), fat, images)


def write_byra_cohort(path: Path | str, folder: Path | str) -> None:
    """Write the patients of a file as subjects' folders with a clinical table, as the readers take them.

    Args:
        path: See :func:`read_byra`.
        folder: New or empty.
    Raises:
        UnsuitableInputError: as :func:`read_byra`, or the folder cannot be written.
    """
    folder, text = Path(folder), io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subject_id", "patient_id", "histology_fat_percent", "nafld"])
    for patient in read_byra(path):
        subject = f"byra-{patient.patient_id.zfill(2)}"
        images = []
        for number, frame in enumerate(patient.images, start=1):
            file = f"bmode_{number:02d}.png"
            write_atomically(folder / subject / file, picture_bytes(np.ascontiguousarray(frame)))
            images.append({"file": file, "role": "bmode", "name": f"frame_{number:02d}"})
        sidecar = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "patient_id": subject, "species": "human"}
        sidecar |= {"is_simulated": False, "images": images}
        write_atomically(folder / subject / SIDECAR, (json.dumps(sidecar, indent=2) + "\n").encode("utf-8"))
        writer.writerow([subject, subject, f"{patient.fat_percent:g}", "yes" if patient.is_fatty else "no"])
    write_atomically(folder / "clinical.csv", text.getvalue().encode("utf-8"))


def _number(value: object, field: str, where: str) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiub" or not np.isfinite(float(array.flat[0])):
        raise UnsuitableInputError(f"The field {field} needs one number; {where} has another value. Correct it.")
    return float(array.flat[0])


def _whole(value: object, field: str, where: str) -> int:
    number = _number(value, field, where)
    if not number.is_integer():
        raise UnsuitableInputError(f"The field {field} needs a whole number; {where} has {number:g}. Correct it.")
    return int(number)
