"""The case that an ultrasound subject becomes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from .case import Case, CaseSource
from .files import digest_of_digests, read_bytes, sha256_of_bytes
from .ultrasound_folder import SubjectSource
from .ultrasound_manifest import Ultrasound, UltrasoundImage, UltrasoundRoi


def subject_case(subject: SubjectSource, case_id: str) -> tuple[list[tuple[Path, str, str]], Case]:
    """The files of a subject with their names in the case and digests, and its manifest.

    Files are numbered by role, as their own names may identify a patient.

    Args:
        subject: Has a patient id.
        case_id: Of the case.
    """
    files: dict[Path, tuple[str, str]] = {}

    def stored(path: Path, stem: str) -> tuple[str, str]:
        if path not in files:
            number = 1 + sum(name.startswith(f"{stem}_") for name, _ in files.values())
            suffix = path.suffix.lower() or ".dcm"
            files[path] = (f"{stem}_{number}{suffix}", sha256_of_bytes(read_bytes(path)))
        return files[path]

    images = []
    for image in subject.images:
        name, digest = stored(image.path, image.role)
        roi = UltrasoundRoi(*stored(image.roi, "roi")) if image.roi else None
        images.append(
            UltrasoundImage(
                path=name,
                sha256=digest,
                role=image.role,
                name=image.name,
                frame=image.frame,
                pixel_spacing_mm=image.pixel_spacing_mm,
                box=image.box,
                scale=image.scale,
                roi=roi,
            )
        )
    said = json.dumps(
        [subject.patient_id, subject.species, dict(subject.clinical), [asdict(i) for i in images]], sort_keys=True
    )
    digests = [*(digest for _, digest in files.values()), sha256_of_bytes(said.encode("utf-8"))]
    case = Case(
        case_id=case_id,
        patient_id=subject.patient_id,
        is_simulated=subject.is_simulated,
        source=CaseSource(subject.subject_id, digest_of_digests(digests)),
        ultrasound=Ultrasound(tuple(images)),
        clinical=dict(subject.clinical),
        species=subject.species,
    )
    return [(path, name, digest) for path, (name, digest) in files.items()], case
