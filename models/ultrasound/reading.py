"""Ultrasound subjects from stored cases or from folders of files, in the form every method reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..io.case import CASE_SUFFIX, load_case
from ..io.clinical import CLINICAL_FEATURES
from ..io.cohort import case_source, case_sources, read_sources
from ..io.ultrasound_folder import SourceImage, SubjectSource, is_subject
from ..io.volumes import read_volume
from .elastography import check_stiffness, stiffness_map
from .subject import ImagePair, UltrasoundSubject
from .tissue import tissue_mask


@dataclass(frozen=True)
class Cohort(Sequence):
    """Subjects in a fixed order; the images of one are read each time it is asked for.

    ``sources`` holds what splits need (ids, answers, clinical values) without reading an image.
    """

    sources: tuple[SubjectSource, ...]
    """Where the subjects are."""
    needs_stiffness: bool = True
    """See :func:`read_subject`."""
    with_elastograms: bool = True
    """See :func:`read_subject`."""

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return replace(self, sources=self.sources[index])
        source = self.sources[index]
        return load_subject(source, needs_stiffness=self.needs_stiffness, with_elastograms=self.with_elastograms)


def read_subject(path: Path | str, *, needs_stiffness: bool = True, with_elastograms: bool = True) -> UltrasoundSubject:
    """Read one subject.

    Args:
        path: A stored case (``<id>.case.json``), whose answer is ``labels/final/<id>.label.json`` beside it; or a
            subject's folder, whose clinical values and answer are a line of ``clinical.csv`` in the folder above.
        needs_stiffness: False: elastograms whose scale is not known give their colours only.
        with_elastograms: False: they are passed over, whatever is wrong with them.
    Raises:
        UnsuitableInputError: no ultrasound, an image or value that cannot be used, an elastogram of unknown scale.
    """
    return load_subject(find_subject(path), needs_stiffness=needs_stiffness, with_elastograms=with_elastograms)


def find_subject(path: Path | str) -> SubjectSource:
    """Where the images of one subject are, with its values; no pixels are read.

    Args:
        path: As :func:`read_subject`.
    Raises:
        UnsuitableInputError: no ultrasound, or a manifest, sidecar, table or label with a fault.
    """
    path = Path(path)
    if path.name.endswith(CASE_SUFFIX):
        return case_source(load_case(path), path.parent)
    if not is_subject(path):
        raise UnsuitableInputError(
            f"One ultrasound subject is needed: a case or a folder with ultrasound.json or files named bmode_* and "
            f"swe_*; '{path.name}' is none. Check the path."
        )
    above = path.resolve().parent
    tables = [above / name for name in ("clinical.csv", "clinical.xlsx") if (above / name).is_file()]
    (source,), _, _ = read_sources(path, clinical=next(iter(tables), None))
    return source


def read_cohort(
    folder: Path | str,
    *,
    clinical: Path | str | None = None,
    species: str | None = None,
    mapping: Path | str | None = None,
    needs_stiffness: bool = True,
    with_elastograms: bool = True,
) -> Cohort:
    """The subjects of a cohort's folder or of a studies folder; images are read when they are asked for.

    Args:
        folder: Folders of subjects with ``clinical.csv``, or a studies folder of cases.
        clinical: Another table; for folders of subjects.
        species: rat or human; default: as the files say.
        mapping: JSON of the table's headers.
        needs_stiffness: See :func:`read_subject`.
        with_elastograms: See :func:`read_subject`.
    Raises:
        UnsuitableInputError: no subjects, or a sidecar, table or manifest with a fault.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.glob(f"*{CASE_SUFFIX}")):
        sources = case_sources(folder)
        if not sources:
            raise UnsuitableInputError(
                f"A cohort needs cases with ultrasound images; those in '{folder.name}' have none. Import some."
            )
    else:
        sources, _, _ = read_sources(folder, clinical=clinical, species=species, mapping=mapping)
    return Cohort(tuple(sources), needs_stiffness, with_elastograms)


def load_subject(
    source: SubjectSource, *, needs_stiffness: bool = True, with_elastograms: bool = True
) -> UltrasoundSubject:
    """The images of a subject, decoded, masked and paired by name.

    Raises:
        UnsuitableInputError: an image that cannot be used, named with its subject.
    """
    pairs = []
    for name, images in paired_images(source):
        swe = images.get("swe") if with_elastograms else None
        if swe is None and "bmode" not in images:
            continue
        try:
            pairs.append(_pair(name, images.get("bmode"), swe, source.species, needs_stiffness))
        except UnsuitableInputError as error:
            raise UnsuitableInputError(f"Subject '{source.subject_id}', image '{name}': {error}") from error
    return UltrasoundSubject(
        case_id=source.subject_id,
        patient_id=source.patient_id or source.subject_id,
        pairs=tuple(pairs),
        clinical={key: value for key, value in source.clinical.items() if key in CLINICAL_FEATURES},
        is_fibrotic_nash=source.is_fibrotic_nash,
        is_fatty=source.is_fatty,
        is_simulated=source.is_simulated,
    )


def paired_images(source: SubjectSource) -> list[tuple[str, dict[str, SourceImage]]]:
    """Each name of a place, in the order of the images, with the images of that name by role."""
    names = dict.fromkeys(image.name for image in source.images)
    return [(name, {image.role: image for image in source.images if image.name == name}) for name in names]


def _pair(
    name: str, b_mode: SourceImage | None, swe: SourceImage | None, species: str | None, needs_stiffness: bool
) -> ImagePair:
    grey = roi = stiffness = rgb = None
    if b_mode is not None:
        picture = b_mode.open()
        mask = tissue_mask(picture.rgb(b_mode.frame), picture.regions)
        grey = np.where(mask, picture.grey(b_mode.frame), 0).astype(np.uint8)
        roi = b_mode.read_roi(grey.shape)
    if swe is not None:
        picture = swe.open()
        rgb = picture.rgb(swe.frame)
        if not rgb.any():
            raise UnsuitableInputError("An elastogram needs colours; this one is black all over. Export it again.")
        if swe.scale is not None or needs_stiffness:
            stiffness, _ = stiffness_map(rgb, swe.scale, swe.box)
            check_stiffness(stiffness, swe.scale, species)
    return ImagePair(b_mode=grey, stiffness_kpa=stiffness, swe_rgb=rgb, roi=roi, name=name)


def read_picture_region(path: Path | str, shape: tuple[int, int]) -> np.ndarray:
    """A reader's region of a picture from a label volume, every label taken together, shape (rows, columns), bool.

    Args:
        path: NIfTI or NRRD of columns x rows x 1 pixels; its position is not compared, as pictures have none.
        shape: Rows and columns of the picture.
    Raises:
        UnsuitableInputError: another size, empty, or no volume.
    """
    labels, _ = read_volume(path)
    if labels.shape != (shape[1], shape[0], 1) or not (labels > 0).any():
        size = " x ".join(map(str, labels.shape))
        raise UnsuitableInputError(
            f"The region needs {shape[1]} x {shape[0]} x 1 pixels as the B-mode image, some of them set; found "
            f"{size}{'' if (labels > 0).any() else ', none set'}. Draw it on that image."
        )
    return (labels[:, :, 0] > 0).T
