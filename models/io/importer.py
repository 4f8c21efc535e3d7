"""Make cases: copy the files of each acquisition into the studies folder and write its manifest.

Everything is read and validated first; files go into a hidden folder that is renamed when it is complete, and the
manifest comes last. An import that fails or is interrupted leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnsuitableInputError
from .case import (
    CASE_SUFFIX,
    Case,
    CaseFile,
    CaseSource,
    CseMri,
    check_id,
    files_folder,
    load_case,
    manifest_path,
    save_case,
)
from .files import FoundFile, FoundStudy, Skipped, cannot_write, copy_checked, digest_of_digests
from .reading import case_id_of, find_studies
from .study import MultiEchoStudy

__all__ = ["ImportReport", "Progress", "Skipped", "import_source", "remove_case"]

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
"""What renaming a folder onto one that is there answers."""
Progress = Callable[[int, int], None]
"""Called with the number of files copied and the number of all."""


@dataclass(frozen=True)
class ImportReport:
    """What an import made."""

    case_ids: tuple[str, ...]
    """The cases of the source, in order, those already there included."""
    skipped: tuple[Skipped, ...] = ()
    """Files and series that were not used, and why."""
    existing_ids: tuple[str, ...] = ()
    """Those of ``case_ids`` that had been imported before."""


@dataclass(frozen=True)
class _Header:
    """What the manifest says of a study; its pixels are not kept."""

    field_strength_t: float
    echo_times_s: tuple[float, ...]
    precession: int | None
    is_bipolar: bool | None
    patient_id: str | None
    is_simulated: bool


def import_source(
    source: Path | str, studies_dir: Path | str, *, case_id: str | None = None, progress: Progress | None = None
) -> ImportReport:
    """Import every multi-echo acquisition of a folder or file as a case.

    The same files imported before are recognised by their SHA-256 and not copied again. When some of several
    acquisitions cannot be used, they are listed as skipped with the reason.

    Args:
        source: A DICOM folder, BIDS folder, NIfTI with JSON, or ``.mat`` file.
        studies_dir: The studies folder; made if it does not exist.
        case_id: Id of the case; with several acquisitions they are numbered. Default: made from the source's name.
        progress: Called as ``progress(done, total)`` with files.
    Raises:
        UnsuitableInputError: nothing that can be used, an id that is taken, a full disk; nothing is kept then.
    """
    source, studies_dir = Path(source), Path(studies_dir)
    if case_id is not None:
        check_id(case_id)
    found = find_studies(source)
    skipped = list(found.skipped)
    known = _known_sources(studies_dir)
    usable: list[tuple[FoundStudy, _Header | None, str]] = []
    refusals: list[UnsuitableInputError] = []
    for item in found.studies:
        digest = digest_of_digests(file.sha256 for file in item.files)
        if digest in known and case_id in (None, known[digest]):
            usable.append((item, None, digest))
            continue
        try:
            usable.append((item, _header(item.read()), digest))
        except UnsuitableInputError as error:
            refusals.append(error)
            skipped.append(Skipped(item.label, str(error)))
    if not usable:
        raise refusals[0]
    total = sum(len(item.files) for item, header, _ in usable if header is not None)
    case_ids, existing, made = [], [], []
    done = 0
    try:
        for number, (item, header, digest) in enumerate(usable):
            if header is None:
                case_ids.append(known[digest])
                existing.append(known[digest])
                continue
            wanted = _wanted_id(studies_dir, source, case_id, number, len(usable))
            case_source = CaseSource(source.resolve().name, digest)
            for _ in _make_case(studies_dir, wanted, item, header, case_source, made):
                done += 1
                if progress is not None:
                    progress(done, total)
            case_ids.append(wanted)
    except BaseException:
        for unwanted in made:
            remove_case(studies_dir, unwanted)
        raise
    return ImportReport(tuple(case_ids), tuple(skipped), tuple(existing))


def remove_case(studies_dir: Path | str, case_id: str) -> None:
    """Remove a case: its manifest first, then its files."""
    manifest_path(Path(studies_dir), case_id).unlink(missing_ok=True)
    shutil.rmtree(files_folder(Path(studies_dir), case_id), ignore_errors=True)


def _header(study: MultiEchoStudy) -> _Header:
    return _Header(
        field_strength_t=float(study.field_strength_t),
        echo_times_s=tuple(float(time) for time in study.echo_times_s),
        precession=study.precession,
        is_bipolar=study.is_bipolar,
        patient_id=study.patient_id,
        is_simulated=study.is_simulated,
    )


def _known_sources(studies_dir: Path) -> dict[str, str]:
    """Source digest -> id of the cases that are there and whole."""
    known: dict[str, str] = {}
    for path in sorted(studies_dir.glob(f"*{CASE_SUFFIX}")):
        try:
            case = load_case(path)
        except UnsuitableInputError:
            continue  # A case that cannot be loaded is no copy to rely on.
        if case.source is not None:
            known.setdefault(case.source.sha256, case.case_id)
    return known


def _wanted_id(studies_dir: Path, source: Path, case_id: str | None, number: int, total: int) -> str:
    if case_id is not None:
        wanted = check_id(case_id if total == 1 else f"{case_id}_{number + 1}")
        if not _is_free(studies_dir, wanted):
            raise UnsuitableInputError(
                f"A new case needs an id that is free; '{wanted}' is taken by other images. Choose another id or "
                "remove that case."
            )
        return wanted
    first = wanted = case_id_of(source, number, total)
    copy = 1
    while not _is_free(studies_dir, wanted):
        copy += 1
        wanted = f"{first}-{copy}"
    return wanted


def _is_free(studies_dir: Path, case_id: str) -> bool:
    return not manifest_path(studies_dir, case_id).exists() and not files_folder(studies_dir, case_id).exists()


def _make_case(
    studies_dir: Path, case_id: str, item: FoundStudy, header: _Header, source: CaseSource, made: list[str]
) -> Iterator[FoundFile]:
    """Copy the files and write the manifest; yields each file that was copied.

    The id is added to ``made`` once its folder is this import's own: until then another import may take it.
    """
    target = files_folder(studies_dir, case_id)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".importing-", dir=target.parent))
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        files = []
        for file, name in zip(item.files, _names(item), strict=True):
            copy_checked(file.path, staging.joinpath(*name.split("/")), file.sha256)
            files.append(CaseFile(name, file.sha256, file.part, file.echo_times_s))
            yield file
        try:
            os.chmod(staging, 0o755)
            os.rename(staging, target)
        except OSError as error:
            if error.errno in _TAKEN:
                raise UnsuitableInputError(
                    f"A new case needs an id that is free; another import took '{case_id}' meanwhile. Import again."
                ) from error
            raise cannot_write(target, error) from error
        made.append(case_id)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    cse_mri = CseMri(
        format=item.format,
        field_strength_t=header.field_strength_t,
        echo_times_s=header.echo_times_s,
        files=tuple(files),
        precession=header.precession,
        is_bipolar=header.is_bipolar,
    )
    save_case(Case(case_id, cse_mri, header.patient_id, header.is_simulated, source), studies_dir)


def _names(item: FoundStudy) -> list[str]:
    """Names of the files in the case; DICOM files are numbered, as their own names may identify a patient."""
    if item.format == "dicom":
        return [f"{number:05d}.dcm" for number in range(1, len(item.files) + 1)]
    return [file.name for file in item.files]
