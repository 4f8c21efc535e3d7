"""Where the networks' field may be in the wrong basin, and what is done about it.

Noise propagation cannot tell a swap: the wrong basin fits with a small deviation, too. Where G_φ leaves probability to
another basin, or the field jumps to a neighbour's by more than tissue does, the basin is decided once more, by graph
cuts over the refined minima of the residual, with the trusted field around as boundary. After the refinement each voxel
gets the probability that its basin is wrong after all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit

from ..errors import UnsuitableInputError
from ..units import ppm_to_hz
from .field_candidates import MAX_CANDIDATES, basin_cost, find_candidates
from .field_map import CONSTANT_RANGE_PPM, HUBER_PPM, SMOOTHNESS_PER_PPM
from .graph_cut import FieldEnergy, link_neighbours
from .noise import signal_energy
from .slice_problem import SliceProblem

MAX_TRUSTED_PROBABILITY = 0.05
"""A voxel to whose other basins G_φ gives more is decided again."""
MAX_TRUSTED_JUMP_PPM = 0.8
"""A voxel whose field differs from a neighbour's by more is decided again."""
REGION_MARGIN = 3
"""Voxels around such a voxel that are decided with it."""
MAX_ROUNDS = 8
"""Rounds in which the region follows jumps at its rim."""
RING = 1
"""Voxels around those whose field is taken as it is."""
SAME_BASIN_PPM = 0.7
"""Fields nearer than this are in one basin."""
N_CONSTANTS = 8
"""Constant fields proposed to the graph cuts."""
MAX_COST = 30.0
"""Cost of a basin that has no hypothesis, nats."""
MAX_MARGIN, MAX_JUMP_PPM, MAX_DECAY = 10.0, 3.0, 4.0
"""Beyond these the signs of a swap say no more."""
JUMP_VOXELS = 1.5
"""Standard deviation of the Gaussian window in which jumps are pooled, voxels."""


@dataclass(frozen=True)
class SafeField:
    """Field of a slice's tissue voxels after the check; arrays of shape (n_voxels,)."""

    field_map_hz: np.ndarray
    """Off-resonance, Hz."""
    r2_star_per_s: np.ndarray
    """R2*, 1/s."""
    by_fallback: np.ndarray
    """True where graph cuts decided."""


def check_field(answer, problem: SliceProblem) -> SafeField:
    """Decide again where the networks' field is not to be trusted.

    Args:
        answer: A :class:`.ai_deal.NetworkAnswer`.
        problem: The slice it answers.
    """
    mask = problem.mask
    limit_hz = ppm_to_hz(MAX_TRUSTED_JUMP_PPM, problem.field_strength_t)
    field, rate = (np.full(mask.shape, np.nan, np.float32) for _ in range(2))
    field[mask], rate[mask] = answer.field_map_hz, answer.r2_star_per_s
    doubtful = np.zeros(mask.shape, bool)
    doubtful[mask] = answer.other_basin > MAX_TRUSTED_PROBABILITY
    region = np.zeros(mask.shape, bool)
    # A wrong basin wider than the margin shows as a jump at the region's new rim: the region follows it.
    for _ in range(MAX_ROUNDS):
        doubtful |= largest_jump(field, problem.period_hz) > limit_hz
        grown = region | (ndimage.binary_dilation(doubtful & ~region, iterations=REGION_MARGIN) & mask)
        if np.array_equal(grown, region):
            break
        region = grown
        field[region], rate[region] = _decide(field, problem, region)
    return SafeField(field[mask], rate[mask], region[mask])


def wrapped(difference_hz, period_hz):
    """Difference modulo the period, into half of it to each side."""
    return difference_hz - period_hz * np.round(difference_hz / period_hz) if period_hz else difference_hz


def largest_jump(field_map_hz, period_hz):
    """Largest difference to one of the four neighbours, modulo the period; 0 where a neighbour is NaN.

    Args:
        field_map_hz: Shape (x, y), NaN outside tissue.
        period_hz: Modulus, or None.
    """
    jump = np.zeros(field_map_hz.shape, np.float32)
    for axis in (0, 1):
        step = np.diff(field_map_hz, axis=axis)
        step = np.nan_to_num(np.abs(wrapped(step, period_hz)))
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        np.maximum(jump[tuple(before)], step, out=jump[tuple(before)])
        np.maximum(jump[tuple(after)], step, out=jump[tuple(after)])
    return jump


