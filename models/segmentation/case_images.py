"""The images of a case as a reader sees them, before anything is computed from them.

The first B-mode picture, and the magnitude of an MRI, are the images that the liver is outlined on
(:mod:`.region_reading`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..io.case import CASE_SUFFIX
from ..io.clinical import ClinicalValue, clinical_values
from ..io.files import identifier
from ..io.reading import read_study
from ..io.ultrasound_folder import SourceImage
from ..io.ultrasound_manifest import Box, ElastogramScale
from ..io.volumes import picture_bytes, volume_bytes
from ..ultrasound.reading import find_subject, paired_images
from .region_reading import is_ultrasound, magnitude_of

MAGNITUDE = "magnitude"
"""Name and role of an MRI's image."""


@dataclass(frozen=True)
class CaseImage:
    """One image of a case."""

    name: str
    """Different from those of the case's other images; file-safe."""
    role: str
    """``bmode``, ``swe`` or ``magnitude``."""
    nifti: Callable[[], bytes]
    """Reads the image and gives it as ``.nii.gz``: an MRI in the study's geometry, float32; a picture of columns x rows
    x 1, uint8 or RGB24."""
    unit: str | None = None
    """Of the voxels' values; None: grey levels or colours."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Of a picture: distance between rows, between columns, mm; None: not known."""
    box: Box | None = None
    """The elasticity box of an elastogram."""
    scale: ElastogramScale | None = None
    """What the colours of an elastogram stand for."""


@dataclass(frozen=True)
class CaseImages:
    """The images of one case and what is known of it."""

    kind: str
    """``ultrasound`` or ``mri``."""
    is_simulated: bool | None
    """None: not known, as of a file that says nothing."""
    images: tuple[CaseImage, ...]
    """In the order of the case, a B-mode picture before the elastogram of its name."""
    species: str | None = None
    """rat or human, where it is stated."""
    echo_times_s: tuple[float, ...] | None = None
    """Of an MRI, seconds."""
    field_strength_t: float | None = None
    """Of an MRI, tesla."""
    clinical: tuple[ClinicalValue, ...] = ()
    """Of an ultrasound case: every value that methods know."""


def read_case_images(path: Path | str) -> CaseImages:
    """The images of a case or of files; pictures are decoded one by one when they are asked for.

    Args:
        path: A case, or files of one ultrasound subject or one multi-echo MRI.
    Raises:
        UnsuitableInputError: no images, or some that cannot be read.
    """
    path = Path(path)
    is_case = path.name.endswith(CASE_SUFFIX)
    if not is_ultrasound(path):
        study = read_study(path)
        magnitude, affine = magnitude_of(study), study.affine
        return CaseImages(
            kind="mri",
            is_simulated=study.is_simulated if is_case else study.is_simulated or None,
            images=(CaseImage(MAGNITUDE, MAGNITUDE, lambda: volume_bytes(magnitude, affine), "units of the input"),),
            echo_times_s=tuple(map(float, study.echo_times_s)),
            field_strength_t=float(study.field_strength_t),
        )
    source = find_subject(path)
    pictures: dict[str, CaseImage] = {}
    for name, by_role in paired_images(source):
        for role, image in sorted(by_role.items()):
            unique = _unique(f"{role}_{identifier(name, 'image')}", pictures)
            pictures[unique] = _picture(unique, image)
    return CaseImages(
        kind="ultrasound",
        is_simulated=source.is_simulated if is_case or source.sidecar else None,
        images=tuple(pictures.values()),
        species=source.species,
        clinical=clinical_values(source.clinical, source.species),
    )


def _picture(name: str, image: SourceImage) -> CaseImage:
    opened = image.open()
    return CaseImage(
        name=name,
        role=image.role,
        nifti=lambda: picture_bytes(opened.shown(image.frame)),
        pixel_spacing_mm=image.pixel_spacing_mm or opened.pixel_spacing_mm(),
        box=image.box,
        scale=image.scale,
    )


def _unique(name: str, taken: dict[str, CaseImage]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
