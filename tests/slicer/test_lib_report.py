"""Pictures of slices the right way round, and files that are whole or not there."""

import io

import numpy as np
import pytest
from LiverLabelLib.errors import UnsuitableInputError
from LiverLabelLib.report import write_whole
from LiverLabelLib.slice_picture import MISSING, OUTLINE, coloured, middle_slice, slice_axis, slice_picture
from PIL import Image

GREY = ((0, 0, 0), (255, 255, 255))


def turned(first, second, third, spacing=(1.0, 1.0, 5.0)):
    """An affine whose array axes run along the named directions, a little oblique."""
    ways = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    affine = np.eye(4)
    for axis, way in enumerate((first, second, third)):
        affine[:3, axis] = 0
        affine[ways[way], axis] = spacing[axis] * (1 if way in "RAS" else -1)
    angle = 0.2
    oblique = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = oblique @ affine[:3, :3]
    return affine


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAI", "ARS", "PLS", "SAR", "SRA", "IRP"])
def test_the_patients_right_is_on_the_left_and_front_or_head_is_up(axes):
    """A voxel marked at the right front head end appears at the top left, whatever the array's axes."""
    shape = (8, 6, 3)
    affine = turned(*axes)
    values = np.zeros(shape)
    # In each axis the index that lies furthest to the right, front or head.
    corner = tuple(n - 1 if way in "RAS" else 0 for way, n in zip(axes, shape, strict=True))
    values[corner] = 1
    picture = slice_picture(values, affine, corner[2], (0, 1), GREY, longest_px=80)
    drawn = pixels(picture)[:, :, 0]
    row, column = np.argwhere(drawn > 200).mean(axis=0)
    letters = {2: ("R", "L", "A", "P"), 1: ("R", "L", "S", "I"), 0: ("A", "P", "S", "I")}
    across = "RLAPSI".index(axes[2]) // 2
    assert picture.edges == letters[across]
    assert row < drawn.shape[0] / 2 and column < drawn.shape[1] / 2


def test_pixels_are_square_and_the_longest_side_is_kept():
    picture = slice_picture(
        np.zeros((10, 20, 3)), turned(*"RAS", spacing=(2.0, 0.5, 4)), 1, (0, 1), GREY, longest_px=200
    )
    assert picture.size == (200, 100) and pixels(picture).shape == (100, 200, 3)


def test_the_slices_run_along_the_longest_voxel_side():
    assert slice_axis(np.diag([5.0, 1, 1, 1])) == 0 and slice_axis(np.eye(4)) == 2
    mask = np.zeros((4, 5, 9), bool)
    mask[:, :, 5:8] = True
    assert middle_slice(mask, 2) == 6 and middle_slice(mask & False, 2) == 4


def test_missing_voxels_and_the_outline_have_colours_of_their_own():
    values, mask = np.full((20, 20, 1), 25.0), np.zeros((20, 20, 1), bool)
    values[0, 0], mask[5:15, 5:15] = np.nan, True
    drawn = pixels(slice_picture(values, turned(*"LPS"), 0, (0, 50), GREY, mask, longest_px=200))
    assert tuple(drawn[0, 0]) == MISSING and tuple(drawn[51, 100]) == OUTLINE
    assert tuple(drawn[100, 100]) == (128, 128, 128) == tuple(drawn[20, 100])


def test_beyond_the_window_the_ends_are_taken():
    assert coloured(np.array([[-10, 0, 100]]), (0, 50), GREY)[0, :, 0].tolist() == [0, 0, 255]


def test_a_file_that_cannot_be_written_leaves_the_former_one(tmp_path):
    path = tmp_path / "report.html"
    write_whole(path, "é")
    assert path.read_text("utf-8") == "é"
    with pytest.raises(UnsuitableInputError, match="cannot be written"):
        write_whole(tmp_path / "missing" / "report.html", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnsuitableInputError, match="'folder' cannot be written"):
        write_whole(tmp_path / "folder", "x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "report.html"]
