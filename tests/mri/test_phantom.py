"""Laws of the simulated studies: what is known about them holds."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.phantom import make_phantom
from liver_models.mri.phantom_liver import draw_liver_anatomy, lay_out_liver
from liver_models.mri.phantom_vials import VIAL_PDFF_PERCENT, VIAL_R2_STAR_PER_S
from liver_models.mri.signal_model import multi_echo_signal
from liver_models.mri.susceptibility import dipole_field_ppm, shim_coefficients, shim_terms, surface_jump


def test_inside_a_region_the_signal_is_the_model_of_the_truth():
    study, truth = make_phantom("liver", snr=None, seed=1, size=96)
    roi = truth.rois["right_lobe"]
    expected = multi_echo_signal(
        truth.water[roi],
        truth.fat[roi],
        truth.field_map_hz[roi],
        truth.r2_star_per_s[roi],
        study.echo_times_s,
        study.field_strength_t,
        get_spectrum("hamilton_2011"),
    )
    signal = study.signal[:, roi]
    assert np.abs(signal) == pytest.approx(np.abs(expected), rel=5e-3)
    # The coil's phase is common to the echoes of a voxel.
    relative = signal / expected
    assert np.angle(relative * relative[:1].conj()) == pytest.approx(0, abs=0.02)


def test_the_same_seed_gives_the_same_bytes_and_another_another():
    first, again, other = (make_phantom("liver", snr=30, seed=seed, size=48)[0] for seed in (5, 5, 6))
    assert first.signal.tobytes() == again.signal.tobytes()
    assert first.signal.tobytes() != other.signal.tobytes()


def test_noise_leaves_the_anatomy_and_has_the_stated_size():
    clean, truth = make_phantom("liver", snr=None, seed=2, size=96)
    noisy, noisy_truth = make_phantom("liver", snr=25, seed=2, size=96)
    assert truth.pdff_percent.tobytes() == noisy_truth.pdff_percent.tobytes()
    noise = noisy.signal - clean.signal
    assert noise.real.std() == pytest.approx(noisy_truth.noise_std, rel=0.01)
    assert noise.imag.std() == pytest.approx(noisy_truth.noise_std, rel=0.01)
    assert abs(np.mean(noise.real * noise.imag)) < 0.02 * noisy_truth.noise_std**2
    liver = noisy_truth.liver_mask
    assert (truth.water + truth.fat)[liver].mean() / noisy_truth.noise_std == pytest.approx(25, rel=1e-3)


def test_each_vial_holds_what_its_label_says():
    study, truth = make_phantom("vials", snr=None, field_strength_t=3.0)
    assert len(truth.rois) == 7
    for percent, rate, roi in zip(VIAL_PDFF_PERCENT, VIAL_R2_STAR_PER_S, truth.rois.values(), strict=True):
        assert truth.pdff_percent[roi] == pytest.approx(percent)
        assert truth.r2_star_per_s[roi] == pytest.approx(2 * rate, rel=1e-5)
        assert roi.sum() > 200


def test_a_stated_liver_is_made():
    _, truth = make_phantom("liver", snr=None, pdff_percent=25, r2_star_per_s=300, size=96)
    liver = truth.liver_mask
    assert truth.pdff_percent[liver].mean() == pytest.approx(25, abs=0.5)
    assert truth.r2_star_per_s[liver] == pytest.approx(300, rel=1e-5)


def test_the_field_grows_with_the_field_strength_in_ppm():
    low = make_phantom("liver", snr=None, size=48, field_strength_t=1.5)[1]
    high = make_phantom("liver", snr=None, size=48, field_strength_t=3.0)[1]
    body = low.body_mask
    assert high.field_map_hz[body] == pytest.approx(2 * low.field_map_hz[body], rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("seed", range(4))
def test_the_field_is_as_in_a_shimmed_body_and_worse_under_the_lung(seed):
    def ppm(dome):
        study, truth = make_phantom("liver", snr=None, size=96, seed=seed, dome=dome)
        return np.abs(truth.field_map_hz[truth.body_mask]) / (42.577 * study.field_strength_t)

    belly, dome = ppm(False), ppm(True)
    assert np.percentile(belly, 90) < 1
    assert np.percentile(dome, 99) > 1
    assert np.percentile(dome, 90) > np.percentile(belly, 90)
    assert max(belly.max(), dome.max()) < 8


def test_forty_seeds_are_forty_livers():
    livers = [draw_liver_anatomy(np.random.default_rng([seed, 0])) for seed in range(40)]
    fractions = [liver.liver_fat_fraction for liver in livers]
    assert len(set(livers)) == 40
    assert min(fractions) < 0.02 and max(fractions) > 0.3
    assert all(25 <= liver.liver_r2_star_per_s <= 60 for liver in livers)


def test_a_drawn_anatomy_replays_exactly():
    anatomy = draw_liver_anatomy(np.random.default_rng(0))
    axis = np.linspace(-190, 190, 60)
    grid = (axis[:, None, None], axis[None, :, None], np.zeros((1, 1, 1)))
    first, again = (lay_out_liver(anatomy, 6.0).label_at(*grid) for _ in range(2))
    assert np.array_equal(first, again)


def test_slices_of_one_anatomy_differ_and_each_is_the_slice_of_the_stack():
    stack = make_phantom("liver", snr=None, size=48, n_slices=3)[1]
    middle = make_phantom("liver", snr=None, size=48, n_slices=1)[1]
    body = middle.body_mask[:, :, 0]
    assert np.array_equal(stack.body_mask[:, :, 1], body)
    assert stack.pdff_percent[:, :, 1][body] == pytest.approx(middle.pdff_percent[:, :, 0][body])
    assert not np.array_equal(stack.body_mask[:, :, 0], stack.body_mask[:, :, 2])


def test_body_voxels_give_signal_and_air_gives_none():
    study, truth = make_phantom("liver", snr=None, size=96, dome=True)
    strength = truth.water + truth.fat
    assert strength[truth.body_mask].min() > 0.2 * strength[truth.liver_mask].mean()
    corner = np.abs(study.signal[:, :5, :5]).max()
    assert corner == 0
    assert np.isnan(truth.pdff_percent[:5, :5]).all()


def test_regions_lie_in_pure_tissue():
    _, truth = make_phantom("liver", snr=None, seed=2)
    lobes = truth.rois["right_lobe"] | truth.rois["left_lobe"]
    assert truth.liver_mask[lobes].all()
    assert np.ptp(truth.pdff_percent[lobes]) < 5
    assert np.ptp(truth.r2_star_per_s[lobes]) < 1e-3
    assert truth.pdff_percent[truth.rois["subcutaneous_fat"]].min() > 88


def test_every_second_echo_of_a_bipolar_study_is_turned():
    plain = make_phantom("vials", snr=None, size=48)[0]
    study = make_phantom("vials", snr=None, size=48, bipolar_phase_rad=0.7)[0]
    assert study.is_bipolar and not plain.is_bipolar
    strong = np.abs(plain.signal).min(axis=0) > 100
    turn = np.angle(study.signal * plain.signal.conj())[:, strong]
    assert turn[0::2] == pytest.approx(0, abs=1e-4)
    assert turn[1::2] == pytest.approx(0.7, abs=1e-4)


def test_the_other_precession_is_the_conjugate():
    plain, other = (make_phantom("vials", snr=20, size=48, precession=sign)[0] for sign in (1, -1))
    assert np.array_equal(other.signal, plain.signal.conj())
    assert other.precession == -1


def test_an_oblique_stack_keeps_its_voxel_size_and_its_field_follows():
    straight, straight_truth = make_phantom("liver", snr=None, size=48)
    oblique, oblique_truth = make_phantom("liver", snr=None, size=48, oblique_deg=30)
    for study in (straight, oblique):
        assert np.linalg.norm(study.affine[:3, :3], axis=0) == pytest.approx([8, 8, 6])
    assert not np.allclose(straight.affine[:3, :3], oblique.affine[:3, :3])
    body = straight_truth.body_mask
    assert np.abs(straight_truth.field_map_hz - oblique_truth.field_map_hz)[body].max() > 5


def test_the_patients_right_is_where_the_affine_says():
    study, truth = make_phantom("liver", snr=None, seed=2, size=96)

    def centre_ras(mask):
        index = np.argwhere(mask).mean(axis=0)
        return (study.affine @ np.append(index, 1))[:3]

    liver, spleen = centre_ras(truth.liver_mask), centre_ras(truth.rois["spleen"])
    back = centre_ras(truth.rois["muscle"])
    assert liver[0] > 20 and spleen[0] < -20
    assert back[1] < liver[1]


def test_a_sphere_has_no_field_inside_and_a_dipole_outside():
    n, radius, chi = 64, 8.0, 9.0
    axis = np.arange(n) - n // 2
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    sphere = np.where(np.sqrt(x**2 + y**2 + z**2) <= radius, chi, 0.0)
    field = dipole_field_ppm(sphere, (1, 1, 1), np.array([0, 0, 1.0]))
    centre = n // 2
    assert field[centre, centre, centre] == pytest.approx(0, abs=0.03 * chi)
    # chi/3 · (a/r)³ · (3cos²θ - 1), the volume being that of the voxels.
    cubed = (sphere > 0).sum() * 3 / (4 * np.pi)
    for point, angular in (((0, 0, 16), 2.0), ((16, 0, 0), -1.0), ((0, 16, 0), -1.0)):
        at = tuple(centre + p for p in point)
        assert field[at] == pytest.approx(chi / 3 * cubed / 16**3 * angular, rel=0.08)


def test_the_dipole_turns_with_the_main_field():
    rng = np.random.default_rng(0)
    chi = rng.standard_normal((12, 12, 12))
    along_z = dipole_field_ppm(chi, (2, 2, 2), np.array([0, 0, 1.0]))
    along_x = dipole_field_ppm(chi.transpose(2, 1, 0), (2, 2, 2), np.array([1.0, 0, 0]))
    assert along_x.transpose(2, 1, 0) == pytest.approx(along_z, abs=1e-5)


@pytest.mark.parametrize(("axis", "expected"), [(0, 1 / 3), (1, 1 / 3), (2, -2 / 3)])
def test_the_field_steps_at_a_wall_as_its_direction_says(axis, expected):
    n = 32
    wall = np.broadcast_to(np.moveaxis(np.where(np.arange(n) < n // 2, 9.0, 0.0)[:, None, None], 0, axis), (n,) * 3)
    b0 = np.array([0, 0, 1.0])
    at = tuple(np.where(np.arange(3) == axis, n // 2, 5))
    assert surface_jump(wall, b0)[at] == pytest.approx(expected, abs=0.01)
    field = dipole_field_ppm(wall, (1, 1, 1), b0)
    inside, outside = (tuple(np.where(np.arange(3) == axis, place, 5)) for place in (n // 4, 3 * n // 4))
    assert field[inside] - field[outside] == pytest.approx(9 * expected, abs=0.01)


def test_tissue_keeps_its_field_to_its_last_voxel():
    study, truth = make_phantom("vials", snr=None)
    ppm = np.abs(truth.field_map_hz[truth.body_mask]) / (42.577 * study.field_strength_t)
    # A round bath across B0 has a uniform field inside; the vials add half a ppm.
    assert np.percentile(ppm, 99.5) < 1


def test_a_shim_takes_a_quadratic_field_away():
    rng = np.random.default_rng(0)
    at = tuple(rng.uniform(-1, 1, (3, 200)))
    field = shim_terms(at) @ rng.standard_normal(10)
    assert field - shim_terms(at) @ shim_coefficients(field, at) == pytest.approx(0, abs=1e-9)


def test_a_simulated_study_says_so():
    study, _ = make_phantom("vials", snr=10, size=32)
    assert study.is_simulated and study.case_id.startswith("simulated-")


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("brain", {}, "needs to be one of vials, liver; found 'brain'"),
        ("liver", {"snr": -1.0}, "SNR needs to be above 0; found -1"),
        ("liver", {"n_slices": 0}, "at least 1 slice of 16 x 16 voxels; found 0"),
        ("vials", {"background": "oil"}, "needs to be water or air; found 'oil'"),
        ("vials", {"precession": 0}, r"needs to be \+1 or -1; found 0"),
        ("vials", {"echo_times_s": [1e-3, 2e-3]}, "at least 3 echoes; this study has 2"),
        ("liver", {"pdff_percent": 140.0}, "between 0 and 100 %; found 140"),
        ("liver", {"r2_star_per_s": -5.0}, "R2\\* needs to be 0 or above; found -5"),
        ("liver", {"seed": -1}, "seed needs to be 0 or above; found -1"),
        ("liver", {"oblique_deg": float("nan")}, "oblique_deg needs to be a finite number; found nan"),
        ("vials", {"bipolar_phase_rad": float("inf")}, "bipolar_phase_rad needs to be a finite number; found inf"),
        ("vials", {"pdff_percent": 5.0}, "are for the liver phantom; found them for vials"),
        ("vials", {"dome": True}, "are for the liver phantom; found them for vials"),
    ],
)
def test_an_impossible_phantom_is_refused(kind, options, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        make_phantom(kind, **{"snr": 20, "size": 32, **options})
