"""Whether the answer can be read off what is not tissue: features of the margin, and a test over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special, stats

from .splits import split_by_patient

N_FOLDS = 5
N_REPEATS = 2
_C = 0.1
_MOST_STEPS = 30
MIN_PATIENTS_A_LABEL = N_FOLDS
"""With fewer, a fold would have none of one label."""
GRID = 4
"""Cells of the margin along either axis."""
_BRIGHT = 64
"""Grey level from which a pixel of the margin belongs to text or a mark."""
_EDGE = 40
"""Difference of neighbours from which there is an edge between them."""
_GAP = 0.02
"""Of the picture's rows: nearer to the tissue is no margin, for there the tissue may reach out of its mask."""
MARGIN_FEATURES = (
    "margin mean",
    "margin maximum",
    "margin edges",
    *(
        f"bright margin, row {row} column {column} of {GRID}"
        for row in range(1, GRID + 1)
        for column in range(1, GRID + 1)
    ),
)
"""What :func:`margin_features` returns, in order."""


@dataclass(frozen=True)
class ShortcutTest:
    """Cross-validated prediction of the label against the same with labels dealt out at random."""

    auc: float
    """Area under the ROC curve over patients, mean over the repeats; scores are from patients not fitted on."""
    p_value: float
    """Share of permutations, the data themselves counted as one, with at least this area."""
    weights: np.ndarray
    """Of each feature, standardised, in a fit to all patients; shape (n_features,)."""


