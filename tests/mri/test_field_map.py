"""The field of a study: right modulo its period, smooth once unwrapped, the same in adjacent slices."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.mri import field_map
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import field_grid_hz, field_period_hz, find_candidates, scan_residual
from liver_models.mri.magnitude import fit_magnitude, start_on_side
from liver_models.mri.signal_model import design_matrix

TIMES = 1.3e-3 + 2.1e-3 * np.arange(6)
BASIS = design_matrix(TIMES, 1.5, get_spectrum("hamilton_2011"))


def voxel(pdff, field_hz, r2_star=40.0):
    weights = np.array([1 - pdff, pdff])
    return ((BASIS @ weights) * np.exp((2j * np.pi * field_hz - r2_star) * TIMES)).astype(np.complex64)[:, None]


def test_equal_echoes_have_a_period_and_unequal_ones_none():
    assert field_period_hz(TIMES) == pytest.approx(1 / 2.1e-3)
    assert field_period_hz(np.array([1.0, 2.0, 4.0]) * 1e-3) is None


def test_the_scanned_residual_is_the_same_one_period_on():
    grid = field_grid_hz(TIMES, 1.5)
    signal = voxel(0.2, 60.0)
    first = scan_residual(signal, TIMES, BASIS, grid)
    second = scan_residual(signal, TIMES, BASIS, grid + field_period_hz(TIMES))
    assert np.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("pdff", [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("field_hz", [-170.0, 0.0, 25.0, 230.0])
def test_the_right_field_is_among_the_candidates_and_fits_best(pdff, field_hz):
    found = find_candidates(voxel(pdff, field_hz), TIMES, 1.5, BASIS)
    period = field_period_hz(TIMES)
    off = (found.field_map_hz[:, 0] - field_hz + period / 2) % period - period / 2
    best = found.residual[:, 0].argmin()
    assert abs(off[best]) < 0.5
    assert found.residual[best, 0] < 1e-5


def test_unwrapping_changes_a_field_by_whole_periods_and_leaves_no_jump():
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64), indexing="ij")
    smooth = (600 * x + 200 * y**2)[..., None]
    period = 476.0
    wrapped = smooth - period * np.round(smooth / period)
    mask = ((x**2 + y**2) < 0.9)[..., None]
    unwrapped = field_map.unwrap_field(wrapped, mask, period)
    turns = (unwrapped - wrapped)[mask] / period
    assert np.abs(turns - np.round(turns)).max() < 1e-6
    jumps = np.abs(np.diff(unwrapped[..., 0], axis=0))[mask[1:, :, 0] & mask[:-1, :, 0]]
    assert jumps.max() < period / 4


@pytest.mark.parametrize(("spacing_mm", "expected"), [((2, 2, 2), 0.2), ((2, 2, 20), 0.1)])
def test_slices_far_apart_are_linked_more_weakly(spacing_mm, expected):
    assert field_map._slice_coupling(np.diag([*spacing_mm, 1.0])) == pytest.approx(expected)


@pytest.mark.parametrize("pdff", [0.0, 0.1, 0.35])
def test_magnitudes_recover_water_dominant_voxels(pdff):
    magnitude = np.abs(voxel(pdff, 33.0))
    fit = fit_magnitude(magnitude, TIMES, BASIS[:, 1], *start_on_side(magnitude, TIMES, 0.1))
    assert (fit.fat / (fit.water + fit.fat))[0] == pytest.approx(pdff, abs=2e-3)
    assert fit.r2_star_per_s[0] == pytest.approx(40.0, abs=0.3)


def test_magnitudes_recover_fat_dominant_voxels_only_from_their_own_side():
    magnitude = np.abs(voxel(0.9, 0.0))
    right = fit_magnitude(magnitude, TIMES, BASIS[:, 1], *start_on_side(magnitude, TIMES, 0.9))
    wrong = fit_magnitude(magnitude, TIMES, BASIS[:, 1], *start_on_side(magnitude, TIMES, 0.1))
    assert (right.fat / (right.water + right.fat))[0] == pytest.approx(0.9, abs=5e-3)
    assert (wrong.fat / (wrong.water + wrong.fat))[0] < 0.5
