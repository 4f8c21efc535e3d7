"""AI-DEAL: weighted least squares with its covariance, and the estimate as a whole, refined and in one shot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.mri.ai_deal import AiDeal, NetworkAnswer, weighted_least_squares
from liver_models.mri.ai_deal_networks import ARCHITECTURE, AiDealNetworks, NetworkSizes
from liver_models.mri.cramer_rao import cramer_rao_bound
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.least_squares import fat_fraction
from liver_models.mri.pdff import estimate
from liver_models.mri.phantom import make_phantom
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.slice_problem import SliceProblem
from liver_models.units import ppm_to_hz
from liver_models.weights import Weights

SPECTRUM = get_spectrum("hamilton_2011")
SIX = 1.3e-3 + 2.1e-3 * np.arange(6)
BOTH = ("ai_deal", "ai_deal_one_shot")


@pytest.fixture(scope="module")
def plain():
    """Weights of networks that add nothing to the voxel's own evidence: no training's luck enters."""
    networks = AiDealNetworks(NetworkSizes((4, 4, 4, 4), (4, 4, 4, 4)))
    tensors = {name: np.zeros_like(value) for name, value in networks.tensors().items()}
    return Weights(tensors, {"architecture": ARCHITECTURE, "config": networks.config()})


@pytest.fixture(scope="module")
def liver():
    return make_phantom("liver", snr=50, seed=3, size=96)


class Copies:
    """n noisy copies of one voxel, and an answer that errs as it says."""

    def __init__(self, pdff, r2_star, snr=None, n=1, field_std=0.0, r2_star_std=0.0, seed=0):
        rng = np.random.default_rng(seed)
        self.basis, self.variance, self.n = design_matrix(SIX, 1.5, SPECTRUM), 0.0 if snr is None else snr**-2, n
        clean = (self.basis @ np.array([[1 - pdff], [pdff]])) * np.exp((2j * np.pi * 30 - r2_star) * SIX)[:, None]
        noise = rng.standard_normal((2, SIX.size, n)) * np.sqrt(self.variance)
        self.signal = (np.exp(0.7j) * clean + noise[0] + 1j * noise[1]).astype(np.complex64)
        field, rate = 30 + field_std * rng.standard_normal(n), r2_star + r2_star_std * rng.standard_normal(n)
        stds = np.full(n, field_std), np.full(n, r2_star_std)
        parts = field, stds[0], rate, stds[1], np.zeros(n)
        self.answer = NetworkAnswer(*(part.astype(np.float32) for part in parts), hypotheses=None)

    def solve(self):
        fit, spread = weighted_least_squares(self.signal, SIX, self.basis, self.answer, self.variance)
        return fit, spread, 100 * fat_fraction(fit.water, fit.fat)


class TestWeightedLeastSquares:
    @pytest.mark.parametrize("pdff", [0.0, 0.3, 1.0])
    @pytest.mark.parametrize(("field_std", "r2_star_std"), [(0.0, 0.0), (4.0, 20.0)])
    def test_it_is_exact_without_noise_whatever_the_weights(self, pdff, field_std, r2_star_std):
        copies = Copies(pdff, 60.0)
        copies.variance = 1e-6
        copies.answer.field_map_std_hz[:], copies.answer.r2_star_std_per_s[:] = field_std, r2_star_std
        fit, _, found = copies.solve()
        assert found[0] == pytest.approx(100 * pdff, abs=0.02) and fit.residual[0] < 1e-8
        assert fit.water[0] == pytest.approx((1 - pdff) * np.exp(0.7j), abs=1e-3)
        assert fit.fat[0] == pytest.approx(pdff * np.exp(0.7j), abs=1e-3)

    def test_it_is_the_weighted_least_squares_of_its_docstring(self):
        """In double precision, by NumPy, one voxel after the other."""
        copies = Copies(0.2, 120.0, snr=30, n=20, field_std=2.0, r2_star_std=9.0)
        fit, spread, _ = copies.solve()
        a, answer = copies.basis, copies.answer
        for k in range(copies.n):
            phi, rate = float(answer.field_map_hz[k]), float(answer.r2_star_per_s[k])
            y = copies.signal[:, k].astype(complex) * np.exp((rate - 2j * np.pi * phi) * SIX)
            spread_n = 1 - np.exp(-((2 * np.pi * SIX * 2.0) ** 2)) + (SIX * 9.0) ** 2
            sigma = 2 * copies.variance * np.exp(2 * rate * SIX) + np.abs(y) ** 2 * spread_n
            covariance = np.linalg.inv((a.conj().T / sigma) @ a)
            water, fat = covariance @ ((a.conj().T / sigma) @ y)
            gradient = np.array([-fat, water]) / (water + fat) ** 2
            variance = np.real(gradient @ covariance @ gradient.conj()) / 2
            assert fit.water[k] == pytest.approx(water, abs=1e-4) and fit.fat[k] == pytest.approx(fat, abs=1e-4)
            assert spread.pdff_std[k] == pytest.approx(np.sqrt(variance), rel=1e-3)
            assert spread.water_std[k] == pytest.approx(np.sqrt(covariance[0, 0].real / 2), rel=1e-3)
            assert spread.fat_std[k] == pytest.approx(np.sqrt(covariance[1, 1].real / 2), rel=1e-3)

    @pytest.mark.parametrize("pdff", [0.05, 0.3, 0.8])
    @pytest.mark.parametrize("r2_star", [40.0, 150.0])
    def test_with_field_and_r2_star_known_it_is_unbiased_and_scatters_as_stated(self, pdff, r2_star):
        copies = Copies(pdff, r2_star, snr=50, n=10_000)
        fit, spread, found = copies.solve()
        error, stated = found - 100 * pdff, 100 * spread.pdff_std
        assert abs(error.mean()) < 4 * np.median(stated) / np.sqrt(copies.n) + 0.01
        assert (error / stated).std() == pytest.approx(1, abs=0.03)
        assert (np.abs(error) < 1.96 * stated).mean() == pytest.approx(0.95, abs=0.01)
        if pdff < 0.1:  # The magnitude of so little fat is not its real part any more.
            return
        scatter = np.cov(np.abs(fit.water), np.abs(fit.fat))
        scale = np.sqrt(scatter[0, 0] * scatter[1, 1])
        assert np.median(spread.water_std) ** 2 == pytest.approx(scatter[0, 0], rel=0.06)
        assert np.median(spread.fat_std) ** 2 == pytest.approx(scatter[1, 1], rel=0.06)
        assert np.median(spread.water_fat_covariance) / scale == pytest.approx(scatter[0, 1] / scale, abs=0.05)

    def test_it_is_more_precise_than_dividing_the_decay_out(self):
        """Unweighted least squares after demodulation pays for the noise of late echoes."""
        copies = Copies(0.05, 200.0, snr=100, n=4000)
        *_, found = copies.solve()
        y = copies.signal * np.exp((200.0 - 2j * np.pi * 30) * SIX)[:, None]
        plain = 100 * fat_fraction(*np.linalg.lstsq(copies.basis, y, rcond=None)[0])
        assert plain.std() > 1.5 * found.std()

    @pytest.mark.parametrize(("field_std", "r2_star_std"), [(1.0, 4.0), (2.0, 8.0)])
    def test_errors_of_field_and_r2_star_are_covered(self, field_std, r2_star_std):
        copies = Copies(0.2, 60.0, snr=30, n=10_000, field_std=field_std, r2_star_std=r2_star_std)
        _, spread, found = copies.solve()
        assert (np.abs(found - 20) < 196 * spread.pdff_std).mean() == pytest.approx(0.95, abs=0.025)
        assert abs(found.mean() - 20) < 0.15

    def test_an_uncertain_field_takes_weight_from_late_echoes(self):
        copies = Copies(0.2, 40.0, snr=100)
        disturbed = copies.signal.copy()
        disturbed[-1] += 0.05
        moved = []
        for field_std in (0.0, 10.0):
            copies.answer.field_map_std_hz[:] = field_std
            one, other = (
                weighted_least_squares(s, SIX, copies.basis, copies.answer, copies.variance)[0]
                for s in (copies.signal, disturbed)
            )
            moved.append(abs(one.fat - other.fat)[0])
        assert moved[1] < 0.6 * moved[0]

    def test_a_voxel_without_signal_is_no_number_and_raises_nothing(self):
        copies = Copies(0.2, 40.0, snr=100)
        silent = np.zeros_like(copies.signal)
        fit, spread = weighted_least_squares(silent, SIX, copies.basis, copies.answer, copies.variance)
        assert np.isnan(fat_fraction(fit.water, fit.fat)).all() and np.isnan(spread.pdff_std).all()


def test_the_answer_finds_field_and_r2_star_of_a_uniform_slice(plain):
    """Any phase, a field far from 0, tissue in a corner of the image."""
    basis = design_matrix(SIX, 1.5, SPECTRUM)
    mask = np.zeros((30, 41), bool)
    mask[2:14, 25:40] = True
    one = (basis @ np.array([0.8, 0.2])) * np.exp((2j * np.pi * 140 - 55) * SIX + 1j)
    signal = (one[:, None, None] * mask).astype(np.complex64)
    answer = AiDeal(plain).answer(SliceProblem(signal, mask, SIX, 1.5, basis, 1e-4))
    assert answer.field_map_hz.shape == (mask.sum(),)
    assert np.allclose(answer.field_map_hz % (1 / 2.1e-3), 140, atol=3)
    assert np.allclose(answer.r2_star_per_s, 55, atol=6)
    assert (answer.field_map_std_hz > 0).all() and (answer.other_basin < 0.5).all()


@pytest.mark.parametrize("method", BOTH)
def test_three_echoes_are_answered_with_the_r2_star_that_is_assumed(method, plain):
    study, truth = make_phantom("vials", snr=100, size=96, echo_times_s=np.array([1.2, 3.2, 5.2]) * 1e-3)
    maps = estimate(study, method=method, network=plain)
    assert np.unique(maps.r2_star_per_s[maps.valid_mask]).tolist() == pytest.approx([32.5])
    assert (maps.r2_star_std_per_s[maps.valid_mask] == 0).all() and maps.settings["r2_star"] == "assumed"
    roi = truth.rois["vial_20_percent"]
    assert abs(np.median(maps.pdff_percent[roi]) - 20) < 4


@pytest.mark.parametrize("seed", [3, 5])
def test_the_refined_liver_is_unbiased_and_at_the_bound_at_snr_50(seed):
    study, truth = make_phantom("liver", snr=50, seed=seed, size=128)
    maps = estimate(study)
    inside = truth.liver_mask & maps.valid_mask
    assert (truth.liver_mask & ~maps.valid_mask).sum() == 0
    error = (maps.pdff_percent - truth.pdff_percent)[inside]
    voxels = np.argwhere(inside)[:: max(1, inside.sum() // 400)]
    bound = []
    for voxel in map(tuple, voxels):
        snr = (truth.water[voxel] + truth.fat[voxel]) / truth.noise_std
        given = truth.pdff_percent[voxel] / 100, truth.r2_star_per_s[voxel], SIX, 1.5, SPECTRUM, snr
        bound.append(cramer_rao_bound(*given)["pdff_std_percent"])
    typical = np.sqrt(np.mean(np.square(bound)))
    assert abs(error.mean()) < 4 * typical / np.sqrt(error.size) + 0.02
    assert error.std() == pytest.approx(typical, rel=0.07)
    assert (np.abs(error) < 1.96 * maps.pdff_std_percent[inside]).mean() > 0.935


@pytest.mark.parametrize("seed", [3, 6])
def test_errors_of_the_refined_liver_scatter_as_stated(seed):
    study, truth = make_phantom("liver", snr=50, seed=seed)
    maps = estimate(study)
    z = ((maps.pdff_percent - truth.pdff_percent) / maps.pdff_std_percent)[truth.liver_mask & maps.valid_mask]
    assert z.std() == pytest.approx(1, abs=0.05)
    assert (np.abs(z) < 1.96).mean() == pytest.approx(0.95, abs=0.01)


def test_the_one_shot_liver_is_near_the_truth_with_the_weights_of_the_package(liver):
    study, truth = liver
    maps = estimate(study, method="ai_deal_one_shot")
    error = (maps.pdff_percent - truth.pdff_percent)[truth.liver_mask]
    assert abs(np.nanmedian(error)) < 0.8
    assert (np.abs(error) > 25).mean() < 0.005


def test_refining_improves_the_one_shot_answer(liver, plain):
    study, truth = liver
    misfit = []
    for method in BOTH:
        error = (estimate(study, method=method, network=plain).pdff_percent - truth.pdff_percent)[truth.liver_mask]
        misfit.append(np.nanmedian(np.abs(error)))
    assert misfit[0] <= misfit[1]


@pytest.mark.parametrize("method", BOTH)
def test_the_other_sign_of_precession_gives_the_same_pdff(method, plain):
    study, _ = make_phantom("vials", snr=50, size=96)
    conjugate = study.with_fields(signal=np.conj(study.signal), precession=-1)
    maps, other = (estimate(s, method=method, network=plain) for s in (study, conjugate))
    assert np.array_equal(maps.pdff_percent, other.pdff_percent, equal_nan=True)
    assert other.settings["precession"]["sign"] == -1


@pytest.mark.parametrize("method", BOTH)
def test_alternating_readouts_are_mended_before_the_networks_look(method, plain):
    study, truth = make_phantom("vials", snr=50, size=96, bipolar_phase_rad=0.5)
    maps = estimate(study.with_fields(is_bipolar=None), method=method, network=plain)
    roi = truth.rois["vial_10_percent"]
    assert abs(np.median(maps.pdff_percent[roi]) - 10) < 1.5 and "odd_even_phase" in maps.settings


@pytest.mark.parametrize("method", BOTH)
def test_a_slice_without_tissue_leaves_the_others_as_they_are(method, plain, liver):
    study, _ = liver
    pair = np.concatenate([study.signal, np.zeros_like(study.signal)], axis=3)
    mask = np.zeros(pair.shape[1:], bool)
    both = estimate(study.with_fields(signal=pair, unusable_mask=mask), method=method, network=plain)
    assert not both.valid_mask[..., 1].any() and np.isnan(both.pdff_percent[..., 1]).all()
    alone = estimate(study, method=method, network=plain)
    seen = both.valid_mask[..., :1] & alone.valid_mask
    assert seen.sum() > 0.99 * alone.valid_mask.sum()
    assert np.quantile(np.abs(both.pdff_percent[..., :1] - alone.pdff_percent)[seen], 0.99) < 0.5


@pytest.mark.parametrize(
    "n_slices",
    [pytest.param(1, marks=pytest.mark.xfail(reason="A single slice uses every thread of torch.")), 2],
)
def test_the_same_study_gives_the_same_bytes_whatever_the_threads(n_slices):
    study, _ = make_phantom("liver", snr=50, seed=3, size=96 // n_slices, n_slices=n_slices)
    before, found = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 1):
            torch.set_num_threads(n_threads)
            found.append(estimate(study))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    for name in ("pdff_percent", "pdff_std_percent", "field_map_hz", "r2_star_per_s", "swap_probability"):
        assert len({getattr(maps, name).tobytes() for maps in found}) == 1


def test_what_is_stated_is_positive_and_a_probability(liver):
    study, _ = liver
    for method in BOTH:
        maps = estimate(study, method=method)
        inside = maps.valid_mask
        for name in ("pdff_std_percent", "r2_star_std_per_s", "field_map_std_hz"):
            assert (getattr(maps, name)[inside] > 0).all() and np.isnan(getattr(maps, name)[~inside]).all()
        assert ((maps.swap_probability[inside] >= 0) & (maps.swap_probability[inside] <= 1)).all()
        assert 0 <= maps.settings["fallback_fraction"] <= 1
        assert maps.settings["network"]["architecture"] == ARCHITECTURE


def test_calibrations_of_the_card_are_used(plain, liver):
    study, _ = liver
    doubled = {"stated_std": [1.0, 2.0], "calibrated_std": [2.0, 4.0]}
    swap = {"intercept": 0.0, "margin": -0.3, "jump": 1.0, "decay": 0.1}
    cards = (
        {"swap": swap, "one_shot_std": {"stated_std": [1.0], "calibrated_std": [1.0]}},
        {"swap": swap | {"intercept": -3.0}, "one_shot_std": doubled},
    )
    for method, factor in (("ai_deal_one_shot", 2.0), ("ai_deal", 1.0)):
        raw, mended = (
            estimate(study, method=method, network=Weights(plain.tensors, plain.card | {"calibration": card}))
            for card in cards
        )
        inside = raw.valid_mask & mended.valid_mask
        ratio = mended.pdff_std_percent[inside] / raw.pdff_std_percent[inside]
        assert np.allclose(ratio, factor, rtol=1e-4)
        odds = [np.log(m.swap_probability[inside] / (1 - m.swap_probability[inside])) for m in (raw, mended)]
        assert np.allclose(odds[1] - odds[0], -3, atol=0.02)


def test_weights_that_were_not_calibrated_state_no_swap_probability(plain, liver):
    for method in BOTH:
        maps = estimate(liver[0], method=method, network=plain)
        assert np.isnan(maps.swap_probability).all() and np.isfinite(maps.pdff_percent[maps.valid_mask]).all()


def test_pdff_and_field_in_ppm_are_the_same_at_twice_the_field_and_half_the_echo_times(plain):
    study, _ = make_phantom("vials", snr=None, size=96)
    high = study.with_fields(field_strength_t=3.0, echo_times_s=study.echo_times_s / 2)
    maps, other = (estimate(s, network=plain) for s in (study, high))
    inside = maps.valid_mask & other.valid_mask
    assert inside.sum() > 0.98 * maps.valid_mask.sum()
    assert np.quantile(np.abs(maps.pdff_percent - other.pdff_percent)[inside], 0.98) < 0.1
    ppm = [m.field_map_hz[inside] / ppm_to_hz(1.0, b0) for m, b0 in ((maps, 1.5), (other, 3.0))]
    assert np.quantile(np.abs(ppm[0] - ppm[1]), 0.98) < 0.01


@pytest.mark.parametrize("architecture", ["vet_net", "ai_deal_checkpoint"])
def test_weights_of_another_network_are_refused(architecture, liver):
    other = Weights({"a": np.zeros(3, np.float32)}, {"architecture": architecture, "config": {}})
    for method in BOTH:
        with pytest.raises(UnsuitableInputError, match=f"{architecture}"):
            estimate(liver[0], method=method, network=other)


def test_weights_whose_card_names_another_network_are_refused_though_their_tensors_fit(plain):
    with pytest.raises(UnsuitableInputError, match="ai_deal"):
        AiDeal(Weights(plain.tensors, plain.card | {"architecture": "vet_net"}))
