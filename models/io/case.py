"""The case manifest: one visit of one patient, ``<id>.case.json`` with its raw files in ``files/<id>/`` beside it."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path

from ..errors import UnsuitableInputError
from .files import PARTS, inside, read_bytes, write_atomically

CASE_SUFFIX = ".case.json"
ID_PATTERN = re.compile(r"^[A-Za-z0-9][\w.-]{0,127}$", re.ASCII)
"""What a case id may be; use with ``fullmatch``."""
SCHEMA = "liverlabel.case"
SCHEMA_VERSION = 1
FORMATS = ("dicom", "nifti", "ismrm_mat")
FILES_FOLDER = "files"
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    """One visit of one patient.

    A later version adds fields for B-mode and elastography images and clinical values beside ``cse_mri``.
    """

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
    folder: Path | None = field(default=None, compare=False)
    """Where its files lie once it is loaded or saved; not part of the manifest."""

    def path_of(self, file: CaseFile) -> Path:
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
    for file in case.cse_mri.files if case.cse_mri else ():
        if not inside(folder, file.path).is_file():
            raise UnsuitableInputError(
                f"Every file of a case needs to be in its folder; '{file.path}' of case '{case.case_id}' is missing. "
                "Restore it or import the case again."
            )


def _case(values: dict, name: str) -> Case:
    values = _checked(Case, values, name, unknown={"folder"})
    check_id(values["case_id"])
    if values.get("cse_mri") is not None:
        values["cse_mri"] = _cse_mri(values["cse_mri"], name)
    if values.get("source") is not None:
        values["source"] = CaseSource(**_checked(CaseSource, values["source"], name))
    _check_type(values, "patient_id", (str, type(None)), name)
    _check_type(values, "is_simulated", (bool,), name)
    return Case(**values)


def _cse_mri(values: object, name: str) -> CseMri:
    values = _checked(CseMri, values, name)
    _check_choice(values, "format", FORMATS, name)
    _check_choice(values, "precession", (1, -1, None), name)
    _check_choice(values, "is_bipolar", (True, False, None), name)
    _check_type(values, "field_strength_t", (int, float), name)
    values["echo_times_s"] = _numbers(values["echo_times_s"], name)
    _check_type(values, "files", (list,), name)
    files = []
    for item in values["files"]:
        item = _checked(CaseFile, item, name)
        _check_type(item, "path", (str,), name)
        _check_choice(item, "part", PARTS, name)
        if not isinstance(item["sha256"], str) or not _SHA256.fullmatch(item["sha256"]):
            raise UnsuitableInputError(f"In '{name}', sha256 needs 64 hexadecimal digits; found {item['sha256']!r}.")
        item["echo_times_s"] = _numbers(item.get("echo_times_s", []), name)
        files.append(CaseFile(**item))
    values["files"] = tuple(files)
    return CseMri(**values)


def _checked(kind: type, values: object, name: str, unknown: frozenset | set = frozenset()) -> dict:
    """A copy of a JSON object that has the keys of a dataclass and no other."""
    if not isinstance(values, dict):
        raise UnsuitableInputError(f"In '{name}', a JSON object is needed for {kind.__name__}; found {values!r}.")
    known = [f.name for f in fields(kind) if f.name not in unknown]
    strange = sorted(set(values) - set(known))
    if strange:
        raise UnsuitableInputError(
            f"In '{name}', the keys of {kind.__name__} are {', '.join(known)}; found {', '.join(strange)}. Remove what "
            "is unknown or update LiverLabel."
        )
    required = [f.name for f in fields(kind) if f.default is MISSING]
    absent = [key for key in required if key not in values]
    if absent:
        raise UnsuitableInputError(f"In '{name}', {kind.__name__} needs {', '.join(absent)}. Import the case again.")
    return dict(values)


def _check_choice(values: dict, key: str, choices: tuple, name: str) -> None:
    if key in values and not any(
        values[key] is c or (values[key] == c and type(values[key]) is type(c)) for c in choices
    ):
        raise UnsuitableInputError(
            f"In '{name}', {key} needs to be one of {', '.join(map(str, choices))}; found {values[key]!r}."
        )


def _check_type(values: dict, key: str, types: tuple, name: str) -> None:
    is_bool = isinstance(values.get(key), bool) and bool not in types
    if key in values and (is_bool or not isinstance(values[key], types)):
        raise UnsuitableInputError(
            f"In '{name}', {key} needs to be of type {' or '.join(t.__name__ for t in types)}; found {values[key]!r}."
        )


def _numbers(values: object, name: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise UnsuitableInputError(f"In '{name}', echo_times_s needs a list of seconds; found {values!r}.")
    return tuple(float(value) for value in values)
