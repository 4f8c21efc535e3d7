"""Laws of the echo signal."""

import numpy as np
import pytest

from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.signal_model import design_matrix, fat_modulation, multi_echo_signal
from liver_models.units import PROTON_GYROMAGNETIC_RATIO_HZ_PER_T

HAMILTON = get_spectrum("hamilton_2011")
TIMES = np.array([0.0, 1.1e-3, 2.3e-3, 4.7e-3])


def test_fat_starts_in_phase_with_water():
    assert fat_modulation(np.array([0.0]), 3.0, HAMILTON)[0] == pytest.approx(1)


def test_a_single_peak_turns_at_its_shift_and_the_negative_sense():
    times = np.array([1e-3])
    turn = fat_modulation(times, 1.5, get_spectrum("single_peak"))[0]
    cycles = -3.4e-6 * PROTON_GYROMAGNETIC_RATIO_HZ_PER_T * 1.5 * 1e-3
    assert abs(turn) == pytest.approx(1)
    assert np.angle(turn) == pytest.approx(2 * np.pi * cycles)


def test_doubling_the_field_is_halving_the_time():
    assert fat_modulation(TIMES, 3.0, HAMILTON) == pytest.approx(fat_modulation(2 * TIMES, 1.5, HAMILTON))


def test_many_peaks_never_exceed_one():
    assert np.abs(fat_modulation(np.linspace(0, 0.05, 500), 3.0, HAMILTON)).max() <= 1 + 1e-12


def test_the_signal_is_the_design_matrix_times_water_and_fat():
    water, fat = 3.0 + 1j, 2.0 - 0.5j
    signal = multi_echo_signal(water, fat, 0.0, 0.0, TIMES, 1.5, HAMILTON)
    assert signal == pytest.approx(design_matrix(TIMES, 1.5, HAMILTON) @ np.array([water, fat]))


def test_decay_and_off_resonance_multiply_each_echo():
    plain = multi_echo_signal(1.0, 0.4, 0.0, 0.0, TIMES, 1.5, HAMILTON)
    signal = multi_echo_signal(1.0, 0.4, 60.0, 35.0, TIMES, 1.5, HAMILTON)
    assert signal / plain == pytest.approx(np.exp((2j * np.pi * 60 - 35) * TIMES))


def test_every_voxel_keeps_its_place():
    rng = np.random.default_rng(0)
    water, fat, field, rate = rng.uniform(0, 50, (4, 2, 3, 5))
    signal = multi_echo_signal(water, fat, field, rate, TIMES, 1.5, HAMILTON)
    assert signal.shape == (4, 2, 3, 5)
    one = multi_echo_signal(water[1, 2, 3], fat[1, 2, 3], field[1, 2, 3], rate[1, 2, 3], TIMES, 1.5, HAMILTON)
    assert signal[:, 1, 2, 3] == pytest.approx(one)