def _decide(field, problem, region):
    """Field and R2* of the region's voxels by graph cuts; those around it keep their field."""
    p, one_ppm = problem, ppm_to_hz(1.0, problem.field_strength_t)
    around = ndimage.binary_dilation(region, np.ones((3, 3)), iterations=RING) & p.mask
    voxels = p.signal[:, region]
    found = find_candidates(voxels, p.echo_times_s, p.field_strength_t, p.basis, p.fixed_r2_star_per_s)
    own_cost = basin_cost(found, signal_energy(voxels), p.variance, p.echo_times_s.size, p.field_strength_t)
    free = region[around]
    fields = np.zeros((MAX_CANDIDATES, free.size), np.float32)
    costs = np.full((MAX_CANDIDATES, free.size), np.inf, np.float32)
    fields[:, free] = found.field_map_hz
    costs[:, free] = own_cost
    fields[:, ~free], costs[0, ~free] = field[around][~free], 0.0
    links = link_neighbours(around, SMOOTHNESS_PER_PPM / one_ppm)
    energy = FieldEnergy(fields, costs, links, found.period_hz, HUBER_PPM * one_ppm)
    width = found.period_hz or 2 * CONSTANT_RANGE_PPM * one_ppm
    constants = (np.arange(N_CONSTANTS) / N_CONSTANTS - 0.5) * width
    labels = energy.minimise(energy.nearest(field[around]), constants)
    chosen = labels[free], np.arange(voxels.shape[1])
    return found.field_map_hz[chosen], found.r2_star_per_s[chosen]


@dataclass(frozen=True)
class SwapModel:
    """Logistic model of the probability that a voxel is in the wrong basin, from three signs of it."""

    intercept: float
    """Log-odds where all signs are 0."""
    margin: float
    """Per nat by which the best other basin fits worse."""
    jump: float
    """Per ppm of the field's jumps around."""
    decay: float
    """Per unit of R2*·TE of the second echo."""

    @classmethod
    def fit(cls, signs, is_swapped) -> SwapModel:
        """Logistic regression; without a single swap, the constant share 1/(n+2).

        Args:
            signs: Of :func:`swap_signs`, shape (3, n_voxels).
            is_swapped: Shape (n_voxels,).
        Raises:
            UnsuitableInputError: every voxel is swapped, or there is none.
        """
        from sklearn.linear_model import LogisticRegression

        if np.all(is_swapped):
            raise UnsuitableInputError(
                f"A model of swaps needs voxels without one; all {np.size(is_swapped)} are swapped. Train longer, or "
                "take more slices."
            )
        if not np.any(is_swapped):  # What would tell a swap cannot be learnt; that they are rare can.
            return cls(-float(np.log(np.size(is_swapped) + 1)), 0.0, 0.0, 0.0)
        model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(signs.T, is_swapped)
        return cls(float(model.intercept_[0]), *(float(c) for c in model.coef_[0]))

    def log_odds(self, signs) -> np.ndarray:
        """Log-odds of each voxel; arguments as :meth:`fit`."""
        return self.intercept + np.array([self.margin, self.jump, self.decay]) @ signs

    def probability(self, signs) -> np.ndarray:
        """Probability of each voxel, float32; arguments as :meth:`fit`."""
        return expit(self.log_odds(signs)).astype(np.float32)


def swap_signs(problem: SliceProblem, hypotheses, field_map_hz, r2_star_per_s) -> np.ndarray:
    """What makes a swap likely: another basin fits nearly as well or better, the field jumps nearby, decay is fast.

    Args:
        problem: The slice.
        hypotheses: Of the field, from :func:`.hypotheses.field_hypotheses`.
        field_map_hz: The field in question, shape (n_voxels,).
        r2_star_per_s: R2*, shape (n_voxels,).
    Returns:
        Shape (3, n_voxels): nats, within ±MAX_MARGIN; ppm, smoothed, up to MAX_JUMP_PPM; R2*·TE of the second echo.
    """
    p, one_ppm = problem, ppm_to_hz(1.0, problem.field_strength_t)
    is_same = np.abs(wrapped(hypotheses.value - field_map_hz, p.period_hz)) < SAME_BASIN_PPM * one_ppm
    chosen = np.where(is_same, hypotheses.cost, MAX_COST).min(axis=0)
    other = np.where(is_same, MAX_COST, hypotheses.cost).min(axis=0)
    field = np.full(p.mask.shape, np.nan, np.float32)
    field[p.mask] = field_map_hz
    jump = np.minimum(largest_jump(field, p.period_hz) / one_ppm, MAX_JUMP_PPM)
    weight = ndimage.gaussian_filter(p.mask.astype(np.float32), JUMP_VOXELS)[p.mask]
    return np.stack(
        [
            np.clip(other - chosen, -MAX_MARGIN, MAX_MARGIN),
            ndimage.gaussian_filter(jump, JUMP_VOXELS)[p.mask] / weight,
            np.clip(r2_star_per_s * p.echo_times_s[1], 0, MAX_DECAY),
        ]
    )
