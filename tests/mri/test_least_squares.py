"""Variable projection: unbiased, at the bound, with a deviation that covers."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.mri import least_squares
from liver_models.mri.cramer_rao import cramer_rao_bound
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.signal_model import design_matrix

SPECTRUM = get_spectrum("hamilton_2011")
PROTOCOLS = {
    "1.5 T, six echoes": (1.5, 1.3e-3 + 2.1e-3 * np.arange(6)),
    "3 T, six echoes": (3.0, 1.2e-3 + 1.0e-3 * np.arange(6)),
    "3 T, unequal echoes": (3.0, np.array([1.1, 2.3, 3.1, 4.7, 5.2, 6.9]) * 1e-3),
    "1.5 T, four echoes": (1.5, np.array([1.744, 4.82, 7.896, 10.972]) * 1e-3),
}


def voxels(protocol, pdff, r2_star, snr=None, n=1, field_hz=30.0, seed=0, phase=0.7):
    """n noisy copies of one voxel, and its basis."""
    b0, times = PROTOCOLS[protocol]
    basis = design_matrix(times, b0, SPECTRUM)
    signal = basis @ np.array([1 - pdff, pdff]) * np.exp(-r2_star * times + 2j * np.pi * field_hz * times + 1j * phase)
    signal = np.repeat(signal[:, None], n, axis=1)
    if snr:
        noise = np.random.default_rng(seed).standard_normal((2, *signal.shape))
        signal = signal + (noise[0] + 1j * noise[1]) / snr
    return signal.astype(np.complex64), times, basis


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pdff", [0.0, 0.05, 0.3, 0.5, 0.9, 1.0])
def test_noise_free_voxels_are_recovered(protocol, pdff):
    signal, times, basis = voxels(protocol, pdff, 45.0)
    fit = least_squares.gauss_newton(signal, times, basis, np.array([24.0]), np.array([60.0]), 20)
    assert least_squares.fat_fraction(fit.water, fit.fat)[0] == pytest.approx(pdff, abs=2e-4)
    assert fit.field_map_hz[0] == pytest.approx(30.0, abs=0.02)
    assert fit.r2_star_per_s[0] == pytest.approx(45.0, abs=0.1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pdff", [0.0, 0.05, 0.3, 0.9])
def test_pdff_is_unbiased_at_the_bound_and_covered_at_snr_50(protocol, pdff):
    signal, times, basis = voxels(protocol, pdff, 45.0, snr=50, n=8000)
    fit = least_squares.gauss_newton(signal, times, basis, np.full(8000, 26.0), np.full(8000, 50.0))
    estimate = 100 * least_squares.fat_fraction(fit.water, fit.fat)
    stated = 100 / 50 * least_squares.covariance(fit, times, basis).pdff_std
    bound = cramer_rao_bound(pdff, 45.0, times, PROTOCOLS[protocol][0], SPECTRUM, 50)["pdff_std_percent"]
    assert abs(estimate.mean() - 100 * pdff) < 4 * bound / np.sqrt(8000) + 0.02
    assert estimate.std() == pytest.approx(bound, rel=0.04)
    assert np.median(stated) == pytest.approx(bound, rel=0.03)
    assert (np.abs(estimate - 100 * pdff) < 1.96 * stated).mean() == pytest.approx(0.95, abs=0.012)


def test_stated_deviations_of_field_and_r2_star_equal_the_bound():
    signal, times, basis = voxels("1.5 T, six echoes", 0.2, 60.0)
    fit = least_squares.gauss_newton(signal, times, basis, np.array([28.0]), np.array([50.0]), 20)
    stated = least_squares.covariance(fit, times, basis)
    bound = cramer_rao_bound(0.2, 60.0, times, 1.5, SPECTRUM, 1.0)
    assert stated.field_map_std_hz[0] == pytest.approx(bound["field_map_std_hz"], rel=1e-3)
    assert stated.r2_star_std_per_s[0] == pytest.approx(bound["r2_star_std_per_s"], rel=1e-3)
    assert 100 * stated.pdff_std[0] == pytest.approx(bound["pdff_std_percent"], rel=1e-3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_water_and_fat_scatter_together_as_stated(protocol):
    signal, times, basis = voxels(protocol, 0.3, 45.0, snr=100, n=20000)
    fit = least_squares.gauss_newton(signal, times, basis, np.full(20000, 28.0), np.full(20000, 50.0))
    stated = least_squares.covariance(fit, times, basis)
    found = np.cov(np.abs(fit.water), np.abs(fit.fat)) * 100**2
    assert np.median(stated.water_std) ** 2 == pytest.approx(found[0, 0], rel=0.05)
    assert np.median(stated.fat_std) ** 2 == pytest.approx(found[1, 1], rel=0.05)
    scale = np.sqrt(found[0, 0] * found[1, 1])
    assert np.median(stated.water_fat_covariance) / scale == pytest.approx(found[0, 1] / scale, abs=0.04)


@pytest.mark.parametrize(
    ("pdff", "expected"), [(0.05, (3.46, 1.39, 0.69)), (0.15, (3.12, 1.25, 0.62)), (0.5, (2.27, 0.91, 0.45))]
)
def test_the_bound_agrees_with_published_values(pdff, expected):
    times = PROTOCOLS["1.5 T, six echoes"][1]
    for snr, std in zip((20, 50, 100), expected, strict=True):
        assert cramer_rao_bound(pdff, 40, times, 1.5, SPECTRUM, snr)["pdff_std_percent"] == pytest.approx(
            std, abs=0.011
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_water_and_fat_follow_from_field_and_r2_star(protocol):
    signal, times, basis = voxels(protocol, 0.3, 45.0, phase=0.7)
    water, fat = least_squares.solve_water_fat(signal, times, basis, np.array([30.0]), np.array([45.0]))
    assert water[0] == pytest.approx(0.7 * np.exp(0.7j), abs=1e-4)
    assert fat[0] == pytest.approx(0.3 * np.exp(0.7j), abs=1e-4)


def test_a_noisy_late_echo_of_a_fast_decay_hardly_moves_water_and_fat():
    """Weights e^{-R2*t}: dividing the decay out instead would multiply that echo's noise by e^{R2*t}, 33 here."""
    signal, times, basis = voxels("1.5 T, six echoes", 0.3, 300.0)
    disturbed = signal.copy()
    disturbed[-1] += 0.05
    given = times, basis, np.array([30.0]), np.array([300.0])
    moved = np.abs(np.subtract(*(least_squares.solve_water_fat(s, *given) for s in (disturbed, signal))))
    assert moved.max() < 0.02


