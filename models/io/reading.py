"""Anything that holds a multi-echo study, read as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from .case import CASE_SUFFIX, Case, check_id, load_case
from .files import Found, Skipped, identifier
from .study import MultiEchoStudy

_READABLE = "a case, a DICOM folder, a BIDS folder, NIfTI with JSON, or a MATLAB file of a multi-echo study"


def read_study(path: Path | str) -> MultiEchoStudy:
    """Read one multi-echo study.

    Args:
        path: A case manifest (``<id>.case.json``), a DICOM folder or file, a BIDS folder, a NIfTI file with its JSON,
            an ISMRM ``.mat`` file.
    Raises:
        UnsuitableInputError: nothing to read, several acquisitions (named), or a study that cannot be used.
    """
    path = Path(path)
    if path.name.endswith(CASE_SUFFIX):
        return _read_case(load_case(path))
    found = find_studies(path)
    if len(found.studies) > 1:
        labels = "; ".join(study.label for study in found.studies)
        raise UnsuitableInputError(
            f"One acquisition is needed; '{path.name}' holds {len(found.studies)}: {labels}. Give the folder or file "
            "of one of them, or import the folder, which makes a case of each."
        )
    return found.studies[0].read().with_fields(case_id=identifier(_stem(path)))


def find_studies(path: Path | str) -> Found:
    """The studies a folder or file holds; at least one.

    Raises:
        UnsuitableInputError: there is none; the reason is that of the likeliest candidate.
    """
    path = Path(path)
    root, files = _files(path)
    for named in (path.absolute(), *files):
        _check_text(named.name)
    found = _find(files, root)
    if found.studies:
        return found
    raise UnsuitableInputError(_nothing_found(path, found.skipped))


def _check_text(name: str) -> None:
    """Refuse a name whose bytes are no text: neither a manifest nor a report could hold it."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
        raise UnsuitableInputError(
            f"File names need to be text in UTF-8; '{shown}' is not. Rename it, or copy it from its archive again."
        ) from error


def _read_case(case: Case) -> MultiEchoStudy:
    if case.cse_mri is None:
        raise UnsuitableInputError(f"PDFF needs multi-echo MRI; case '{case.case_id}' has none.")
    files = [case.path_of(file) for file in case.cse_mri.files]
    found = _find(files, case.folder)
    if len(found.studies) != 1:
        raise UnsuitableInputError(
            f"The files of case '{case.case_id}' need to hold one study; found {len(found.studies)}. Import it again."
        )
    study = found.studies[0].read()
    declared = {file.path: file.sha256 for file in case.cse_mri.files}
    changed = sorted(source.name for source in study.sources if declared.get(source.name) != source.sha256)
    if changed:
        raise UnsuitableInputError(
            f"The files of a case need to stay as they were imported; '{changed[0]}' of case '{case.case_id}' has "
            "changed. Restore it or import the case again."
        )
    if not np.allclose(study.echo_times_s, case.cse_mri.echo_times_s, rtol=0, atol=1e-6):
        raise UnsuitableInputError(
            f"The manifest of case '{case.case_id}' needs the echo times of its files; they differ. Import it again."
        )
    precession, is_bipolar = case.cse_mri.precession, case.cse_mri.is_bipolar
    return study.with_fields(
        case_id=case.case_id,
        patient_id=case.patient_id,
        is_simulated=case.is_simulated or study.is_simulated,
        field_strength_t=case.cse_mri.field_strength_t,
        precession=study.precession if precession is None else precession,
        is_bipolar=study.is_bipolar if is_bipolar is None else is_bipolar,
    )


def _files(path: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files to look at."""
    if path.is_dir():
        files = []
        for folder, folders, names in os.walk(path, onerror=_refuse_folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            files += [Path(folder) / name for name in sorted(names) if not name.startswith(".")]
        return path, [file for file in files if file.is_file()]
    if not path.is_file():
        raise UnsuitableInputError(f"An existing folder or file is needed; '{path.name}' is neither. Check the path.")
    from .nifti import acquisition_stem, stem_of

    stem = stem_of(path)
    if stem is None:
        return path.parent, [path]
    acquisition = acquisition_stem(stem)
    beside = []
    for other in sorted(path.parent.iterdir()):
        other_stem = other.stem if other.suffix.lower() == ".json" else stem_of(other)
        if other_stem is not None and (acquisition_stem(other_stem) == acquisition or other.suffix.lower() == ".json"):
            beside.append(other)
    return path.parent, beside


def _refuse_folder(error: OSError) -> None:
    """Refuse a folder that cannot be listed: the images in it might be half of the study."""
    raise UnsuitableInputError(
        f"Every folder of the images needs to be readable; '{Path(error.filename).name}' is not: {error.strerror}. "
        "Change its permissions or copy it."
    ) from error


def _find(files: Sequence[Path], root: Path) -> Found:
    """Hand each file to the reader of its kind."""
    kinds: dict[str, list[Path]] = {"dicom": [], "nifti": [], "matlab": []}
    names = [file.name.lower() for file in files]
    has_nifti = any(name.endswith((".nii", ".nii.gz")) for name in names)
    for file, name in zip(files, names, strict=True):
        if name.endswith(".mat"):
            kinds["matlab"].append(file)
        elif name.endswith((".nii", ".nii.gz")) or (name.endswith(".json") and has_nifti):
            kinds["nifti"].append(file)
        else:
            kinds["dicom"].append(file)
    found = []
    if kinds["nifti"]:
        from .nifti import find_nifti

        found.append(find_nifti(kinds["nifti"], root))
    if kinds["matlab"]:
        from .matlab import find_matlab

        found.append(find_matlab(kinds["matlab"], root))
    if kinds["dicom"]:
        from .dicom import find_dicom

        found.append(find_dicom(kinds["dicom"], root))
    studies = tuple(study for one in found for study in one.studies)
    return Found(studies, tuple(skipped for one in found for skipped in one.skipped))


def _nothing_found(path: Path, skipped: tuple[Skipped, ...]) -> str:
    if not skipped:
        return f"Images are needed: {_READABLE}. '{path.name}' holds no file. Check the path."
    irrelevant = ("not a DICOM file", "describes no image that is used")
    telling = [item for item in skipped if item.reason not in irrelevant] or list(skipped)
    first = telling[-1]
    more = f" ({len(skipped) - 1} more were not used)" if len(skipped) > 1 else ""
    return (
        f"PDFF needs {_READABLE}. '{path.name}' holds none: {first.name}: {first.reason.rstrip('.')}{more}. Give the "
        "folder of a multi-echo gradient-echo acquisition."
    )


def _stem(path: Path) -> str:
    name = path.resolve().name
    for suffix in (".nii.gz", ".nii", ".mat", ".dcm"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def case_id_of(path: Path, number: int = 0, total: int = 1) -> str:
    """The id that a case imported from a source gets unless the user chooses one."""
    stem = identifier(_stem(Path(path)))
    return check_id(stem if total == 1 else f"{stem}_{number + 1}")
