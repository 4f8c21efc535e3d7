"""The noise is read from the study itself, and it tells tissue from air."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.noise import background_variance, local_noise_variance, noise_variance, signal_energy, tissue_mask
from liver_models.mri.phantom import make_phantom
from liver_models.mri.signal_model import design_matrix


def noise_of(study, fixed_r2_star_per_s=None):
    basis = design_matrix(study.echo_times_s, study.field_strength_t, get_spectrum("hamilton_2011"))
    return np.sqrt(noise_variance(study, basis, fixed_r2_star_per_s))


@pytest.mark.parametrize("snr", [20.0, 50.0])
@pytest.mark.parametrize("kind", ["liver", "vials"])
def test_the_noise_of_a_simulated_study_is_found_within_five_percent(kind, snr):
    study, truth = make_phantom(kind, snr=snr, size=96)
    assert noise_of(study) == pytest.approx(truth.noise_std, rel=0.05)


def test_a_study_of_noise_alone_reads_at_most_a_third_too_quiet():
    """The model fits noise better than its degrees of freedom say, for want of a signal that fixes field and R2*."""
    study, _ = make_phantom("vials", snr=20, size=96)
    noise = np.random.default_rng(0).standard_normal((2, *study.signal.shape)) * 3
    found = noise_of(study.with_fields(signal=(noise[0] + 1j * noise[1]).astype(np.complex64)))
    assert 2.0 < found < 3.2


def test_nearly_all_tissue_is_kept_and_nearly_all_air_left_out():
    study, truth = make_phantom("liver", snr=20)
    energy = signal_energy(study.signal[..., 0])
    mask = tissue_mask(energy, truth.noise_std**2, 6)
    body = truth.body_mask[..., 0]
    assert mask[body].mean() > 0.999
    assert mask[:, :10].mean() < 0.01


def test_brighter_noise_around_the_body_is_noticed():
    rng = np.random.default_rng(0)
    air = 3.0**2 * rng.chisquare(12, size=(60, 60))
    tissue = np.full((60, 60), 6 * 100.0**2)
    assert background_variance(np.concatenate([air, tissue]), 1.0, 6) == pytest.approx(9.0, rel=0.25)


def test_without_background_the_noise_stays_that_of_tissue():
    assert background_variance(np.full((60, 60), 6 * 100.0**2), 1.0, 6) == 1.0


def test_local_noise_follows_uneven_noise():
    rng = np.random.default_rng(0)
    std = np.linspace(1, 3, 120)[:, None] * np.ones((120, 120))
    residual = std**2 * rng.chisquare(6, size=std.shape)
    found = np.sqrt(local_noise_variance(residual, np.ones(std.shape, bool), 6, 1.0))
    assert np.abs(found / std - 1)[12:-12, 12:-12].max() < 0.25
    assert np.abs(found / std - 1)[12:-12, 12:-12].mean() < 0.06


def test_voxels_outside_the_mask_do_not_leak_into_the_local_noise():
    residual = np.full((40, 40), 1e6)
    residual[10:30, 10:30] = 6.0
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    # Residuals that do not scatter lose nothing to the limit, whose correction then shows.
    assert local_noise_variance(residual, mask, 6, 5.0)[mask] == pytest.approx(1.0, rel=0.06)


def test_without_degrees_of_freedom_the_fallback_is_taken():
    assert np.all(local_noise_variance(np.zeros((4, 4)), np.ones((4, 4), bool), 0, 7.0) == 7.0)
