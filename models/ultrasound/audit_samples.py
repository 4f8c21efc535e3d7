"""A cohort's B-mode pictures as the audit examines them: as stored, with the tissue known beside."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from ..io.ultrasound_folder import SourceImage
from ..learning.audit import AuditSample
from .reading import Cohort
from .tissue import tissue_mask


def audit_samples(cohort: Cohort) -> list[AuditSample]:
    """One sample a B-mode picture; pixels are read when the audit looks at them."""
    samples = []
    for source in cohort.sources:
        for n, image in enumerate(image for image in source.images if image.role == "bmode"):
            samples.append(
                AuditSample(
                    name=f"{source.subject_id}/{image.name or n}",
                    patient_id=source.patient_id or source.subject_id,
                    label=source.is_fatty if source.is_fibrotic_nash is None else source.is_fibrotic_nash,
                    image=partial(_grey, image),
                    tissue=partial(_tissue, image),
                    sha256=hashlib.sha256(_grey(image).tobytes()).hexdigest(),
                    is_simulated=source.is_simulated,
                )
            )
    return samples


def _grey(image: SourceImage) -> np.ndarray:
    return image.open().grey(image.frame)


def _tissue(image: SourceImage, _grey_levels: np.ndarray) -> np.ndarray:
    picture = image.open()
    return tissue_mask(picture.rgb(image.frame), picture.regions)
