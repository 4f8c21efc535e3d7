"""Regions as 3D Slicer saves them: where ITK and pynrrd put a voxel is where we read it."""

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from make_studies import GEOMETRIES, affine_of

from liver_models.errors import UnsuitableInputError
from liver_models.io.regions import region_path
from liver_models.io.volumes import read_mask, read_volume, write_volume

SHAPE, AFFINE = GEOMETRIES["oblique"]


def block(shape=SHAPE) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 2:5, -1], labels[5:, :2, 0] = 1, 3
    return labels


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_region_that_itk_writes_as_nrrd_lies_where_its_nifti_does(tmp_path, geometry):
    shape, affine = GEOMETRIES[geometry]
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 2:5, -1] = 1
    write_volume(tmp_path / "a.nii.gz", labels, affine)
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")), str(tmp_path / "a.nrrd"), True)
    assert b"left-posterior-superior" in (tmp_path / "a.nrrd").read_bytes()[:600]
    read, read_affine = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(read, labels)
    np.testing.assert_allclose(read_affine, affine, atol=1e-4)
    mask = read_mask(tmp_path / "a.nrrd", shape, affine)
    np.testing.assert_array_equal(mask["roi_1"], labels == 1)


@pytest.mark.parametrize(("space", "signs"), [("LPS", (-1, -1, 1)), ("right-anterior-superior", (1, 1, 1))])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_each_space_and_encoding_is_read(tmp_path, space, signs, encoding):
    stated = np.diag([*signs, 1]) @ AFFINE
    header = {
        "space": space, "space directions": stated[:3, :3].T, "space origin": stated[:3, 3], "encoding": encoding,
    }  # fmt: skip
    nrrd.write(str(tmp_path / "a.nrrd"), block(), header)
    masks = read_mask(tmp_path / "a.nrrd", SHAPE, AFFINE)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"roi_1": 6, "roi_3": 8 * (SHAPE[0] - 5) // 4}


def test_axes_stored_in_another_order_are_turned_to_the_images(tmp_path):
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    turned = block().transpose(2, 0, 1)[::-1]
    directions = lps[:3, [2, 0, 1]].T * [[-1], [1], [1]]
    origin = lps[:3, 3] + (SHAPE[2] - 1) * lps[:3, 2]
    header = {"space": "LPS", "space directions": directions, "space origin": origin}
    nrrd.write(str(tmp_path / "a.nrrd"), turned, header)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.nrrd", SHAPE, AFFINE)["roi_3"], block() == 3)


def test_a_list_of_one_layer_is_a_volume_and_overlapping_layers_are_refused(tmp_path):
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    directions = np.vstack([[np.nan] * 3, lps[:3, :3].T])
    header = {"space": "LPS", "space directions": directions, "space origin": lps[:3, 3]}
    nrrd.write(str(tmp_path / "one.nrrd"), block()[None], header)
    np.testing.assert_array_equal(read_volume(tmp_path / "one.nrrd")[0], block())
    nrrd.write(str(tmp_path / "two.nrrd"), np.stack([block()] * 2), header)
    with pytest.raises(UnsuitableInputError, match=r"'two.nrrd' has the shape \(2, 9, 7, 4\), .* label volume"):
        read_volume(tmp_path / "two.nrrd")


def test_no_other_file_is_read_and_what_cannot_be_placed_is_refused(tmp_path):
    (tmp_path / "secret.raw").write_bytes(bytes(range(24)))
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 3 4\nencoding: raw\nspace: LPS\n"
    place = "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
    (tmp_path / "a.nrrd").write_text(f"{head}{place}data file: {tmp_path}/secret.raw\n\n")
    with pytest.raises(UnsuitableInputError, match="'a.nrrd' names another file"):
        read_volume(tmp_path / "a.nrrd")
    (tmp_path / "b.nrrd").write_bytes(f"{head}\n".encode() + bytes(24))
    with pytest.raises(UnsuitableInputError, match="'b.nrrd' lacks one of them. Save it as a label volume"):
        read_volume(tmp_path / "b.nrrd")
    (tmp_path / "c.nrrd").write_bytes(f"{head}{place}\n".encode() + bytes(23))
    with pytest.raises(UnsuitableInputError, match="'c.nrrd' is cut short, damaged or no NRRD"):
        read_volume(tmp_path / "c.nrrd")


def test_a_stored_region_is_found_whatever_its_kind_of_file(tmp_path):
    for name in ("one.nii.gz", "two.nrrd"):
        path = tmp_path / "labels" / "final" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        assert region_path(tmp_path, name.partition(".")[0]) == path


def test_a_region_of_another_place_is_refused_by_its_distance(tmp_path):
    lps = np.diag([-1, -1, 1, 1]) @ affine_of(origin_mm=(-80.5, 40.25, 12))
    nrrd.write(
        str(tmp_path / "a.nrrd"),
        block(),
        {"space": "LPS", "space directions": lps[:3, :3].T, "space origin": lps[:3, 3]},
    )
    with pytest.raises(UnsuitableInputError, match="'a.nrrd' lies up to 1 mm from them"):
        read_mask(tmp_path / "a.nrrd", SHAPE, AFFINE)
