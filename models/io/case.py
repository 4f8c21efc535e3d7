"""The case manifest: one visit of one patient, ``<id>.case.json`` with its raw files in ``files/<id>/`` beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ..errors import UnsuitableInputError
from .clinical import SPECIES, check_stored_values
from .files import PARTS, inside, read_bytes, write_atomically
from .manifest_checks import check_choice, check_sha256, check_type, checked
from .ultrasound_manifest import Ultrasound, UltrasoundImage, ultrasound_from_json

CASE_SUFFIX = ".case.json"
ID_PATTERN = re.compile(r"^[A-Za-z0-9][\w.-]{0,127}$", re.ASCII)
"""What a case id may be; use with ``fullmatch``."""
SCHEMA = "liverlabel.case"
SCHEMA_VERSION = 1
FORMATS = ("dicom", "nifti", "ismrm_mat")
FILES_FOLDER = "files"
_LATER_FIELDS = ("ultrasound", "clinical", "species")


@dataclass(frozen=True)
class CaseFile:
    """One raw file and its role."""

    path: str
    """Name inside ``files/<id>/``, with forward slashes."""
    sha256: str
    """Hex digest of its bytes."""
    part: str
    """magnitude, phase, real, imaginary, complex, mixed (several in one file) or sidecar."""
    echo_times_s: tuple[float, ...] = ()
    """Echo times of the images in it, seconds."""


@dataclass(frozen=True)
class CseMri:
    """A multi-echo chemical-shift-encoded MRI acquisition of the visit."""

    format: str
    """dicom, nifti or ismrm_mat."""
    field_strength_t: float
    """Main field, tesla."""
    echo_times_s: tuple[float, ...]
    """Echo times, increasing, seconds."""
    files: tuple[CaseFile, ...]
    """The files it is read from."""
    precession: int | None = None
    """+1, -1 or None, as in MultiEchoStudy; what stands here prevails over the files."""
    is_bipolar: bool | None = None
    """As in MultiEchoStudy; what stands here prevails over the files."""


@dataclass(frozen=True)
class CaseSource:
    """Where the files came from."""

    name: str
    """Name of the folder or file, without the path to it."""
    sha256: str
    """Digest of the sorted digests of its files: the same files give the same, whatever their names."""


@dataclass(frozen=True)
class Case:
    """One visit of one patient."""

    case_id: str
    """Its id: the name of its manifest and of its folder of files."""
    cse_mri: CseMri | None = None
    """Its multi-echo MRI."""
    patient_id: str | None = None
    """What every split groups by."""
    is_simulated: bool = False
    """True when its signals were computed, not measured."""
    source: CaseSource | None = None
    """Where it came from."""
    ultrasound: Ultrasound | None = None
    """Its B-mode and elastography images."""
    clinical: Mapping[str, float] = field(default_factory=dict)
    """Clinical values by name with unit, of :data:`~.clinical.CLINICAL_COLUMNS`; what was not measured is not in it."""
    species: str | None = None
    """rat or human, where it matters for the ranges of values."""
    folder: Path | None = field(default=None, compare=False)
    """Where its files lie once it is loaded or saved; not part of the manifest."""

    def path_of(self, file: CaseFile | UltrasoundImage) -> Path:
        """Where a file of this case lies.

        Raises:
            UnsuitableInputError: a name that leads outside the folder of the case.
        """
        if self.folder is None:
            raise ValueError("the case was neither loaded nor saved")
        return inside(self.folder, file.path)


def check_id(case_id: str) -> str:
    """The id, if it is one.

    Raises:
        UnsuitableInputError: it holds other characters, or is too long.
    """
    if not isinstance(case_id, str) or not ID_PATTERN.fullmatch(case_id):
        raise UnsuitableInputError(
            "A case id needs 1 to 128 ASCII letters, digits, '_', '.' or '-', the first a letter or digit; found "
            f"{case_id!r}. Choose another."
        )
    return case_id


def manifest_path(studies_dir: Path, case_id: str) -> Path:
    """Where the manifest of a case lies."""
    return Path(studies_dir) / f"{check_id(case_id)}{CASE_SUFFIX}"


def files_folder(studies_dir: Path, case_id: str) -> Path:
    """Where the raw files of a case lie."""
    return Path(studies_dir) / FILES_FOLDER / check_id(case_id)


def save_case(case: Case, studies_dir: Path) -> Path:
    """Write a manifest, whole or not at all; the files it names have to be there.

    Returns:
        The path of the manifest.
    Raises:
        UnsuitableInputError: a bad id, a file that is missing, a full disk.
    """
    path = manifest_path(studies_dir, case.case_id)
    _check_files(case, files_folder(studies_dir, case.case_id))
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(case)}
    del content["folder"]
    for name in _LATER_FIELDS:  # A case without them stays readable by the version before these fields.
        if not content[name]:
            del content[name]
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode("utf-8"))
    return path


def load_case(path: Path) -> Case:
    """Read a manifest and check that its files are there.

    Args:
        path: The manifest, ``<id>.case.json``.
    Raises:
        UnsuitableInputError: not a manifest, another version, unknown or missing keys, files missing or outside the
        case.
    """
    path = Path(path)
    if not path.name.endswith(CASE_SUFFIX):
        raise UnsuitableInputError(f"A case manifest needs a name ending in {CASE_SUFFIX}; found '{path.name}'.")
    try:
        content = json.loads(read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise UnsuitableInputError(
            f"A case manifest needs to be JSON; '{path.name}' cannot be read. Import the case again."
        ) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UnsuitableInputError(f'A case manifest needs "schema": "{SCHEMA}"; \'{path.name}\' has another.')
    if content.get("schema_version") != SCHEMA_VERSION:
        raise UnsuitableInputError(
            f"A case manifest of version {SCHEMA_VERSION} is needed; '{path.name}' has version "
            f"{content.get('schema_version')!r}. Update LiverLabel or import the case again."
        )
    values = {key: value for key, value in content.items() if key not in ("schema", "schema_version")}
    case = _case(values, path.name)
    if f"{case.case_id}{CASE_SUFFIX}" != path.name:
        raise UnsuitableInputError(
            f"A case manifest needs the name of its case; '{path.name}' holds case_id '{case.case_id}'. Rename "
            "one of them."
        )
    folder = files_folder(path.parent, case.case_id)
    _check_files(case, folder)
    return Case(**{f.name: getattr(case, f.name) for f in fields(Case)} | {"folder": folder})


def _check_files(case: Case, folder: Path) -> None:
    paths = [file.path for file in case.cse_mri.files] if case.cse_mri else []
    paths += case.ultrasound.paths() if case.ultrasound else []
    for path in paths:
        if not inside(folder, path).is_file():
            raise UnsuitableInputError(
                f"Every file of a case needs to be in its folder; '{path}' of case '{case.case_id}' is missing. "
                "Restore it or import the case again."
            )


def _case(values: dict, name: str) -> Case:
    values = checked(Case, values, name, unknown={"folder"})
    check_id(values["case_id"])
    if values.get("cse_mri") is not None:
        values["cse_mri"] = _cse_mri(values["cse_mri"], name)
    if values.get("source") is not None:
        values["source"] = CaseSource(**checked(CaseSource, values["source"], name))
    if values.get("ultrasound") is not None:
        values["ultrasound"] = ultrasound_from_json(values["ultrasound"], name)
    values["clinical"] = check_stored_values(values.get("clinical", {}), name)
    check_choice(values, "species", (*SPECIES, None), name)
    check_type(values, "patient_id", (str, type(None)), name)
    check_type(values, "is_simulated", (bool,), name)
    return Case(**values)


def _cse_mri(values: object, name: str) -> CseMri:
    values = checked(CseMri, values, name)
    check_choice(values, "format", FORMATS, name)
    check_choice(values, "precession", (1, -1, None), name)
    check_choice(values, "is_bipolar", (True, False, None), name)
    check_type(values, "field_strength_t", (int, float), name)
    values["echo_times_s"] = _numbers(values["echo_times_s"], name)
    check_type(values, "files", (list,), name)
    files = []
    for item in values["files"]:
        item = checked(CaseFile, item, name)
        check_type(item, "path", (str,), name)
        check_choice(item, "part", PARTS, name)
        check_sha256(item, name)
        item["echo_times_s"] = _numbers(item.get("echo_times_s", []), name)
        files.append(CaseFile(**item))
    values["files"] = tuple(files)
    return CseMri(**values)


def _numbers(values: object, name: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise UnsuitableInputError(f"In '{name}', echo_times_s needs a list of seconds; found {values!r}.")
    return tuple(float(value) for value in values)
