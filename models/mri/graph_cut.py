"""Which of its possible fields each voxel has: the field that is smooth and fits, by graph cuts.

The energy is Σ_p U_p(ψ_p) + Σ_pq w_pq·h(ψ_p - ψ_q), U the residual in units of the noise (a negative log-likelihood)
and h a Huber function of the difference, taken modulo 1/ΔTE where echoes are equally spaced. It is lowered by fusion
moves: each asks of every voxel, in one minimum cut, whether it takes a proposed field or keeps its own. A move is
kept only if the energy falls, so the few pairs that are not submodular can be truncated without harm.

Voxels are linked to their eight neighbours, and along rows and columns to the next tissue voxel across air as well,
so that islands in the lung are not free. Slices are solved one by one; the fields of the adjacent slices then enter
each slice's cost and the slices are solved again, which keeps memory and time linear in their number.

Source: Hernando D et al., MRM 2010, 10.1002/mrm.22177; Boykov Y et al., IEEE TPAMI 2001, 10.1109/34.969114 (expansion);
Lempitsky V et al., IEEE TPAMI 2010, 10.1109/TPAMI.2009.143 (fusion).
"""

from __future__ import annotations

from dataclasses import dataclass

import maxflow
import numpy as np

EXPANSIONS = 16
"""Constant fields proposed in each round, over one period or the searched range."""
MAX_ROUNDS = 4
"""Rounds over all proposals; nearly all moves that help come in the first."""


@dataclass(frozen=True)
class Links:
    """Pairs of voxels whose fields should agree."""

    first: np.ndarray
    """Index of one voxel of each pair."""
    second: np.ndarray
    """Index of the other."""
    weight: np.ndarray
    """Cost of a field difference, 1/Hz."""


AXIS_SHARE, DIAGONAL_SHARE = 0.6, 0.3
"""Weights of the links along axes and diagonals, so that the cost of a boundary hardly depends on its direction."""


def link_neighbours(mask, weight_per_hz, max_gap=40) -> Links:
    """Link every voxel of a 2-D mask to the next one of its row and column, and to its diagonal neighbours.

    Args:
        mask: Shape (x, y), bool.
        weight_per_hz: Cost of 1 Hz between adjacent voxels; along rows and columns it falls with the gap.
        max_gap: Widest gap bridged, voxels.
    """
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(np.count_nonzero(mask))
    parts = []
    for lines in (index, index.T):
        row, column = np.nonzero(lines >= 0)
        gap = np.diff(column)
        linked = (np.diff(row) == 0) & (gap <= max_gap)
        members = lines[row, column]
        parts.append((members[:-1][linked], members[1:][linked], AXIS_SHARE * weight_per_hz / gap[linked]))
    for near, far in ((index[:-1, :-1], index[1:, 1:]), (index[:-1, 1:], index[1:, :-1])):
        linked = (near >= 0) & (far >= 0)
        count = np.count_nonzero(linked)
        parts.append((near[linked], far[linked], np.full(count, DIAGONAL_SHARE * weight_per_hz)))
    return Links(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class FieldEnergy:
    """Energy of a labelling, and its lowering; labels index each voxel's candidates."""

    def __init__(self, field_map_hz, cost, links, period_hz, huber_hz):
        """Args:
        field_map_hz: Candidates, shape (n_candidates, n_voxels).
        cost: Their data cost, same shape; infinite where a candidate is missing.
        links: Pairs of voxels.
        period_hz: Modulus of field differences, or None.
        huber_hz: Difference up to which the smoothness cost is quadratic.
        """
        self.field_map_hz, self.cost, self.links = field_map_hz, cost, links
        self.period_hz, self.huber_hz = period_hz, huber_hz
        self._voxels = np.arange(field_map_hz.shape[1])

    def field(self, labels):
        """Field of a labelling, shape (n_voxels,), Hz."""
        return self.field_map_hz[labels, self._voxels]

    def nearest(self, field_map_hz):
        """Label of each voxel's candidate nearest to a field, scalar or of shape (n_voxels,)."""
        distance = np.abs(self.wrap(self.field_map_hz - field_map_hz))
        return np.where(np.isfinite(self.cost), distance, np.inf).argmin(axis=0)

    def wrap(self, difference_hz):
        """Difference modulo the period, into ±half of it."""
        if self.period_hz is None:
            return difference_hz
        return difference_hz - self.period_hz * np.round(difference_hz / self.period_hz)

    def smoothness(self, first, second):
        """Cost of each link for the fields of its two ends, shape (n_links,)."""
        size = np.abs(self.wrap(first - second))
        bend = self.huber_hz
        return self.links.weight * np.where(size < bend, size * size / (2 * bend), size - bend / 2)

    def of(self, labels):
        """Energy of a labelling."""
        field = self.field(labels)
        data = self.cost[labels, self._voxels].sum(dtype=np.float64)
        return data + self.smoothness(field[self.links.first], field[self.links.second]).sum(dtype=np.float64)

    def fuse(self, labels, proposal):
        """The better mixture of two labellings, by one minimum cut."""
        n_voxels = labels.size
        a, b = self.links.first, self.links.second
        here, there = self.field(labels), self.field(proposal)
        keep_both = self.smoothness(here[a], here[b])
        take_both = self.smoothness(there[a], there[b])
        take_b = self.smoothness(here[a], there[b])
        take_a = self.smoothness(there[a], here[b])
        gain = self.cost[proposal, self._voxels] - self.cost[labels, self._voxels]
        gain = gain + np.bincount(a, take_a - keep_both, n_voxels) + np.bincount(b, take_both - take_a, n_voxels)
        capacity = np.maximum(take_a + take_b - keep_both - take_both, 0)
        graph = maxflow.GraphFloat(n_voxels, a.size)
        graph.add_nodes(n_voxels)
        graph.add_grid_tedges(self._voxels, np.maximum(gain, 0), np.maximum(-gain, 0))
        graph.add_edges(a, b, capacity, np.zeros_like(capacity))
        graph.maxflow()
        return np.where(graph.get_grid_segments(self._voxels), proposal, labels)

    def minimise(self, labels, constants_hz):
        """Lower the energy until no proposal helps.

        Args:
            labels: Start, shape (n_voxels,).
            constants_hz: Fields proposed to all voxels (each snaps to its nearest candidate).
        Returns:
            Labels, shape (n_voxels,).
        """
        n_candidates = np.maximum(np.isfinite(self.cost).sum(axis=0), 1)
        order = np.argsort(np.where(np.isfinite(self.cost), self.field_map_hz, np.inf), axis=0)
        rank = np.argsort(order, axis=0)
        snapped = [self.nearest(constant) for constant in constants_hz]
        energy = self.of(labels)

        def next_basin(step):
            turned = np.mod(rank[labels, self._voxels] + step, n_candidates)
            return order[turned, self._voxels]

        for _ in range(MAX_ROUNDS):
            before = energy
            for propose in (*((lambda s=s: s) for s in snapped), lambda: next_basin(1), lambda: next_basin(-1)):
                proposal = propose()
                if np.array_equal(proposal, labels):
                    continue
                fused = self.fuse(labels, proposal)
                lower = self.of(fused)
                if lower < energy - 1e-6 * abs(energy):
                    labels, energy = fused, lower
            if before - energy < 1e-5 * abs(before):
                break
        return labels
