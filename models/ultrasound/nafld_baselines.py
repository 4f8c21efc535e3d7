"""What a classifier of fatty liver is compared with: hepatorenal index, attenuation slope, texture and a forest.

Index and slope need regions of liver and kidney, which a reader draws and a phantom knows. The forest reads the middle
of the frame, where the public set's frames show liver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from ..errors import UnsuitableInputError
from .frames import FrameSet, prepare_frame, sides_of
from .hepatorenal import attenuation_slope, hepatorenal_index
from .nafld_texture import forest_scores, glcm_table
from .phantom_anatomy import KIDNEY, LIVER
from .phantom_nafld import NafldCohort

MEASURES = ("hepatorenal_index", "attenuation_slope")
"""Measured in regions; both grow with fat."""
FOREST = "glcm_forest"
"""Name of the third baseline."""


def region_measures(
    b_mode: np.ndarray, liver: np.ndarray, kidney: np.ndarray, row_spacing_mm: float
) -> dict[str, float]:
    """:data:`MEASURES` of one frame; NaN where its regions do not allow one.

    Args:
        b_mode: Grey levels, shape (rows, columns), uint8.
        liver: All of the liver in the frame, same shape, bool; the index is taken at the depth of the kidney.
        kidney: Renal cortex, same shape, bool.
        row_spacing_mm: Distance between rows, mm.
    """
    rows = np.flatnonzero(kidney.any(axis=1))
    beside = liver.copy()
    if rows.size:
        beside[: rows[0]], beside[rows[-1] + 1 :] = False, False
    return {
        "hepatorenal_index": _or_nan(lambda: hepatorenal_index(b_mode, beside, kidney)),
        "attenuation_slope": _or_nan(lambda: attenuation_slope(b_mode, liver, row_spacing_mm).value),
    }


def measured_frames(
    cohort: NafldCohort, progress: Callable[[int, int], None] | None = None
) -> tuple[FrameSet, dict[str, np.ndarray]]:
    """The frames of simulated patients, as :func:`~.phantom_nafld.simulate_nafld_frames`, measured in true regions.

    Args:
        cohort: Drawn by :func:`~.phantom_nafld.simulate_nafld_cohort`.
        progress: Called with frames done and frames in all.
    Returns:
        Prepared frames, and :data:`MEASURES` of each, shape (n_frames,), NaN where they do not show enough kidney.
    """
    side, n = sides_of(cohort.size)[0], len(cohort) * cohort.n_frames
    images, patients, names, measured = [], [], [], []
    for index, number in product(range(len(cohort)), range(cohort.n_frames)):
        if progress:
            progress(len(images), n)
        frame, case_id = cohort.frame(index, number), cohort.case_ids[index]
        regions = (frame.organ_map == LIVER, frame.organ_map == KIDNEY)
        images.append(prepare_frame(frame.b_mode, side))
        patients.append(case_id)
        names.append(f"{case_id}/{number + 1:02d}")
        measured.append(region_measures(frame.b_mode, *regions, frame.pixel_spacing_mm))
    if progress:
        progress(n, n)
    answers = np.repeat(cohort.labels, cohort.n_frames)
    frames = FrameSet(np.stack(images), answers, tuple(patients), tuple(names), is_simulated=True)
    return frames, {name: np.array([one[name] for one in measured], float) for name in MEASURES}


def texture_scores(learnt: FrameSet, held_out: FrameSet, seed: int = 0) -> np.ndarray:
    """Score held-out frames by the texture of their middle half and a random forest.

    Args:
        learnt: Frames of both classes.
        held_out: Frames of other patients.
        seed: Of the forest.
    Returns:
        Share of the trees' votes for fatty liver, shape (n_held_out,).
    """
    tables = [glcm_table(list(_middle(frames.images))) for frames in (learnt, held_out)]
    return forest_scores(tables[0], learnt.is_fatty, tables[1], seed=seed)


def baseline_scores(
    frames: FrameSet,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    measures: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Out-of-fold scores of every baseline; larger speaks for fatty liver.

    Args:
        frames: All of them.
        folds: Of :func:`~..learning.splits.cross_validation`: indices that are learnt from and held out.
        measures: Of :func:`measured_frames`; they need nothing learnt. None: no regions are known.
        seed: Of the forests.
    Returns:
        Baseline -> score of each frame, shape (n_frames,); NaN where it could not be measured or no fold holds it out.
    """
    texture = np.full(len(frames), np.nan)
    tables = glcm_table(list(_middle(frames.images)))
    for learnt, held_out in folds:
        texture[held_out] = forest_scores(tables[learnt], frames.is_fatty[learnt], tables[held_out], seed=seed)
    return {**(measures or {}), FOREST: texture}


def patient_scores(frames: FrameSet, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean score of each patient over the frames that have one, patients sorted.

    Args:
        frames: All of them.
        scores: Shape (n_frames,), may hold NaN.
    Returns:
        Scores, NaN for a patient without any, and answers, shape (n_patients,).
    """
    patients, index = np.unique(np.array(frames.patient_ids), return_inverse=True)
    known = np.isfinite(scores)
    n = np.bincount(index, known, minlength=patients.size)
    total = np.bincount(index, np.where(known, scores, 0), minlength=patients.size)
    is_fatty = np.bincount(index, frames.is_fatty) / np.bincount(index) >= 0.5
    return np.divide(total, n, out=np.full(patients.size, np.nan), where=n > 0), is_fatty


def _middle(images: np.ndarray) -> np.ndarray:
    side = images.shape[1]
    return np.ascontiguousarray(images[:, side // 4 : side - side // 4, side // 4 : side - side // 4])


def _or_nan(measure: Callable[[], float]) -> float:
    try:
        return float(measure())
    except UnsuitableInputError:
        return float("nan")
