"""Maps and masks: geometry kept, bytes fixed, regions checked."""

import errno
import gzip
import json
import os

import nibabel as nib
import numpy as np
import pytest
from make_studies import GEOMETRIES, affine_of, everything_under, make_study

from liver_models.errors import UnsuitableInputError
from liver_models.io import files
from liver_models.io.picture_file import PICTURE_AFFINE, open_picture
from liver_models.io.volumes import picture_bytes, read_mask, read_volume, write_volume


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_volume_keeps_its_values_and_geometry(tmp_path, geometry):
    shape, affine = GEOMETRIES[geometry]
    values = np.random.default_rng(1).normal(size=shape)
    values[0, 0, 0] = np.nan
    write_volume(tmp_path / "a.nii.gz", values, affine)
    read, read_affine = read_volume(tmp_path / "a.nii.gz")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype(np.float32))
    np.testing.assert_allclose(read_affine, affine, atol=1e-5)
    np.testing.assert_allclose(nib.load(tmp_path / "a.nii.gz").get_qform(), affine, atol=1e-4)


def test_a_mask_is_stored_as_bytes_and_the_same_volume_as_the_same_bytes(tmp_path):
    mask = np.random.default_rng(1).random((4, 5, 6)) > 0.5
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, mask, affine_of())
    assert read_volume(tmp_path / "a.nii.gz")[0].dtype == np.uint8
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("is_colour", [False, True])
def test_a_picture_as_it_looks_becomes_columns_by_rows_in_its_own_colours(tmp_path, is_colour):
    from PIL import Image

    grey = np.random.default_rng(1).integers(0, 256, (5, 8)).astype(np.uint8)
    rgb = np.stack([grey, grey, 255 - grey if is_colour else grey], axis=-1)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    content = picture_bytes(open_picture(tmp_path / "a.png").shown())
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    values = np.asarray(image.dataobj)
    assert values.shape == (8, 5, 1) and np.array_equal(image.affine, PICTURE_AFFINE)
    assert int(image.header["datatype"]) == (128 if is_colour else 2)
    for number, channel in enumerate("RGB"):
        assert np.array_equal((values[channel] if is_colour else values)[:, :, 0].T, rgb[..., number])
    assert content == picture_bytes(open_picture(tmp_path / "a.png").shown())


def test_a_full_disk_keeps_the_old_volume_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    write_volume(tmp_path / "a.nii.gz", np.ones((2, 2, 2)), np.eye(4))
    before = (tmp_path / "a.nii.gz").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UnsuitableInputError, match="free space .* 'a.nii.gz'; found: No space left on device"):
        write_volume(tmp_path / "a.nii.gz", np.zeros((2, 2, 2)), np.eye(4))
    assert (tmp_path / "a.nii.gz").read_bytes() == before
    assert everything_under(tmp_path) == ["a.nii.gz"]


@pytest.fixture
def labels():
    study = make_study()
    labels = np.zeros(study.signal.shape[1:], np.uint8)
    labels[1:3, 2:4, 1], labels[5:8, 1:6, 2:] = 2, 7
    return study, labels


def test_each_label_is_a_region(tmp_path, labels):
    study, array = labels
    write_volume(tmp_path / "roi.nii.gz", array, study.affine)
    rois = read_mask(tmp_path / "roi.nii.gz", study.signal.shape[1:], study.affine)
    assert list(rois) == ["roi_2", "roi_7"]
    np.testing.assert_array_equal(rois["roi_7"], array == 7)


@pytest.mark.parametrize("names", [{"liver": 2, "spleen": 7}, {"2": "liver", "7": "spleen"}])
def test_a_sidecar_names_the_regions(tmp_path, labels, names):
    study, array = labels
    write_volume(tmp_path / "roi.nii.gz", array, study.affine)
    (tmp_path / "roi.json").write_text(json.dumps(names))
    assert list(read_mask(tmp_path / "roi.nii.gz", study.signal.shape[1:], study.affine)) == ["liver", "spleen"]


@pytest.mark.parametrize("names", [{"liver": "x"}, {"1": "a", "2": "a"}, {"x": [1]}])
def test_a_sidecar_with_a_fault_is_refused(tmp_path, labels, names):
    study, array = labels
    write_volume(tmp_path / "roi.nii.gz", array, study.affine)
    (tmp_path / "roi.json").write_text(json.dumps(names))
    with pytest.raises(UnsuitableInputError, match="The names of labels need the form"):
        read_mask(tmp_path / "roi.nii.gz", study.signal.shape[1:], study.affine)


@pytest.mark.parametrize("axes", [[[2, 1], [0, -1], [1, 1]], [[0, -1], [1, -1], [2, 1]], [[1, 1], [2, -1], [0, -1]]])
def test_a_mask_stored_with_other_axes_covers_the_same_voxels(tmp_path, labels, axes):
    study, array = labels
    turned = nib.orientations.apply_orientation(array, np.array(axes))
    affine = study.affine @ nib.orientations.inv_ornt_aff(np.array(axes), array.shape)
    write_volume(tmp_path / "roi.nii.gz", turned, affine)
    np.testing.assert_array_equal(
        read_mask(tmp_path / "roi.nii.gz", study.signal.shape[1:], study.affine)["roi_7"], array == 7
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a, m: (a[1:], m), "matrix of the images, 9 x 7 x 4; 'roi.nii.gz' has 8 x 7 x 4"),
        (lambda a, m: (a, affine_of(origin_mm=(-81.5, 40.25, 13.0))), "lies up to 1 mm from them"),
        (lambda a, m: (a, affine_of(angles_deg=(26, -13, 37))), "lies up to .* mm from them"),
        (lambda a, m: (a * 0, m), "at least one voxel; 'roi.nii.gz' is empty. Draw a region of interest"),
        (lambda a, m: (a * 0.3, m), "whole numbers from 0; 'roi.nii.gz' holds others"),
        (lambda a, m: (-a.astype(np.int16), m), "whole numbers from 0"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path, labels, change, sentence):
    study, array = labels
    write_volume(tmp_path / "roi.nii.gz", *change(array, study.affine))
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_mask(tmp_path / "roi.nii.gz", study.signal.shape[1:], study.affine)


def test_a_series_of_volumes_is_no_mask(tmp_path, labels):
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.uint8), np.eye(4)), tmp_path / "roi.nii.gz")
    with pytest.raises(UnsuitableInputError, match=r"One volume .* has the shape \(2, 2, 2, 3\)"):
        read_mask(tmp_path / "roi.nii.gz", labels[0].signal.shape[1:], labels[0].affine)
