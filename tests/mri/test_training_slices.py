"""Slices to train on: the physics of the signal model, wide protocols, the same bytes from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import field_period_hz
from liver_models.mri.least_squares import fat_fraction, gauss_newton
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.training_slices import PROTOCOLS, SNR_RANGE, VIALS_EVERY, SliceBank, draw_protocol

N_DRAWS = 300


@pytest.fixture(scope="module")
def bank():
    return SliceBank.simulate(4, seed=1, size=48)


@pytest.fixture(scope="module")
def protocols():
    rng = np.random.default_rng(0)
    return [draw_protocol(rng, "any") for _ in range(N_DRAWS)]


def same(first, second):
    return all(
        np.array_equal(one, other) for one, other in zip(vars(first).values(), vars(second).values(), strict=True)
    )


class TestBank:
    def test_it_holds_water_fat_field_decay_and_body_of_every_slice(self, bank):
        assert len(bank) == 4 and bank.maps.shape == (4, 5, 48, 48) and bank.maps.dtype == np.float32
        water, fat, _, rate, body = bank.maps.transpose(1, 0, 2, 3)
        assert np.isfinite(bank.maps).all() and (water >= 0).all() and (fat >= 0).all() and (rate >= 0).all()
        assert set(np.unique(body)) == {0, 1} and 0.1 < body.mean() < 0.9
        assert ((water + fat)[body > 0] > 0).all()

    def test_the_same_seed_gives_the_same_maps_and_another_seed_others(self, bank):
        again, other = SliceBank.simulate(1, seed=1, size=48), SliceBank.simulate(1, seed=2, size=48)
        assert np.array_equal(again.maps[0], bank.maps[0]) and not np.array_equal(other.maps[0], bank.maps[0])

    def test_a_longer_bank_begins_with_the_shorter_one(self, bank):
        assert np.array_equal(SliceBank.simulate(2, seed=1, size=48).maps, bank.maps[:2])

    def test_one_slice_in_eight_holds_vials_and_livers_differ_in_fat(self):
        bank = SliceBank.simulate(VIALS_EVERY, seed=3, size=32)
        fractions = [m[1][m[4] > 0].sum() / m[:2, m[4] > 0].sum() for m in bank.maps]
        assert len({round(float(f), 3) for f in fractions}) == VIALS_EVERY
        pure = [((m[1] > 0) & (m[0] < 1e-6)).any() for m in bank.maps]
        assert pure[-1]  # The vial of pure fat; no tissue is without water.
        assert sum(pure) == 1

    def test_what_is_saved_is_loaded(self, bank, tmp_path):
        bank.save(tmp_path / "bank.npy")
        assert np.array_equal(SliceBank.load(tmp_path / "bank.npy").maps, bank.maps)
        assert [path.name for path in tmp_path.iterdir()] == ["bank.npy"]

    def test_progress_counts_slices(self):
        seen = []
        SliceBank.simulate(2, seed=1, size=32, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 2), (2, 2)]


class TestDraw:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_the_same_generator_gives_the_same_slice_and_the_next_another(self, bank, protocol):
        one, other = (bank.draw(np.random.default_rng(5), protocol) for _ in range(2))
        assert same(one, other)
        rng = np.random.default_rng(5)
        bank.draw(rng, protocol)
        assert not same(one, bank.draw(rng, protocol))

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_its_signal_is_complex_with_a_largest_magnitude_of_1(self, bank, protocol):
        drawn = bank.draw(np.random.default_rng(1), protocol)
        assert drawn.signal.dtype == np.complex64 and drawn.signal.shape == (len(drawn.echo_times_s), 48, 48)
        assert np.abs(drawn.signal).max() == pytest.approx(1, abs=1e-6)
        assert (np.diff(drawn.echo_times_s) > 0).all()

    def test_its_truth_explains_its_signal(self, bank):
        """A fit that starts at the true field and R2* ends at the true fat fraction, within noise."""
        z = []
        for seed in range(6):
            s = bank.draw(np.random.default_rng(seed), "six_echoes")
            along = np.hypot(*np.gradient(s.field_map_hz))
            inside = s.body_mask & (along < 3) & (s.water + s.fat > 5 * s.noise_std)
            basis = design_matrix(s.echo_times_s, s.field_strength_t, get_spectrum("hamilton_2011"))
            start = s.field_map_hz[inside], s.r2_star_per_s[inside]
            fit = gauss_newton(s.signal[:, inside], s.echo_times_s, basis, *start)
            assert np.median(np.abs(fit.field_map_hz - start[0])) < 300 * s.noise_std
            z.append(fit.residual / (2 * s.echo_times_s.size - 6) / s.noise_std**2)
            truth = s.fat[inside] / (s.water + s.fat)[inside]
            assert abs(np.median(fat_fraction(fit.water, fit.fat) - truth)) < 0.02
        assert np.median(np.concatenate(z)) == pytest.approx(0.89, abs=0.1)  # Median of χ²₆/6.

    def test_air_holds_noise_of_the_stated_deviation(self, bank):
        drawn = [bank.draw(np.random.default_rng(seed), "six_echoes") for seed in range(5)]
        ratios = []
        for s in drawn:
            air = s.signal[:, s.water + s.fat == 0]
            ratios.append(np.concatenate([air.real, air.imag]).std() / s.noise_std)
        assert np.allclose(ratios, 1, atol=0.05)

    def test_noise_covers_the_range_it_is_drawn_from(self, bank):
        rng = np.random.default_rng(3)
        snr = []
        for _ in range(40):
            s = bank.draw(rng, "six_echoes")
            snr.append((s.water + s.fat)[s.body_mask].mean() / s.noise_std)
        assert SNR_RANGE[0] * 0.99 < min(snr) < 20 and 80 < max(snr) < SNR_RANGE[1] * 1.01

    def test_a_crop_is_a_square_of_its_side_and_one_too_large_the_whole_slice(self, bank):
        rng = np.random.default_rng(0)
        assert bank.draw(rng, "six_echoes", crop=20).signal.shape == (6, 20, 20)
        assert bank.draw(rng, "six_echoes", crop=400).signal.shape == (6, 48, 48)

    def test_crops_differ_in_place(self, bank):
        rng = np.random.default_rng(0)
        shares = {round(float(bank.draw(rng, "six_echoes", crop=16).body_mask.mean()), 3) for _ in range(12)}
        assert len(shares) > 4

    def test_a_slice_without_tissue_is_drawn_all_the_same(self, bank):
        drawn = SliceBank(np.zeros((1, 5, 24, 24), np.float32)).draw(np.random.default_rng(0))
        assert not drawn.body_mask.any() and np.isfinite(drawn.signal).all() and drawn.noise_std > 0

    def test_drawing_leaves_the_bank_as_it_is(self, bank):
        before = bank.maps.copy()
        bank.draw(np.random.default_rng(0), "any")
        assert np.array_equal(bank.maps, before)

    def test_an_unknown_protocol_is_refused_naming_the_known(self, bank):
        with pytest.raises(UnsuitableInputError, match="protocols any, paper, six_echoes; found 'magic'"):
            bank.draw(np.random.default_rng(0), "magic")


class TestProtocols:
    def test_any_protocol_has_3_to_16_echoes_at_field_strengths_from_low_to_3_t(self, protocols):
        counts = {times.size for _, times in protocols}
        fields = np.array([b0 for b0, _ in protocols])
        assert counts == {3, 4, 5, 6, 8, 10, 12, 16}
        assert (fields == 1.5).mean() > 0.25 and (fields == 3.0).mean() > 0.25
        assert ((fields >= 0.3) & (fields <= 3)).all() and len(set(fields)) > 5

    def test_echoes_can_be_measured(self, protocols):
        for _, times in protocols:
            assert times[0] > 0.5e-3 and np.diff(times).min() > 0.4e-3 and times[-1] < 0.04

    def test_some_are_equally_spaced_and_some_are_not(self, protocols):
        equal = np.mean([field_period_hz(times) is not None for _, times in protocols])
        assert 0.55 < equal < 0.9

    def test_every_one_can_tell_water_from_fat(self, protocols):
        for b0, times in protocols:
            basis = design_matrix(times, b0, get_spectrum("hamilton_2011"))
            assert np.linalg.cond(basis) < 12

    def test_the_paper_s_are_six_equal_echoes_at_1_5_t(self):
        rng = np.random.default_rng(0)
        drawn = [draw_protocol(rng, "paper") for _ in range(50)]
        assert {b0 for b0, _ in drawn} == {1.5}
        times = np.array([t for _, t in drawn])
        assert times.shape == (50, 6) and (times[:, 0] >= 1.0e-3).all() and (times[:, 0] <= 2.4e-3).all()
        assert 1.8e-3 < np.diff(times).mean() < 2.4e-3 and np.ptp(np.diff(times), axis=1).max() < 1e-12

    def test_six_echoes_is_one_protocol(self):
        b0, times = draw_protocol(np.random.default_rng(0), "six_echoes")
        assert b0 == 1.5 and np.allclose(times, 1.3e-3 + 2.1e-3 * np.arange(6))