def margin_features(image: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """What the margin of a picture shows.

    Args:
        image: Grey, shape (rows, columns), uint8.
        tissue: Same shape, bool.
    Returns:
        Shape (19,), see :data:`MARGIN_FEATURES`: grey levels / 255 and shares of the margin's pixels; of a cell
        without margin 0.
    """
    gap = 2 * round(_GAP * image.shape[0]) + 1
    margin = ~ndimage.maximum_filter(tissue, gap)
    if not margin.any():
        return np.zeros(len(MARGIN_FEATURES))
    level = image.astype(np.int16)
    edges = np.zeros(image.shape, dtype=bool)
    edges[:, 1:] |= np.abs(np.diff(level, axis=1)) > _EDGE
    edges[1:] |= np.abs(np.diff(level, axis=0)) > _EDGE
    bright = (image >= _BRIGHT) & margin
    cells = [
        (rows_bright.sum() / max(int(rows_margin.sum()), 1))
        for band_bright, band_margin in zip(np.array_split(bright, GRID), np.array_split(margin, GRID), strict=True)
        for rows_bright, rows_margin in zip(
            np.array_split(band_bright, GRID, axis=1), np.array_split(band_margin, GRID, axis=1), strict=True
        )
    ]
    values = image[margin]
    return np.array([values.mean() / 255, values.max() / 255, edges[margin].mean(), *cells])


def shortcut_test(features: np.ndarray, labels: np.ndarray, *, seed: int, n_permutations: int) -> ShortcutTest:
    """Predict the label of patients left out, and again with labels permuted over patients.

    Logistic regression on standardised features; five folds, stratified by label, twice. Each permutation deals the
    folds anew as the data themselves do, so that the p value is exact.

    Args:
        features: One row a patient, shape (n_patients, n_features).
        labels: Shape (n_patients,), bool.
        seed: Of folds and permutations.
        n_permutations: More give a finer p value.
    """
    features = features.astype(np.float64)
    varies = np.ptp(features, axis=0) > 1e-9
    weights = np.zeros(features.shape[1])
    if not varies.any():
        return ShortcutTest(0.5, 1.0, weights)
    used = features[:, varies]
    names = [f"{i:06d}" for i in range(len(labels))]
    fractions = {str(fold): 1 / N_FOLDS for fold in range(N_FOLDS)}

    def standardised(fitted, applied):
        # The bound keeps one odd patient of a sparse feature from ruling the scores.
        spread = fitted.std(axis=0)
        return np.clip((applied - fitted.mean(axis=0)) / np.where(spread > 1e-9, spread, 1), -5, 5)

    def area(answers, fold_seed):
        areas = []
        for repeat in range(N_REPEATS):
            parts = split_by_patient(names, fractions, fold_seed * N_REPEATS + repeat, answers.tolist())
            scores = np.zeros(len(answers))
            for fold in parts.values():
                rest = np.setdiff1d(np.arange(len(answers)), fold, assume_unique=True)
                slope = logistic_fit(standardised(used[rest], used[rest]), answers[rest])
                # Intercepts of folds are left out: they follow the share of positives, which is the same in each.
                scores[fold] = standardised(used[rest], used[fold]) @ slope
            areas.append(_auc(scores, answers))
        return float(np.mean(areas))

    rng = np.random.default_rng(seed)
    fold_seeds = rng.integers(2**31, size=n_permutations + 1)
    found = area(labels, int(fold_seeds[0]))
    reached = sum(area(rng.permutation(labels), int(one)) >= found - 1e-12 for one in fold_seeds[1:])
    weights[varies] = logistic_fit(standardised(used, used), labels)
    return ShortcutTest(found, (1 + reached) / (1 + n_permutations), weights)


def logistic_fit(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Slopes of logistic regression with ridge penalty |w|²/(2C), C = 0.1, and a free intercept, by Newton's method.

    The optimum of scikit-learn's LogisticRegression(C=0.1) in a tenth of its time, which goes into checks of input:
    the permutation test fits some thousands of times.

    Args:
        features: Standardised, shape (n, n_features).
        labels: Shape (n,), bool; both occur.
    Returns:
        Shape (n_features,).
    """
    design = np.column_stack([features, np.ones(len(labels))])
    penalty = np.append(np.full(features.shape[1], 1 / _C), 0.0)
    w = np.zeros(design.shape[1])
    for _ in range(_MOST_STEPS):
        p = special.expit(design @ w)
        gradient = design.T @ (p - labels) + penalty * w
        if np.abs(gradient).max() < 1e-6:
            break
        curvature = (design.T * (p * (1 - p))) @ design
        curvature[np.diag_indices_from(curvature)] += penalty
        w -= np.linalg.solve(curvature, gradient)
    return w[:-1]


def association_p_value(groups: Sequence[str], labels: np.ndarray, *, seed: int, n_permutations: int) -> float:
    """Whether the label goes with a group of patients: Fisher's exact test, or chi-squared with more than two groups.

    Args:
        groups: One a patient.
        labels: Shape (n_patients,), bool.
        seed: Of the permutations; the chi-squared distribution does not hold where few patients are expected in a cell.
        n_permutations: Of labels over patients, where the expected count of a cell is below 5.
    Returns:
        The p value; 1 where all patients are of one group or one label.
    """
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    n_groups = int(codes.max(initial=0)) + 1
    if n_groups < 2 or labels.all() or not labels.any():
        return 1.0

    def table(answers):
        return np.stack([np.bincount(codes[answers == value], minlength=n_groups) for value in (False, True)])

    if n_groups == 2:
        return float(stats.fisher_exact(table(labels)).pvalue)
    result = stats.chi2_contingency(table(labels), correction=False)
    if result.expected_freq.min() >= 5:
        return float(result.pvalue)

    def statistic(answers):
        return ((table(answers) - result.expected_freq) ** 2 / result.expected_freq).sum()

    rng = np.random.default_rng(seed)
    found = statistic(labels)
    reached = sum(statistic(rng.permutation(labels)) >= found - 1e-9 for _ in range(n_permutations))
    return (1 + reached) / (1 + n_permutations)


def _auc(scores: np.ndarray, labels: np.ndarray) -> float:
    ranks = stats.rankdata(scores)
    n_positive = int(labels.sum())
    n_negative = len(labels) - n_positive
    return float((ranks[labels].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