def test_the_error_of_a_wrong_field_shrinks_quadratically():
    """Gauss-Newton on a zero-residual problem converges quadratically: the slope of the log error is about 2."""
    signal, times, basis = voxels("1.5 T, six echoes", 0.3, 45.0)
    errors = []
    for n_iterations in (1, 2):
        fit = least_squares.gauss_newton(signal, times, basis, np.array([27.0]), np.array([45.0]), n_iterations)
        errors.append(abs(float(fit.field_map_hz[0]) - 30.0))
    assert errors[0] < 0.35 and errors[1] < 0.1 * errors[0] + 1e-3


def test_a_phase_locked_fit_costs_nothing_when_water_and_fat_share_their_phase():
    signal, times, basis = voxels("1.5 T, six echoes", 0.3, 45.0)
    y = least_squares.demodulate(signal, times, np.array([30.0]))
    locked = least_squares.phase_locked_residual(y, times, basis, np.array([45.0]))
    assert locked[0] < 1e-5 * float(np.sum(np.abs(signal) ** 2))


def test_a_phase_locked_fit_costs_when_their_phases_differ():
    _, times, basis = voxels("1.5 T, six echoes", 0.3, 45.0)
    signal = (np.exp(-45 * times)[:, None] * (basis @ np.array([[0.7], [0.3j]]))).astype(np.complex64)
    locked = least_squares.phase_locked_residual(signal, times, basis, np.array([45.0]))
    assert locked[0] > 0.01 * float(np.sum(np.abs(signal) ** 2))


def test_fat_fraction_of_pure_water_has_no_noise_floor():
    signal, times, basis = voxels("1.5 T, six echoes", 0.0, 30.0, snr=20, n=20000)
    fit = least_squares.gauss_newton(signal, times, basis, np.full(20000, 30.0), np.full(20000, 30.0))
    signed = 100 * least_squares.fat_fraction(fit.water, fit.fat)
    floor = 100 * np.abs(fit.fat) / np.abs(fit.water + fit.fat)
    assert abs(signed.mean()) < 0.12
    assert floor.mean() > 2
