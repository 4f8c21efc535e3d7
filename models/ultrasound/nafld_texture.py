"""The texture baseline of fatty liver: grey-level co-occurrence of a liver region, and a random forest on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import UnsuitableInputError
from ..learning.splits import cross_validation

LEVELS = 32
"""Grey levels that 0 to 255 are reduced to."""
DISTANCES = (1, 2, 4, 8)
"""Pixels between the two of a pair."""
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "ASM", "correlation", "entropy", "mean", "variance")
"""Of each co-occurrence matrix, by scikit-image's names, after Haralick."""
GLCM_FEATURES = tuple(f"{name}, {distance} px" for name in PROPERTIES for distance in DISTANCES)
"""What :func:`glcm_features` returns, in order."""
MIN_SIDE = 2 * max(DISTANCES)
"""Rows and columns that a region needs."""
N_TREES = 200
_ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)


def glcm_features(region: np.ndarray, *, is_brightness_free: bool = False) -> np.ndarray:
    """Texture of a rectangle of liver: properties of the co-occurrence matrix, mean over four directions.

    Args:
        region: Grey, shape (rows, columns), uint8.
        is_brightness_free: Spread the region's own grey levels by rank over all levels first, so that neither
            brightness nor contrast is left, only arrangement.
    Returns:
        Shape (32,), see :data:`GLCM_FEATURES`.
    Raises:
        UnsuitableInputError: not grey uint8, or too small.
    Source: Haralick RM et al., IEEE Trans SMC 1973, 10.1109/TSMC.1973.4309314.
    """
    from skimage.feature import graycomatrix, graycoprops

    region = np.asarray(region)
    if region.ndim != 2 or region.dtype != np.uint8 or min(region.shape) < MIN_SIDE:
        raise UnsuitableInputError(
            f"Texture needs a grey region of {MIN_SIDE} x {MIN_SIDE} pixels at least, uint8; found "
            f"{' x '.join(str(n) for n in region.shape)}, {region.dtype}. Cut out a larger one."
        )
    if is_brightness_free:
        ordered = np.sort(region.ravel())
        share = (np.searchsorted(ordered, region) + np.searchsorted(ordered, region, "right")) / (2 * region.size)
        reduced = np.minimum(share * LEVELS, LEVELS - 1).astype(np.uint8)
    else:
        reduced = (region // (256 // LEVELS)).astype(np.uint8)
    matrices = graycomatrix(reduced, DISTANCES, _ANGLES, levels=LEVELS, symmetric=True, normed=True)
    return np.concatenate([graycoprops(matrices, name).mean(axis=1) for name in PROPERTIES])


def glcm_table(regions: Sequence[np.ndarray], *, is_brightness_free: bool = False) -> np.ndarray:
    """:func:`glcm_features` of several regions, shape (n_regions, 32)."""
    return np.stack([glcm_features(region, is_brightness_free=is_brightness_free) for region in regions])


def forest_scores(
    train_features: np.ndarray,
    train_is_fatty: np.ndarray,
    test_features: np.ndarray,
    *,
    seed: int = 0,
    n_trees: int = N_TREES,
) -> np.ndarray:
    """Fit a random forest and score other regions; classes weigh alike.

    Args:
        train_features: Shape (n_train, n_features).
        train_is_fatty: Shape (n_train,), bool; both occur.
        test_features: Shape (n_test, n_features).
        seed: Of the forest.
        n_trees: More give a finer score.
    Returns:
        Share of the trees' votes for fatty liver, shape (n_test,); a score, not a calibrated probability.
    Raises:
        UnsuitableInputError: one class only.
    Source: Breiman L, Machine Learning 2001, 10.1023/A:1010933404324.
    """
    from sklearn.ensemble import RandomForestClassifier

    train_is_fatty = np.asarray(train_is_fatty, bool)
    if train_is_fatty.all() or not train_is_fatty.any():
        raise UnsuitableInputError(
            f"A forest needs regions of healthy and of fatty livers to learn from; found {int(train_is_fatty.sum())} "
            f"fatty of {train_is_fatty.size}. Add the class that lacks."
        )
    forest = RandomForestClassifier(n_trees, min_samples_leaf=3, class_weight="balanced", random_state=seed)
    return forest.fit(train_features, train_is_fatty).predict_proba(test_features)[:, 1]


def out_of_fold_scores(
    features: np.ndarray,
    is_fatty: np.ndarray,
    patient_ids: Sequence[str],
    *,
    is_split_by_patient: bool,
    n_folds: int = 5,
    seed: int = 0,
    n_trees: int = N_TREES,
) -> np.ndarray:
    """Score every region by a forest that was not fitted on it.

    Args:
        features: Shape (n, n_features).
        is_fatty: Shape (n,), bool.
        patient_ids: Of whom each region is.
        is_split_by_patient: True: nor on any other region of its patient, as everywhere else here. False: regions are
            dealt to folds whatever their patient, which lets the patient leak; only to show by how much.
        n_folds: Stratified by answer.
        seed: Of folds and forests.
        n_trees: Of each forest.
    Returns:
        Shape (n,).
    Raises:
        UnsuitableInputError: too few patients, or regions, of an answer.
    """
    is_fatty = np.asarray(is_fatty, bool)
    groups = patient_ids if is_split_by_patient else [str(k) for k in range(len(is_fatty))]
    scores = np.zeros(len(is_fatty))
    for train, test in cross_validation(groups, n_folds, seed, is_fatty.tolist()):
        scores[test] = forest_scores(features[train], is_fatty[train], features[test], seed=seed, n_trees=n_trees)
    return scores
