"""Named fat spectra."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.mri.fat_spectra import SPECTRA, FatSpectrum, at_temperature, get_spectrum, water_shift_ppm


@pytest.mark.parametrize("name", SPECTRA)
def test_amplitudes_sum_to_one_and_every_spectrum_says_where_it_is_from(name):
    spectrum = get_spectrum(name)
    assert sum(spectrum.amplitudes) == pytest.approx(1, abs=1e-12)
    assert min(spectrum.amplitudes) > 0
    assert spectrum.doi.startswith("10.")
    main_peak = spectrum.shifts_ppm[int(np.argmax(spectrum.amplitudes))]
    assert main_peak == -3.40


def test_the_default_is_hamilton_2011_as_published():
    spectrum = next(iter(SPECTRA.values()))
    assert spectrum.name == "hamilton_2011"
    assert spectrum.shifts_ppm == (-3.80, -3.40, -2.60, -1.94, -0.39, 0.60)
    assert np.round(spectrum.amplitudes, 3).tolist() == [0.087, 0.694, 0.128, 0.004, 0.039, 0.048]


def test_an_unknown_name_is_refused_naming_the_known():
    with pytest.raises(UnsuitableInputError, match="one of hamilton_2011, .*ren_2008.*found 'lard'"):
        get_spectrum("lard")


def test_a_spectrum_needs_an_amplitude_for_each_peak():
    with pytest.raises(ValueError, match="2 amplitudes for 1 peaks"):
        FatSpectrum("x", (-3.4,), (0.5, 0.5), "10.0/0", "")


def test_a_cold_phantom_moves_fat_further_from_water():
    assert water_shift_ppm(37) == pytest.approx(4.6466, abs=1e-3)
    warm = get_spectrum("hamilton_2011")
    cold = at_temperature(warm, 20)
    moved = np.subtract(cold.shifts_ppm, warm.shifts_ppm)
    assert moved == pytest.approx(4.7 - water_shift_ppm(20))
    # 17 degrees move water by 0.01085 ppm each.
    assert np.subtract(at_temperature(warm, 37).shifts_ppm, cold.shifts_ppm) == pytest.approx(17 * 0.01085)
