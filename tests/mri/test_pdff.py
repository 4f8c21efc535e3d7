"""The estimate as a whole, on simulated studies whose answer is known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.study import MultiEchoStudy
from liver_models.mri.field_candidates import field_period_hz
from liver_models.mri.pdff import PdffOptions, estimate
from liver_models.mri.phantom import make_phantom
from liver_models.units import ppm_to_hz

SIZE = 96


def vials(**settings):
    return make_phantom("vials", size=SIZE, **{"snr": 50.0, **settings})


def liver(**settings):
    return make_phantom("liver", size=SIZE, **{"snr": 50.0, **settings})


def bias(maps, truth, roi):
    return float((maps.pdff_percent - truth.pdff_percent)[roi].mean())


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
def test_noise_free_vials_are_exact(field_strength_t):
    study, truth = vials(snr=None, field_strength_t=field_strength_t)
    maps = estimate(study)
    for name, roi in truth.rois.items():
        assert maps.valid_mask[roi].all(), name
        assert abs(bias(maps, truth, roi)) < 0.1, name


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
def test_no_liver_voxel_of_a_dome_is_swapped_and_hardly_any_elsewhere(field_strength_t):
    study, truth = make_phantom("liver", snr=50, field_strength_t=field_strength_t, dome=True, seed=7)
    maps = estimate(study)
    period = field_period_hz(study.echo_times_s)
    off = maps.field_map_hz - truth.field_map_hz
    off -= period * np.round(off / period)
    error = np.abs(maps.pdff_percent - truth.pdff_percent)
    swapped = truth.body_mask & (error > 25) & (np.abs(off) > ppm_to_hz(1.0, field_strength_t))
    assert swapped.sum() <= 2 and not (swapped & truth.liver_mask).any()
    assert (truth.body_mask & ~maps.valid_mask).mean() < 1e-3
    assert abs(bias(maps, truth, truth.liver_mask)) < 0.15


def test_liver_pdff_is_covered_by_its_stated_deviation():
    study, truth = liver(snr=20.0, seed=3)
    maps = estimate(study)
    z = np.abs(maps.pdff_percent - truth.pdff_percent)[truth.liver_mask] / maps.pdff_std_percent[truth.liver_mask]
    assert (z < 1.96).mean() == pytest.approx(0.95, abs=0.035)


def test_deviation_halves_when_noise_halves():
    stated = []
    for snr in (25.0, 50.0):
        study, truth = liver(snr=snr, seed=3)
        stated.append(np.median(estimate(study).pdff_std_percent[truth.rois["right_lobe"]]))
    assert stated[0] / stated[1] == pytest.approx(2.0, rel=0.08)


@pytest.mark.parametrize(
    "times_ms", [(1.2, 3.2, 5.2), (1.1, 2.3, 3.1, 4.7, 5.2, 6.9), tuple(1 + 1.4 * k for k in range(12))]
)
def test_any_three_or_more_echoes_find_the_right_basin(times_ms):
    study, truth = vials(echo_times_s=np.array(times_ms) * 1e-3, snr=100.0)
    maps = estimate(study)
    tolerance = 4.0 if len(times_ms) == 3 else 0.5
    for name, roi in truth.rois.items():
        assert abs(bias(maps, truth, roi)) < tolerance, name
    assert any("Three echoes" in w for w in maps.warnings) == (len(times_ms) == 3)


def test_an_undeclared_precession_is_found():
    study, truth = vials(precession=-1)
    maps = estimate(study.with_fields(precession=None))
    assert maps.settings["precession"]["sign"] == -1
    assert maps.settings["precession"]["basis"] == "found"
    assert abs(bias(maps, truth, truth.rois["vial_20_percent"])) < 0.6


def test_a_study_that_declares_the_wrong_precession_is_refused_saying_what_to_give():
    study, _ = vials(precession=-1, snr=200.0)
    with pytest.raises(UnsuitableInputError, match=r"declares \+1, but the signal fits the other .* --precession=-1"):
        estimate(study.with_fields(precession=1))


def test_who_insists_on_a_sign_gets_it_with_a_warning():
    study, _ = vials(precession=-1)
    maps = estimate(study.with_fields(precession=1), options=PdffOptions(precession="+1"))
    assert any("given as +1, but the signal fits the other sign better" in w for w in maps.warnings)


def test_pure_water_leaves_the_precession_undecided_and_says_so():
    rng = np.random.default_rng(0)
    times = 1.3e-3 + 2.1e-3 * np.arange(6)
    clean = np.exp((2j * np.pi * 20 - 30) * times)[:, None, None, None]
    noise = rng.standard_normal((2, 6, 24, 24, 1)) / 30
    study = MultiEchoStudy.from_echoes(clean + noise[0] + 1j * noise[1], times, field_strength_t=1.5, affine=np.eye(4))
    maps = estimate(study)
    assert maps.settings["precession"]["basis"] == "undecided"
    assert any("does not decide it" in w for w in maps.warnings)


def test_ignoring_a_bipolar_phase_biases_pdff_and_removing_it_mends_that():
    study, truth = vials(bipolar_phase_rad=0.4)
    study = study.with_fields(is_bipolar=None)
    roi = truth.rois["vial_10_percent"]
    ignored = estimate(study, options=PdffOptions(readout="unipolar"))
    found = estimate(study)
    assert abs(bias(ignored, truth, roi)) > 3
    assert abs(bias(found, truth, roi)) < 0.5
    assert any("bipolar" in w for w in found.warnings)


@pytest.mark.parametrize("precession", [1, -1])
def test_alternating_readouts_are_not_taken_for_the_wrong_sign(precession):
    study, truth = vials(bipolar_phase_rad=0.6, precession=precession)
    maps = estimate(study.with_fields(is_bipolar=None))
    assert maps.settings["precession"]["sign"] == precession
    assert abs(bias(maps, truth, truth.rois["vial_10_percent"])) < 0.6


def test_three_echoes_do_not_refute_the_sign_that_is_declared():
    for seed in range(3):
        study, _ = vials(echo_times_s=np.array([1.2, 3.2, 5.2]) * 1e-3, seed=seed, precession=-1)
        assert estimate(study).settings["precession"]["sign"] == -1


def test_a_unipolar_study_is_not_turned():
    study, _ = vials()
    maps = estimate(study.with_fields(is_bipolar=None))
    assert "odd_even_phase" not in maps.settings


def test_the_wrong_spectrum_biases_pdff_as_known():
    """A single peak takes the other peaks for water: some 1 and 6 points are missing from 5 and 30 % at 1.5 T."""
    study, truth = vials(snr=200.0)
    maps = estimate(study, options=PdffOptions(spectrum="single_peak"))
    assert -2 < bias(maps, truth, truth.rois["vial_5_percent"]) < -0.7
    assert -8 < bias(maps, truth, truth.rois["vial_30_percent"]) < -4


def test_first_echo_phase_errors_bias_the_complex_fit_more_than_the_hybrid_one():
    study, truth = vials(snr=200.0)
    signal = study.signal.copy()
    signal[0] *= np.exp(0.15j)
    study = study.with_fields(signal=signal, is_bipolar=False)
    roi = truth.rois["vial_10_percent"]
    errors = {
        fit: abs(bias(estimate(study, options=PdffOptions(fit=fit)), truth, roi)) for fit in ("complex", "hybrid")
    }
    assert errors["hybrid"] < 0.5 < errors["complex"]


def test_the_hybrid_fit_keeps_high_fat_complex():
    study, truth = vials(snr=100.0)
    maps = estimate(study, options=PdffOptions(fit="hybrid"))
    for name in ("vial_5_percent", "vial_50_percent", "vial_100_percent"):
        assert abs(bias(maps, truth, truth.rois[name])) < 0.5, name


def test_magnitudes_alone_give_pdff_below_forty_percent_and_say_what_they_cannot():
    study, truth = vials(snr=100.0)
    magnitude = study.with_fields(
        signal=np.abs(study.signal).astype(np.complex64), is_magnitude_only=True, precession=None
    )
    maps = estimate(magnitude)
    assert abs(bias(maps, truth, truth.rois["vial_20_percent"])) < 0.6
    assert np.isnan(maps.field_map_hz).all()
    assert any("No phase was stored" in w for w in maps.warnings)


def test_pixels_that_are_not_finite_are_masked_and_spread_nowhere():
    study, _ = vials(snr=50.0)
    broken = study.signal.copy()
    broken[2, 48, 48, 0] = np.nan
    broken[0, 50, 47, 0] = np.inf
    again = MultiEchoStudy.from_echoes(
        broken, study.echo_times_s, field_strength_t=1.5, affine=study.affine, precession=1, is_bipolar=False
    )
    maps, clean = estimate(again), estimate(study)
    assert not maps.valid_mask[48, 48, 0] and not maps.valid_mask[50, 47, 0]
    assert any("2 pixels were not finite" in w for w in again.warnings)
    both = maps.valid_mask & clean.valid_mask
    assert np.abs(maps.pdff_percent - clean.pdff_percent)[both].max() < 1.0
    assert both.sum() >= clean.valid_mask.sum() - 4


def test_air_is_nan_not_zero_percent():
    study, truth = liver()
    maps = estimate(study)
    corner = maps.pdff_percent[:8, :8]
    assert np.isnan(corner).mean() > 0.95
    assert np.isnan(maps.pdff_percent[~maps.valid_mask]).all()


def test_the_same_study_gives_the_same_bytes():
    study, _ = liver()
    first, second = estimate(study), estimate(study)
    for name in ("pdff_percent", "pdff_std_percent", "field_map_hz", "r2_star_per_s"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_turning_the_image_turns_the_maps():
    study, truth = vials()
    turned = study.with_fields(
        signal=study.signal.transpose(0, 2, 1, 3), unusable_mask=study.unusable_mask.transpose(1, 0, 2)
    )
    maps, other = estimate(study), estimate(turned)
    roi = truth.rois["vial_20_percent"]
    assert np.allclose(maps.pdff_percent[roi], other.pdff_percent.transpose(1, 0, 2)[roi], atol=0.05)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_scaling_the_signal_scales_water_and_leaves_pdff(scale):
    study, truth = vials()
    maps, other = estimate(study), estimate(study.with_fields(signal=study.signal * np.float32(scale)))
    roi = truth.rois["vial_20_percent"]
    assert np.allclose(maps.pdff_percent[roi], other.pdff_percent[roi], atol=0.05)
    assert np.allclose(maps.water[roi], other.water[roi] / scale, rtol=1e-3)


def test_adjacent_slices_mend_a_slice_whose_own_data_are_misleading():
    study, truth = liver(n_slices=3, seed=11)
    maps = estimate(study)
    assert maps.pdff_percent.shape == study.signal.shape[1:]
    assert abs(bias(maps, truth, truth.liver_mask)) < 0.15


def test_progress_counts_to_its_total_and_may_stop_the_work():
    study, _ = liver(n_slices=2)
    seen = []
    estimate(study, progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done:
            raise Stop

    with pytest.raises(Stop):
        estimate(study, progress=stop)


def test_an_unknown_method_is_refused_naming_the_known():
    study, _ = vials()
    with pytest.raises(UnsuitableInputError, match="methods ai_deal, .*graph_cut.*'magic'"):
        estimate(study, method="magic")


def test_unknown_options_are_refused_naming_the_known():
    with pytest.raises(
        UnsuitableInputError, match="knows the options spectrum, precession, readout, fit; found spectrun"
    ):
        PdffOptions.from_request({"spectrun": "x"})


@pytest.mark.parametrize(
    ("name", "value"), [("precession", "+2"), ("readout", "both"), ("fit", "magic"), ("spectrum", "lard")]
)
def test_a_value_that_is_not_known_is_refused(name, value):
    with pytest.raises(UnsuitableInputError, match=re.escape(repr(value)) if name != "spectrum" else value):
        PdffOptions.from_request({name: value})


def test_images_that_hold_nothing_are_refused():
    study = MultiEchoStudy.from_echoes(
        np.zeros((6, 8, 8, 1), np.complex64), 1e-3 * np.arange(1, 7), field_strength_t=1.5, affine=np.eye(4)
    )
    with pytest.raises(UnsuitableInputError, match="every pixel of this study is 0"):
        estimate(study)
