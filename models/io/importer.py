"""Make cases: copy the files of each acquisition into the studies folder and write its manifest.

Everything is read and validated first; files go into a hidden folder that is renamed when it is complete, and the
manifest comes last. An import that fails or is interrupted leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UnsuitableInputError
from .byra_mat import is_byra, recognised, write_byra_cohort
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
from .class_label import ANSWER_FIELDS, ClassLabel, class_label_path, read_class_labels, write_class_label
from .clinical_table import ClinicalTable
from .cohort import read_sources, subject_folders
from .files import FoundStudy, Skipped, cannot_write, copy_checked, digest_of_digests, read_bytes, write_atomically
from .reading import case_id_of, find_studies
from .study import MultiEchoStudy
from .ultrasound_case import subject_case
from .ultrasound_folder import check_images

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
    table: ClinicalTable | None = None
    """The clinical table that ultrasound subjects came with; it says what is missing."""
    note: str = ""
    """What else is known of the source, as a sentence; empty: nothing."""


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
    source: Path | str,
    studies_dir: Path | str,
    *,
    case_id: str | None = None,
    progress: Progress | None = None,
    clinical: Path | str | None = None,
    species: str | None = None,
    mapping: Path | str | None = None,
) -> ImportReport:
    """Import every multi-echo acquisition, or every ultrasound subject, of a folder or file as a case.

    The same files imported before are recognised by their SHA-256 and not copied again. When some of several
    acquisitions cannot be used, they are listed as skipped with the reason.

    Args:
        source: A DICOM folder, BIDS folder, NIfTI with JSON, or ``.mat`` file; a folder of ultrasound subjects; or the
            public ``.mat`` of B-mode frames, see :mod:`.byra_mat`.
        studies_dir: The studies folder; made if it does not exist.
        case_id: Id of the case; with several acquisitions they are numbered. Default: made from the source's name.
        progress: Called as ``progress(done, total)`` with files.
        clinical: Table of clinical values of ultrasound subjects; see :func:`~.cohort.read_sources`.
        species: rat or human, of ultrasound subjects; default: as their files say.
        mapping: JSON of the clinical table's headers.
    Raises:
        UnsuitableInputError: nothing that can be used, an id that is taken, a full disk; nothing is kept then.
    """
    source, studies_dir = Path(source), Path(studies_dir)
    if case_id is not None:
        check_id(case_id)
    if subject_folders(source):
        options = {"clinical": clinical, "species": species, "mapping": mapping}
        return _import_subjects(source, studies_dir, case_id, progress or (lambda done, total: None), options)
    if is_byra(source) and (clinical, species, mapping) == (None, None, None):
        return _import_byra(source, studies_dir, case_id, progress or (lambda done, total: None))
    if clinical is not None or species is not None or mapping is not None:
        raise UnsuitableInputError(
            f"Clinical values and a species are imported with ultrasound subjects; '{source.name}' holds none. Leave "
            "the options out, or name files bmode_* and swe_*."
        )
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
            files, case = _mri_case(wanted, item, header, case_source)
            for _ in _make_case(studies_dir, wanted, files, case, made):
                done += 1
                if progress is not None:
                    progress(done, total)
            case_ids.append(wanted)
    except BaseException:
        for unwanted in made:
            remove_case(studies_dir, unwanted)
        raise
    return ImportReport(tuple(case_ids), tuple(skipped), tuple(existing))


def _import_byra(source: Path, studies_dir: Path, case_id: str | None, progress: Progress) -> ImportReport:
    """Import the patients of a public ``.mat`` as ultrasound subjects."""
    note = recognised(source)
    with tempfile.TemporaryDirectory(prefix="liverlabel-") as folder:
        write_byra_cohort(source, folder)
        options = {"clinical": None, "species": None, "mapping": None}
        return replace(_import_subjects(Path(folder), studies_dir, case_id, progress, options), note=note)


def _import_subjects(
    source: Path, studies_dir: Path, case_id: str | None, progress: Progress, options: dict
) -> ImportReport:
    """Import the ultrasound subjects of a folder; each case has the name of its subject."""
    sources, table, skipped = read_sources(source, **options)
    if case_id is not None and len(sources) > 1:
        raise UnsuitableInputError(
            f"An id of a case is for one subject; '{source.name}' holds {len(sources)}, named by their folders. Leave "
            "it out."
        )
    known = _known_sources(studies_dir)
    cases, existing, refusals = [], [], []
    for subject in sources:
        wanted = check_id(case_id or subject.subject_id)
        try:
            check_images(subject)
            files, case = subject_case(subject, wanted)
            if known.get(case.source.sha256) == wanted:
                existing.append(wanted)
            elif not _is_free(studies_dir, wanted):
                raise UnsuitableInputError(
                    f"A new case needs an id that is free; '{wanted}' is taken by other images or values. Remove that "
                    "case or rename the subject's folder."
                )
            cases.append((subject, files, case))
        except UnsuitableInputError as error:
            refusals.append(error)
            skipped.append(Skipped(subject.subject_id, str(error)))
    if not cases:
        raise refusals[0]
    total = sum(len(files) for _, files, case in cases if case.case_id not in existing)
    made, labels, done = [], {}, 0
    try:
        for subject, files, case in cases:
            if case.case_id not in existing:
                for _ in _make_case(studies_dir, case.case_id, files, case, made):
                    done += 1
                    progress(done, total)
            skipped += _store_answers(subject, class_label_path(studies_dir, case.case_id), case.case_id, table, labels)
    except BaseException:
        for unwanted in made:
            remove_case(studies_dir, unwanted)
        for path, before in labels.items():
            path.unlink(missing_ok=True) if before is None else write_atomically(path, before)
        raise
    return ImportReport(tuple(case.case_id for _, _, case in cases), tuple(skipped), tuple(existing), table)


def _store_answers(subject, path: Path, case_id: str, table, former: dict[Path, bytes | None]) -> list[Skipped]:
    """Store a table's answers beside those that are there; a reader's answer is never overwritten.

    Args:
        former: Gets the file that was there before this import wrote to it; None: there was none.
    """
    stored, skipped = read_class_labels(path) if path.exists() else {}, []
    for task, name in ANSWER_FIELDS.items():
        answer = getattr(subject, name)
        if answer is None:
            continue
        if task not in stored:
            former.setdefault(path, read_bytes(path) if path.exists() else None)
            write_class_label(ClassLabel(case_id, task, answer, source=table.name), path)
        elif stored[task].value != answer:
            reason = f"{task} of '{table.name}': the stored answer differs and was kept"
            skipped.append(Skipped(case_id, reason))
    return skipped


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
    studies_dir: Path, case_id: str, files: Sequence[tuple[Path, str, str]], case: Case, made: list[str]
) -> Iterator[Path]:
    """Copy files (path, name in the case, digest) and write the manifest; yields each file that was copied.

    The id is added to ``made`` once its folder is this import's own: until then another import may take it.
    """
    target = files_folder(studies_dir, case_id)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".importing-", dir=target.parent))
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        for path, name, sha256 in files:
            copy_checked(path, staging.joinpath(*name.split("/")), sha256)
            yield path
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
    save_case(case, studies_dir)


def _mri_case(
    case_id: str, item: FoundStudy, header: _Header, source: CaseSource
) -> tuple[list[tuple[Path, str, str]], Case]:
    """The files of a study with their names in the case, and its manifest."""
    names = _names(item)
    cse_mri = CseMri(
        format=item.format,
        field_strength_t=header.field_strength_t,
        echo_times_s=header.echo_times_s,
        files=tuple(CaseFile(n, f.sha256, f.part, f.echo_times_s) for f, n in zip(item.files, names, strict=True)),
        precession=header.precession,
        is_bipolar=header.is_bipolar,
    )
    files = [(file.path, name, file.sha256) for file, name in zip(item.files, names, strict=True)]
    return files, Case(case_id, cse_mri, header.patient_id, header.is_simulated, source)


def _names(item: FoundStudy) -> list[str]:
    """Names of the files in the case; DICOM files are numbered, as their own names may identify a patient."""
    if item.format == "dicom":
        return [f"{number:05d}.dcm" for number in range(1, len(item.files) + 1)]
    return [file.name for file in item.files]
