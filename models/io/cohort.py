"""A folder of subjects with a clinical table beside them, or a studies folder of cases: subjects in a fixed order."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..errors import UnsuitableInputError
from .case import CASE_SUFFIX, Case, load_case
from .class_label import ANSWER_FIELDS, class_label_path, read_class_labels
from .clinical_table import ClinicalTable, read_clinical_table
from .files import Skipped
from .ultrasound_folder import SIDECAR, SourceImage, SubjectSource, is_subject, read_subject_folder

TABLE_NAMES = ("clinical.csv", "clinical.xlsx")


def subject_folders(path: Path | str) -> list[Path]:
    """The subjects' folders of a cohort in the order of their names; ``[path]`` for that of one subject."""
    path = Path(path)
    if is_subject(path):
        return [path]
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        return []
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return [folder for folder in folders if is_subject(folder)]


def read_sources(
    path: Path | str,
    *,
    clinical: Path | str | None = None,
    species: str | None = None,
    mapping: Path | str | None = None,
) -> tuple[list[SubjectSource], ClinicalTable | None, list[Skipped]]:
    """The subjects of a cohort's folder, with their clinical values and answers; no pixels are read.

    Args:
        path: A folder of subjects' folders, or one subject's.
        clinical: Table; default: ``clinical.csv`` or ``clinical.xlsx`` in ``path``, if there is one.
        species: rat or human; default: as the sidecars say.
        mapping: JSON of the table's headers, see :func:`read_clinical_table`.
    Returns:
        Subjects, the table (None without one), and what was not used, with the reason.
    Raises:
        UnsuitableInputError: a subject or table with a fault, patients that contradict each other, no subject.
    """
    path = Path(path)
    sources = [read_subject_folder(folder) for folder in subject_folders(path)]
    if not sources:
        raise UnsuitableInputError(
            f"A cohort needs a folder for each subject with ultrasound images; '{path.name}' has none. Name files "
            "bmode_* and swe_*, or write ultrasound.json."
        )
    skipped = [Skipped(f"{s.subject_id}/{item.name}", item.reason) for s in sources for item in s.skipped]
    tables = [path / name for name in TABLE_NAMES if (path / name).is_file()]
    table = clinical if clinical is not None else next(iter(tables), None)
    if species is not None:
        sources = [replace(source, species=species) for source in sources]
    if table is None:
        return [_with_patient(source) for source in sources], None, skipped
    stated = {source.species for source in sources if source.species is not None}
    known = species or (next(iter(stated)) if len(stated) == 1 else None)
    table = read_clinical_table(table, known, mapping=mapping)
    if known is None and table.columns:
        found = " and ".join(sorted(stated)) or "none"
        raise UnsuitableInputError(
            f"Clinical values need one species, rat or human, for their ranges; the subjects state {found}. State it "
            "in ultrasound.json or with --species."
        )
    return *_joined(sources, table, skipped), skipped


def holds_cohort(path: Path | str) -> bool:
    """Whether a folder is a studies folder or a cohort by its own signs: cases, a clinical table, subjects' sidecars or
    pictures named by their role; any other folder is a mere tree of pictures."""
    path = Path(path)
    if not path.is_dir():
        return False
    if any(path.glob(f"*{CASE_SUFFIX}")) or any((path / name).is_file() for name in TABLE_NAMES):
        return True
    return any(
        next(path.glob(f"{inner}{sign}"), None) for inner in ("", "*/") for sign in (SIDECAR, "bmode_*", "swe_*")
    )


def case_source(case: Case, studies_dir: Path) -> SubjectSource:
    """A stored case as a subject, with the reader's answer if there is one.

    Raises:
        UnsuitableInputError: the case has no ultrasound images and no clinical values, or a label with a fault.
    """
    if case.ultrasound is None and not case.clinical:
        raise UnsuitableInputError(
            f"An ultrasound subject needs images or clinical values; case '{case.case_id}' has none."
        )
    images = tuple(
        SourceImage(
            path=case.path_of(image),
            role=image.role,
            name=image.name,
            frame=image.frame,
            pixel_spacing_mm=image.pixel_spacing_mm,
            box=image.box,
            scale=image.scale,
            roi=case.path_of(image.roi) if image.roi else None,
            sha256=image.sha256,
            roi_sha256=image.roi.sha256 if image.roi else None,
        )
        for image in (case.ultrasound.images if case.ultrasound else ())
    )
    path = class_label_path(studies_dir, case.case_id)
    labels = read_class_labels(path) if path.is_file() else {}
    for label in labels.values():
        if label.case_id != case.case_id:
            raise UnsuitableInputError(
                f"A class label needs the id of its case; '{path.name}' holds '{label.case_id}'. Write it again."
            )
    return SubjectSource(
        subject_id=case.case_id,
        patient_id=case.patient_id or case.case_id,
        images=images,
        species=case.species,
        is_simulated=case.is_simulated,
        clinical=case.clinical,
        **{ANSWER_FIELDS[task]: label.value for task, label in labels.items()},
    )


def case_sources(studies_dir: Path | str) -> list[SubjectSource]:
    """The ultrasound subjects of a studies folder, in the order of their ids."""
    cases = [load_case(path) for path in sorted(Path(studies_dir).glob(f"*{CASE_SUFFIX}"))]
    return [case_source(case, Path(studies_dir)) for case in cases if case.ultrasound is not None or case.clinical]


def _joined(
    sources: list[SubjectSource], table: ClinicalTable, skipped: list[Skipped]
) -> tuple[list[SubjectSource], ClinicalTable]:
    joined = []
    for source in sources:
        record = table.records.get(source.subject_id)
        if record is None:
            skipped.append(Skipped(source.subject_id, f"clinical values: '{table.name}' has no line of it"))
            joined.append(_with_patient(source))
            continue
        if source.patient_id is not None and source.patient_id != record.patient_id:
            raise UnsuitableInputError(
                f"A subject needs one patient_id; '{source.subject_id}' has '{source.patient_id}' in its images and "
                f"'{record.patient_id}' in '{table.name}'. Correct one of them."
            )
        joined.append(
            replace(
                source,
                patient_id=record.patient_id,
                clinical=record.values,
                **{name: getattr(record, name) for name in ANSWER_FIELDS.values()},
            )
        )
    here = {source.subject_id for source in sources}
    if not here & set(table.records):
        raise UnsuitableInputError(
            f"A clinical table needs the names of the subjects' folders as subject_id; '{table.name}' has none of "
            f"{', '.join(sorted(here)[:3])}. Correct them."
        )
    absent = [subject for subject in table.records if subject not in here]
    if len(sources) > 1:
        skipped += [Skipped(subject, f"a line of '{table.name}' without images") for subject in absent]
    return joined, table


def _with_patient(source: SubjectSource) -> SubjectSource:
    if source.patient_id is None:
        raise UnsuitableInputError(
            f"A subject needs a patient_id, by which every split goes; '{source.subject_id}' has none. State it in "
            "ultrasound.json or in a clinical table."
        )
    return source
