"""Pictures as the audit examines them: as stored, with the tissue known beside."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from ..errors import UnsuitableInputError
from ..io.class_label import ANSWER_FIELDS
from ..io.picture_tree import PictureTree, TreePicture, is_held_out
from ..io.ultrasound_folder import SourceImage
from ..learning.audit_report import AuditSample
from .reading import Cohort
from .tissue import tissue_mask

SMALLEST_WITH_MARGIN = 128
"""Pixels; a smaller picture is taken for a cut-out of tissue without a margin."""


def audit_samples(cohort: Cohort) -> list[AuditSample]:
    """One sample a B-mode picture; pixels are read when the audit looks at them.

    The label is the answer to one question for all: to the one that more subjects have an answer to, fibrotic NASH if
    as many have one to either.
    """
    samples, question = [], max(ANSWER_FIELDS.values(), key=lambda name: _n_answered(cohort, name))
    for source in cohort.sources:
        for n, image in enumerate(image for image in source.images if image.role == "bmode"):
            samples.append(
                AuditSample(
                    name=f"{source.subject_id}/{image.name or n}",
                    patient_id=source.patient_id or source.subject_id,
                    label=getattr(source, question),
                    image=partial(_grey, image),
                    tissue=partial(_tissue, image),
                    sha256=hashlib.sha256(_grey(image).tobytes()).hexdigest(),
                    is_simulated=source.is_simulated,
                )
            )
    return samples


def _n_answered(cohort: Cohort, name: str) -> int:
    return sum(getattr(source, name) is not None for source in cohort.sources)


def tree_samples(tree: PictureTree) -> list[AuditSample]:
    """One sample a picture of a folder tree; pixels are read when the audit looks at them."""
    return [
        AuditSample(
            name=one.name,
            patient_id=one.patient_id,
            label=one.is_fatty,
            image=partial(one.picture.grey, one.frame),
            tissue=partial(_tree_tissue, one),
            sha256=one.sha256,
            part=one.part,
            source=one.source,
            is_simulated=one.is_synthetic,
            is_generated=one.is_synthetic,
            training_patients=one.training_patients,
            is_held_out=is_held_out(one.part),
        )
        for one in tree.pictures
    ]


def _tree_tissue(one: TreePicture, grey: np.ndarray) -> np.ndarray:
    """The tissue; of a picture cut to tissue, and of one without any, all of it."""
    if min(grey.shape) < SMALLEST_WITH_MARGIN:
        return np.ones(grey.shape, dtype=bool)
    try:
        return tissue_mask(one.picture.rgb(one.frame), one.picture.regions)
    except UnsuitableInputError:
        return np.ones(grey.shape, dtype=bool)


def _grey(image: SourceImage) -> np.ndarray:
    return image.open().grey(image.frame)


def _tissue(image: SourceImage, _grey_levels: np.ndarray) -> np.ndarray:
    picture = image.open()
    return tissue_mask(picture.rgb(image.frame), picture.regions)
