"""The field's .mat layouts."""

import numpy as np
import pytest
import scipy.io
from make_studies import make_study

from liver_models.errors import UnsuitableInputError
from liver_models.io.coils import combine_coils
from liver_models.io.export import write_ismrm_mat
from liver_models.io.reading import read_study


def _save(path, **fields):
    study = make_study(shape=(6, 5, 2))
    struct = {
        "images": np.moveaxis(study.signal, 0, -1)[:, :, :, None, :],
        "TE": study.echo_times_s,
        "FieldStrength": 1.5,
        "PrecessionIsClockwise": 1,
        **fields,
    }
    scipy.io.savemat(path, {"imDataParams": {key: value for key, value in struct.items() if value is not None}})
    return study


def _refused(path, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_study(path)


@pytest.mark.parametrize(("declared", "precession"), [(1, 1), (-1, -1), (0, -1), (None, None)])
def test_precession_is_as_declared(tmp_path, declared, precession):
    study = _save(tmp_path / "a.mat", PrecessionIsClockwise=declared)
    read = read_study(tmp_path / "a.mat")
    assert read.precession == precession
    assert read.is_bipolar is None
    np.testing.assert_array_equal(read.signal, study.signal)


def test_the_voxel_size_is_used_or_said_to_be_assumed(tmp_path):
    _save(tmp_path / "a.mat", voxelSize=[1.5, 2.0, 8.0])
    read = read_study(tmp_path / "a.mat")
    np.testing.assert_array_equal(np.diag(read.affine), [1.5, 2, 8, 1])
    assert not any("1 mm" in warning for warning in read.warnings)
    _save(tmp_path / "a.mat")
    assert any("1 mm was assumed" in warning for warning in read_study(tmp_path / "a.mat").warnings)


def test_an_orientation_that_is_not_stated_is_not_claimed(tmp_path):
    _save(tmp_path / "a.mat", voxelSize=[1.5, 2.0, 8.0])
    assert not read_study(tmp_path / "a.mat").is_orientation_known
    write_ismrm_mat(make_study(), tmp_path / "b.mat")
    assert read_study(tmp_path / "b.mat").is_orientation_known


def test_an_affine_of_nan_is_refused(tmp_path):
    _save(tmp_path / "a.mat", affineRAS=np.full((4, 4), np.nan))
    _refused(tmp_path / "a.mat", "needs an invertible 4 x 4 affine")


def test_arrays_named_data_te_and_tesla_are_read(tmp_path):
    study = make_study(shape=(6, 5, 1))
    data = {"data": np.moveaxis(study.signal[..., 0], 0, -1), "te": study.echo_times_s[None], "Tesla": 0.35}
    scipy.io.savemat(tmp_path / "a.mat", data)
    read = read_study(tmp_path / "a.mat")
    np.testing.assert_array_equal(read.signal, study.signal)
    assert (read.field_strength_t, read.precession) == (0.35, None)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"TE": None}, "lacks te. Save it in one of these layouts"),
        ({"TE": [0.001, 0.002]}, r"have the shape \(6, 5, 2, 1, 6\), and there are 2 echo times"),
        ({"TE": "abc"}, "Echo times need to be a list of seconds"),
        ({"TE": np.arange(1, 7) * 1.2}, "They look like milliseconds"),
        ({"FieldStrength": [1, 2]}, "FieldStrength needs to be one number"),
        ({"FieldStrength": 63.9}, "between 0.05 and 15 tesla; found 63.9"),
        ({"images": "none"}, "Images need to be numbers"),
        ({"voxelSize": [1, 2]}, "voxelSize needs three lengths"),
        ({"images": np.ones((6, 5, 2, 3, 6))}, "are magnitudes of 3 coils"),
    ],
)
def test_a_file_with_a_fault_is_refused(tmp_path, fields, sentence):
    _save(tmp_path / "a.mat", **fields)
    _refused(tmp_path / "a.mat", sentence)


def test_another_layout_is_refused_with_what_it_holds(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"something": 1, "else_": 2})
    _refused(tmp_path / "a.mat", "holds else_, something and lacks fieldstrength, images, te")


def test_a_file_cut_short_anywhere_is_named(tmp_path):
    path = tmp_path / "a.mat"
    write_ismrm_mat(make_study(shape=(4, 3, 1), echo_times_s=(0.001, 0.002, 0.003)), path)
    data = path.read_bytes()
    for cut in range(0, len(data), 5):
        path.write_bytes(data[:cut])
        _refused(path, "'a.mat' is cut short, damaged or no MATLAB file|'a.mat' holds nothing")


def test_version_7_3_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.mat").write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    try:
        import h5py  # noqa: F401

        sentence = "is cut short, damaged or no MATLAB file"
    except ImportError:
        sentence = "is version 7.3 .HDF5., and h5py is not installed. Save it with save"
    _refused(tmp_path / "a.mat", sentence)


def _coil_images(n_coils=6, noise=0.0, seed=2):
    """Smooth sensitivities with smooth phases over one object; echoes differ in phase and size."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 36), indexing="ij")
    truth = np.stack([np.exp(1j * (0.9 * t + 2 * t * x)) * np.exp(-0.1 * t) * (2 + y) for t in range(4)])[..., None]
    angles = 2 * np.pi * np.arange(n_coils) / n_coils
    coils = [np.exp(-(((x - np.cos(a)) ** 2 + (y - np.sin(a)) ** 2) / 2) + 1j * (a + x * np.sin(a))) for a in angles]
    images = truth[:, None] * np.stack(coils)[None, ..., None]
    noise = noise * (rng.normal(size=images.shape) + 1j * rng.normal(size=images.shape))
    return truth, np.stack(coils)[..., None], images + noise


def test_combined_coils_keep_the_phase_from_echo_to_echo():
    truth, coils, images = _coil_images()
    combined = combine_coils(images)
    np.testing.assert_allclose(combined[1:] / combined[:1], truth[1:] / truth[:1], rtol=1e-4)
    np.testing.assert_allclose(np.abs(combined), np.abs(truth) * np.sqrt((np.abs(coils) ** 2).sum(axis=0)), rtol=0.02)


def test_combined_coils_are_nearly_as_quiet_as_the_matched_filter():
    clean = combine_coils(_coil_images()[2])
    truth, coils, images = _coil_images(noise=0.05)
    length = np.sqrt((np.abs(coils) ** 2).sum(axis=0))
    best = (coils.conj()[None] * images).sum(axis=1) / length
    optimum = np.std(best - truth * length)
    combined = combine_coils(images)
    residual = np.abs(combined[1:] / combined[:1]) - np.abs(clean[1:] / clean[:1])
    residual_best = np.abs(best[1:] / best[:1]) - np.abs(truth[1:] / truth[:1])
    assert optimum == pytest.approx(0.05 * np.sqrt(2), rel=0.05)
    assert np.std(residual) < 1.03 * np.std(residual_best)


def test_a_file_of_several_coils_is_combined_and_says_so(tmp_path):
    truth, _, images = _coil_images()
    _save(tmp_path / "a.mat", images=np.moveaxis(images, (0, 1), (4, 3)), TE=[0.001, 0.002, 0.003, 0.004])
    read = read_study(tmp_path / "a.mat")
    assert read.signal.shape == truth.shape
    assert any("6 coils were combined" in warning for warning in read.warnings)


def test_a_pixel_that_is_not_finite_in_one_coil_does_not_spread():
    _, _, images = _coil_images()
    images[1, 2, 5, 6, 0] = np.nan
    combined = combine_coils(images)
    assert np.argwhere(~np.isfinite(combined)).tolist() == [[1, 5, 6, 0]]
