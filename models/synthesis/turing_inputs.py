"""The images of a reader study from disk, all in one form: square, of one size, grey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..io.cohort import holds_cohort
from ..io.picture_tree import TreePicture, read_picture_tree
from ..io.synthetic_set import MANIFEST, read_images, read_manifest
from ..ultrasound.frames import apply_crops, centre_cut, draw_crops, prepare_frame
from ..ultrasound.reading import read_cohort
from ..ultrasound.tissue import tissue_mask
from . import kinds
from .turing import REAL, Pool

MAX_SIDE = 256
"""Pixels a side of pictures that are no synthetic set, if nothing smaller is among them."""

WIDER = 1.25
"""Side of prepared frames over that of their cuts, as in both configurations."""


def side_of(folder: Path | str) -> int:
    """Pixels a side of the smallest synthetic image of a folder.

    Raises:
        UnsuitableInputError: no images.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return read_images(read_manifest(folder), folder).shape[1]
    return min(MAX_SIDE, *(min(one.picture.shape) for one in read_picture_tree(folder).pictures))


def draws_cuts(folder: Path | str) -> bool:
    """Whether a folder is a set of a diffusion model, which draws cuts of frames and not whole ones."""
    folder = Path(folder)
    return (folder / MANIFEST).is_file() and kinds.draws_cuts(read_manifest(folder).kind)


def real_pool(
    folder: Path | str, side: int, patient_pattern: str | None = None, *, cuts_seed: int | None = None
) -> Pool:
    """Real frames of a cohort, a studies folder or a tree of pictures.

    A square picture is taken for a prepared frame; of any other the centre of the tissue is cut out, as for a
    classifier. Data count as simulated where the cohort or a path says so.

    Args:
        folder: Where they are.
        side: Pixels a side.
        patient_pattern: Of a tree, see :func:`~..io.picture_tree.read_picture_tree`.
        cuts_seed: Show random cuts of the frames, as diffusion models learn from and draw: else their size alone would
            tell. None: whole frames.
    Raises:
        UnsuitableInputError: no frames, synthetic ones among them, one that cannot be used.
    """
    if cuts_seed is not None:
        wide = real_pool(folder, round(WIDER * side), patient_pattern)
        cuts = draw_crops(len(wide.images), np.random.default_rng(cuts_seed))
        return replace(wide, images=apply_crops(wide.images, cuts, side))
    folder = Path(folder)
    if patient_pattern is None and holds_cohort(folder):
        images, names, patients, answers, simulated = [], [], [], [], False
        for subject in read_cohort(folder, with_elastograms=False):
            for number, pair in enumerate(subject.pairs):
                if pair.b_mode is not None:
                    images.append(prepare_frame(pair.b_mode, side))
                    names.append(f"{subject.case_id}/{pair.name or number}")
                    patients.append(subject.patient_id)
                    answers.append(subject.is_fatty)
                    simulated |= subject.is_simulated
        if not images:
            raise UnsuitableInputError(
                f"Real frames need B-mode images; '{folder.name}' has none. Give another folder."
            )
        return Pool(REAL, np.stack(images), tuple(names), tuple(patients), tuple(answers), simulated)
    pictures = read_picture_tree(folder, patient_pattern).pictures
    made = [one.name for one in pictures if one.is_synthetic]
    if made:
        raise UnsuitableInputError(
            f"Real frames need to be real; '{folder.name}' holds a synthetic set with '{made[0]}'. Give it with "
            "--synthetic."
        )
    return _tree_pool(REAL, folder, pictures, side)


def synthetic_pool(folder: Path | str, side: int) -> Pool:
    """The images of a synthetic set, named by the kind of its generator, or of a plain folder, named by itself.

    Raises:
        UnsuitableInputError: no images, a set that was changed.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        return _tree_pool(folder.resolve().name, folder, read_picture_tree(folder).pictures, side)
    manifest = read_manifest(folder)
    images = centre_cut(read_images(manifest, folder), side)
    names = tuple(one.file for one in manifest.images)
    answers = tuple(one.is_fatty for one in manifest.images)
    return Pool(manifest.kind, images, names, names, answers, manifest.is_trained_on_simulated_data)


def _tree_pool(source: str, folder: Path, pictures: tuple[TreePicture, ...], side: int) -> Pool:
    images = np.stack([_prepared(one, side) for one in pictures])
    names = tuple(one.name for one in pictures)
    patients = tuple(one.patient_id for one in pictures) if source == REAL else names
    is_simulated = any("simulated" in name.lower() for name in (folder.resolve().name, *names))
    return Pool(source, images, names, patients, tuple(one.is_fatty for one in pictures), is_simulated)


def _prepared(one: TreePicture, side: int) -> np.ndarray:
    try:
        grey = one.picture.grey(one.frame)
        if grey.shape[0] == grey.shape[1]:
            return centre_cut(grey[None], side)[0]
        mask = tissue_mask(one.picture.rgb(one.frame), one.picture.regions)
        return prepare_frame(np.where(mask, grey, 0).astype(np.uint8), side)
    except UnsuitableInputError as error:
        raise UnsuitableInputError(f"Image '{one.name}': {error}") from error
