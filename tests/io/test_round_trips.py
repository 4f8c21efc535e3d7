"""What is written reads back as it was: values at their places in the world, echo times, field."""

import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from make_studies import GEOMETRIES, at_same_places, make_study

from liver_models.io.export import write_bids, write_dicom, write_ismrm_mat
from liver_models.io.reading import read_study


def _enhanced(study, folder):
    write_dicom(study, folder, layout="enhanced")


def _dicom_real(study, folder):
    write_dicom(study, folder, parts="real_imaginary")


def _bids_real(study, folder):
    write_bids(study, folder, parts="real_imaginary")


def _mat(study, folder):
    write_ismrm_mat(study, folder / "study.mat")


WRITERS = {
    "dicom": (write_dicom, 2e-4),
    "dicom real and imaginary": (_dicom_real, 1e-4),
    "dicom enhanced": (_enhanced, 2e-4),
    "bids": (write_bids, 1e-6),
    "bids real and imaginary": (_bids_real, 1e-7),
    "mat": (_mat, 0.0),
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_written_study_reads_back_at_the_same_places(tmp_path, form, geometry):
    shape, affine = GEOMETRIES[geometry]
    study = make_study(shape, affine)
    write, tolerance = WRITERS[form]
    write(study, tmp_path)
    read = read_study(tmp_path)
    assert np.abs(at_same_places(read, study) - study.signal).max() <= tolerance * np.abs(study.signal).max()
    np.testing.assert_allclose(read.echo_times_s, study.echo_times_s, rtol=0, atol=1e-12)
    assert read.field_strength_t == pytest.approx(2.89)
    assert read.is_simulated
    assert not read.is_magnitude_only
    assert [len(source.sha256) for source in read.sources] == [64] * len(read.sources)


@pytest.mark.parametrize("form", ["dicom", "dicom enhanced", "bids", "mat"])
def test_a_study_of_magnitudes_stays_one(tmp_path, form):
    study = make_study()
    study = study.with_fields(signal=np.abs(study.signal).astype(np.complex64), is_magnitude_only=True)
    write, tolerance = WRITERS[form]
    write(study, tmp_path)
    read = read_study(tmp_path)
    assert read.is_magnitude_only
    assert not read.signal.imag.any()
    assert np.abs(at_same_places(read, study) - study.signal).max() <= tolerance * np.abs(study.signal).max() + 1e-4
    assert any("magnitudes only" in warning for warning in read.warnings)


@pytest.mark.parametrize("form", ["bids", "mat"])
@pytest.mark.parametrize(("precession", "is_bipolar"), [(1, True), (-1, False), (None, None)])
def test_precession_and_readout_are_kept_when_they_are_known(tmp_path, form, precession, is_bipolar):
    study = make_study(precession=precession, is_bipolar=is_bipolar)
    WRITERS[form][0](study, tmp_path)
    read = read_study(tmp_path)
    assert (read.precession, read.is_bipolar) == (precession, is_bipolar)


@pytest.mark.parametrize("form", ["bids", "mat", "bids real and imaginary"])
def test_a_pixel_that_is_not_finite_in_one_echo_is_masked_alone_and_counted(tmp_path, form):
    study = make_study()
    signal = study.signal.copy()
    signal[2, 1, 3, 0] = np.nan
    signal[4, 5, 5, 2] = np.inf
    broken = type(study).from_echoes(
        signal, study.echo_times_s, field_strength_t=2.89, affine=study.affine, is_simulated=True
    )
    WRITERS[form][0](broken, tmp_path)
    read = read_study(tmp_path)
    assert read.unusable_mask.sum() == 2
    assert read.unusable_mask[1, 3, 0] and read.unusable_mask[5, 5, 2]
    assert any(warning.startswith("2 pixels were not finite") for warning in read.warnings)
    usable = ~read.unusable_mask
    np.testing.assert_allclose(read.signal[:, usable], study.signal[:, usable], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("form", WRITERS)
def test_the_same_study_is_written_as_the_same_bytes_at_any_time(tmp_path, form, monkeypatch):
    for name, clock in (("first", 1e9), ("second", 1.5e9)):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        monkeypatch.setattr(time, "asctime", lambda *_, clock=clock: f"at {clock}")
        (tmp_path / name).mkdir()
        WRITERS[form][0](make_study(), tmp_path / name)
    first = {path.name: path.read_bytes() for path in (tmp_path / "first").rglob("*") if path.is_file()}
    second = {path.name: path.read_bytes() for path in (tmp_path / "second").rglob("*") if path.is_file()}
    assert first == second


@pytest.mark.parametrize("form", ["dicom", "bids", "mat"])
def test_paths_may_hold_spaces_and_other_scripts(tmp_path, form):
    folder = tmp_path / "Léber Übung 肝臓 (1)"
    folder.mkdir()
    study = make_study()
    WRITERS[form][0](study, folder)
    np.testing.assert_array_equal(read_study(folder).echo_times_s, study.echo_times_s)


def test_simulated_dicom_says_so_where_a_viewer_shows_it(tmp_path):
    import pydicom

    dataset = pydicom.dcmread(write_dicom(make_study(), tmp_path)[0])
    assert dataset.ImageComments == "SIMULATED"
    assert dataset.SeriesDescription.startswith("SIMULATED")
    assert dataset.SOPClassUID.name == "MR Image Storage"


def test_the_truth_of_a_phantom_is_written_beside_its_images_and_not_read_as_one(tmp_path):
    study = make_study()
    shape = study.signal.shape[1:]
    masks = {"vial_1": np.zeros(shape, bool), "vial_2": np.zeros(shape, bool)}
    masks["vial_1"][1], masks["vial_2"][3] = True, True
    truth = {"pdff_percent": np.full(shape, 7.5, np.float32), "rois": masks, "noise_std": 0.5}
    write_bids(study, tmp_path, truth)
    folder = tmp_path / "derivatives" / "truth"
    map_ = nib.load(folder / "pdff_percent.nii.gz")
    assert np.all(np.asarray(map_.dataobj) == 7.5)
    np.testing.assert_allclose(map_.affine, study.affine, atol=1e-5)
    read = read_study(tmp_path)
    assert read.signal.shape == study.signal.shape
    from liver_models.io.volumes import read_mask

    rois = read_mask(folder / "rois.nii.gz", read.signal.shape[1:], read.affine)
    assert list(rois) == ["vial_1", "vial_2"]
    np.testing.assert_array_equal(rois["vial_2"], masks["vial_2"])


def test_dicom_refuses_a_sheared_image(tmp_path):
    study = make_study()
    affine = study.affine.copy()
    affine[:3, 2] += 0.3 * affine[:3, 0]
    with pytest.raises(ValueError, match="right angles; this image is sheared"):
        write_dicom(study.with_fields(affine=affine), tmp_path)
    assert not list(Path(tmp_path).iterdir())
