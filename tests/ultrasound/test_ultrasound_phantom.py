"""Simulated B-mode images and elastograms against the physics they are made by."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound import phantom_anatomy as anatomy
from liver_models.ultrasound.elastography import stiffness_map
from liver_models.ultrasound.phantom import simulate_cohort, simulate_frame
from liver_models.ultrasound.phantom_elastogram import SCALE
from liver_models.ultrasound.phantom_scatter import (
    FREQUENCY_MHZ,
    Scanner,
    attenuation_db_per_cm_mhz,
    envelope_db,
    liver_echo_db,
    texture,
)

ALL_LIVER = np.full((anatomy.N_DEPTHS, anatomy.N_BEAMS), anatomy.LIVER, np.uint8)
NO_TGC = Scanner(tgc_error_db_per_cm_mhz=-0.7)


def echoes(fat_percent, seed=0, **settings):
    return envelope_db(ALL_LIVER, fat_percent, np.random.default_rng(seed), **settings)


def speckle_snr(**settings):
    """Mean over standard deviation of the envelope, averaged over seeds, at depths where noise is far below."""
    found = []
    for seed in range(6):
        amplitude = 10 ** (echoes(5, seed, **settings)[30:130] / 20)
        amplitude /= amplitude.mean(axis=1, keepdims=True)
        found.append(amplitude.mean() / amplitude.std())
    return np.mean(found)


def test_fully_developed_speckle_has_mean_over_deviation_of_1_91():
    assert speckle_snr() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), abs=0.05)


def test_clustered_scatterers_lower_mean_over_deviation_the_more_the_stronger():
    shapes = [texture(fibrosis) for fibrosis in (0.0, 0.5, 1.0)]
    found = [speckle_snr(shape=shape, length_mm=length) for shape, length in shapes]
    assert speckle_snr() > found[0] > found[1] + 0.05 > found[2] + 0.10


@pytest.mark.parametrize("fat_percent", [0, 12, 40])
def test_the_slope_of_the_echoes_gives_the_attenuation_back(fat_percent):
    depth_cm = anatomy.depths_mm() / 10
    power = np.mean([10 ** (echoes(fat_percent, seed, scanner=NO_TGC) / 10) for seed in range(4)], axis=(0, 2))
    used = slice(20, 200)
    slope = np.polyfit(depth_cm[used], 10 * np.log10(power[used]), 1)[0]
    assert -slope / (2 * FREQUENCY_MHZ) == pytest.approx(attenuation_db_per_cm_mhz(fat_percent), abs=0.02)


def test_attenuation_and_echo_grow_with_fat_between_the_stated_ends():
    fat = np.linspace(0, 40, 30)
    attenuation, echo = [attenuation_db_per_cm_mhz(f) for f in fat], [liver_echo_db(f) for f in fat]
    assert np.all(np.diff(attenuation) > 0) and np.all(np.diff(echo) > 0)
    assert (attenuation[0], attenuation[-1], echo[0]) == pytest.approx((0.5, 0.95, 0))


def test_the_beam_widens_with_depth():
    def width_mm(rows):
        field = 10 ** (echoes(5)[rows] / 20)
        field = field - field.mean(axis=1, keepdims=True)
        lag = (field[:, 1:] * field[:, :-1]).mean() / (field**2).mean()
        # Of a Gaussian correlation exp(-x²/2w²).
        return anatomy.beam_distances_mm()[rows].mean() / np.sqrt(-2 * np.log(lag))

    assert width_mm(slice(190, 220)) / width_mm(slice(20, 50)) == pytest.approx(0.82 / 0.43, rel=0.25)


def test_a_gain_in_decibels_brightens_the_echoes_by_as_much():
    assert echoes(10, scanner=Scanner(gain_db=3)) - echoes(10) == pytest.approx(3, abs=1e-4)


def test_the_liver_outshines_the_kidney_the_more_the_fatter_it_is():
    contrast = []
    for fat in (0, 10, 25):
        found = []
        for seed in range(5):
            frame = simulate_frame(fat, seed=seed)
            organs, rows = frame.organ_map, np.arange(224)[:, None]
            kidney = organs == anatomy.KIDNEY
            middle = np.nonzero(kidney)[0].mean()
            # The upper half only: what lies below is behind another organ than the liver beside it.
            level = (rows > middle - 12) & (rows < middle)
            found.append(frame.b_mode[(organs == anatomy.LIVER) & level].mean() - frame.b_mode[kidney & level].mean())
        contrast.append(np.mean(found))
    assert contrast[0] > 0 and np.all(np.diff(contrast) > 8)


def test_vessels_are_darker_and_the_diaphragm_brighter_than_the_liver():
    frame = simulate_frame(8, seed=2)
    mean = {organ: frame.b_mode[frame.organ_map == organ].mean() for organ in range(1, 9)}
    assert mean[anatomy.VESSEL] < 0.7 * mean[anatomy.LIVER] and mean[anatomy.DIAPHRAGM] > 1.3 * mean[anatomy.LIVER]


@pytest.mark.parametrize("size", [64, 97, 224])
def test_the_picture_is_black_exactly_outside_the_sector(size):
    frame = simulate_frame(12, seed=4, size=size)
    assert frame.b_mode.shape == frame.organ_map.shape == frame.stiffness_kpa.shape == (size, size)
    assert frame.swe_rgb.shape == (3, size, size)
    assert np.array_equal(frame.b_mode > 0, frame.organ_map > 0)
    rows, columns = np.nonzero(frame.organ_map)
    height = (anatomy.DEPTH_MM + anatomy.PROBE_RADIUS_MM * (1 - np.cos(np.pi / 6))) / frame.pixel_spacing_mm
    width = 2 * 60 * np.sin(np.pi / 6) / frame.pixel_spacing_mm
    assert np.ptp(rows) + 1 == pytest.approx(height, abs=2) and np.ptp(columns) + 1 == pytest.approx(width, abs=2)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    one, same, other = (simulate_frame(10, seed=seed, patient_seed=5) for seed in (1, 1, 2))
    for name in ("b_mode", "organ_map", "stiffness_kpa", "swe_rgb"):
        assert getattr(one, name).tobytes() == getattr(same, name).tobytes()
        assert getattr(one, name).tobytes() != getattr(other, name).tobytes()


def test_frames_of_a_patient_are_alike_but_not_the_same():
    def overlap(first, second):
        kidneys = [(frame.organ_map == anatomy.KIDNEY) for frame in (first, second)]
        return (kidneys[0] & kidneys[1]).sum() / (kidneys[0] | kidneys[1]).sum()

    frames = {(p, s): simulate_frame(10, seed=s, patient_seed=p) for p in range(6) for s in (10 + p, 20 + p)}
    mine = [overlap(frames[p, 10 + p], frames[p, 20 + p]) for p in range(6)]
    others = [overlap(frames[p, 10 + p], frames[(p + 1) % 6, 20 + (p + 1) % 6]) for p in range(6)]
    assert np.mean(others) < np.mean(mine) < 0.99


def test_an_elastogram_has_its_median_and_gives_it_back_through_its_colours():
    medians = []
    for seed in range(40):
        frame = simulate_frame(10, stiffness_kpa=6.2, seed=seed, size=96)
        read, _ = stiffness_map(frame.swe_rgb, SCALE, frame.box)
        assert np.array_equal(np.isfinite(read), np.isfinite(frame.stiffness_kpa))
        assert np.nanmax(np.abs(read - frame.stiffness_kpa)) < 0.15
        medians.append(np.nanmedian(frame.stiffness_kpa))
    assert np.median(medians) == pytest.approx(6.2, rel=0.03)
    assert np.std(np.log(medians)) == pytest.approx(0.06, rel=0.4)


def test_stiffness_is_measured_in_liver_inside_the_box_only_and_less_of_it_in_fat():
    measured = {}
    for fat in (2, 40):
        shares = []
        for seed in range(6):
            frame = simulate_frame(fat, seed=seed)
            top, left, bottom, right = frame.box
            known = np.isfinite(frame.stiffness_kpa)
            assert (frame.organ_map[known] == anatomy.LIVER).all()
            assert known.sum() == known[top:bottom, left:right].sum()
            in_liver = (frame.organ_map == anatomy.LIVER)[top:bottom, left:right]
            shares.append(known[top:bottom, left:right][in_liver].mean())
        measured[fat] = np.mean(shares)
    assert 0.9 < measured[2] < 0.98 and measured[40] < measured[2] - 0.08


@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("shortcut", ["ecg", "text"])
def test_a_shortcut_changes_pixels_only_outside_the_sector(shortcut, size):
    plain, marked = (simulate_frame(10, seed=3, size=size, shortcuts=marks) for marks in ((), (shortcut,)))
    changed = plain.b_mode != marked.b_mode
    assert changed.sum() >= 20 and not changed[plain.organ_map > 0].any()
    assert np.array_equal((plain.swe_rgb != marked.swe_rgb).any(axis=0), changed)


def test_a_subject_depends_on_neither_the_number_of_pairs_nor_on_shortcuts_nor_on_who_was_asked_before():
    one = simulate_cohort(5, 2, seed=7, n_pairs=1, size=64)
    three = simulate_cohort(5, 2, seed=7, n_pairs=3, size=64)
    _ = three[4]
    for index in (3, -1):
        first, same = one[index], three[index]
        assert (first.case_id, first.clinical, len(same.pairs)) == (same.case_id, same.clinical, 3)
        assert np.array_equal(first.pairs[0].b_mode, same.pairs[0].b_mode)
        assert not np.array_equal(same.pairs[0].b_mode, same.pairs[1].b_mode)
    part = three[1:4]
    assert (len(part), part[2].case_id) == (3, three[3].case_id)
    assert np.array_equal(part[2].pairs[2].swe_rgb, three[3].pairs[2].swe_rgb)


def test_other_subjects_have_other_images_and_other_seeds_other_subjects():
    cohort, other = (simulate_cohort(3, 1, seed=seed, n_pairs=1, size=64) for seed in (0, 1))
    assert not np.array_equal(cohort[0].pairs[0].b_mode, cohort[1].pairs[0].b_mode)
    assert not np.array_equal(cohort[0].pairs[0].b_mode, other[0].pairs[0].b_mode)
    assert all(subject.is_simulated for subject in cohort)
    assert [subject.is_fibrotic_nash for subject in cohort] == cohort.labels.tolist()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: simulate_cohort(10, 11), "needs 0 to 10 fibrotic subjects.*found 11"),
        (lambda: simulate_cohort(10, -1), "needs 0 to 10 fibrotic subjects.*found -1"),
        (lambda: simulate_cohort(0, 0), "A simulated cohort needs 1 to 100000 subjects; found 0"),
        (lambda: simulate_cohort(3, 1, n_pairs=0), "A subject needs 1 to 100 image pairs; found 0"),
        (lambda: simulate_cohort(3, 1, seed=-1), "A seed needs a number from 0; found -1"),
        (lambda: simulate_cohort(3, 1, size=32), "needs a size of 64 to 1024 pixels; found 32"),
        (lambda: simulate_cohort(3, 1, shortcuts=("ruler",)), "one of ecg, text; found 'ruler'"),
        (lambda: simulate_frame(10, seed=0, size=2000), "needs a size of 64 to 1024 pixels; found 2000"),
        (lambda: simulate_frame(-1, seed=0), "Fat needs 0 to 60 percent of the liver; found -1"),
        (lambda: simulate_frame(float("nan"), seed=0), "Fat needs 0 to 60 percent of the liver; found nan"),
        (lambda: simulate_frame(5, fibrosis=2, seed=0), "Fibrosis needs 0 to 1; found 2"),
        (lambda: simulate_frame(5, stiffness_kpa=40, seed=0), "Stiffness needs 1 to 18 kPa; found 40"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        call()
