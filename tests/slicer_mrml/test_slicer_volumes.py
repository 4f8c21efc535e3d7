"""Volumes of the server in the real scene: exact place, one node a map, refusals."""

import numpy as np
import pytest


@pytest.fixture
def io(scene):
    from LiverLabelLib import mrml_io

    return mrml_io


def numbered(shape, dtype=np.float32):
    """A volume in which every voxel differs."""
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def refusal(call, *words):
    from LiverLabelLib.errors import UnsuitableInputError

    with pytest.raises(UnsuitableInputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_a_volume_comes_back_in_its_place(io, geometry):
    shape, affine = geometry
    values = numbered(shape)
    values[1, 2, 0] = np.nan
    node = io.volumeFromArray(values, affine, case="c", role="pdff_percent", unit="%")
    back, where = io.arrayFromVolume(node)
    np.testing.assert_array_equal(back, values)
    np.testing.assert_allclose(where, affine, atol=1e-12)
    assert back.dtype == np.float32 and node.GetAttribute("LiverLabel.unit") == "%"


def test_slicer_shows_each_voxel_where_the_affine_says(io, geometry):
    import slicer.util
    import vtk

    shape, affine = geometry
    node = io.volumeFromArray(numbered(shape), affine, case="c", role="m")
    toIndex = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(toIndex)
    index = (shape[0] - 1, 1, shape[2] - 1)
    ijk = toIndex.MultiplyPoint(affine @ [*index, 1])[:3]
    np.testing.assert_allclose(ijk, index, atol=1e-9)
    assert node.GetImageData().GetScalarComponentAsDouble(*index, 0) == numbered(shape)[index]
    assert slicer.util.arrayFromVolume(node).shape == shape[::-1]


def test_a_result_that_comes_again_takes_the_place_of_the_former(io, scene):
    first = io.volumeFromArray(numbered((4, 3, 2)), np.eye(4), case="c", role="pdff_percent")
    again = io.volumeFromArray(numbered((5, 3, 2)), np.diag([2, 1, 1, 1]), case="c", role="pdff_percent")
    other = io.volumeFromArray(numbered((4, 3, 2)), np.eye(4), case="d", role="pdff_percent")
    assert first is again and other is not again
    assert io.shapeOf(again) == (5, 3, 2) and io.affineOf(again)[0, 0] == 2
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2


def test_a_renamed_node_keeps_its_name_and_its_place(io):
    node = io.volumeFromArray(numbered((4, 3, 2)), np.eye(4), case="c", role="water")
    node.SetName("my water")
    assert io.volumeFromArray(numbered((4, 3, 2)), np.eye(4), case="c", role="water").GetName() == "my water"


def test_the_nodes_of_a_case_lie_in_one_folder_and_go_together(io, scene):
    import slicer
    from LiverLabelLib import case_nodes

    before = scene.GetNumberOfNodes()
    for role in ("pdff_percent", "r2_star_per_s"):
        io.volumeFromArray(numbered((4, 3, 2)), np.eye(4), case="c", role=role)
    kept = io.volumeFromArray(numbered((4, 3, 2)), np.eye(4), case="d", role="pdff_percent")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    items = [hierarchy.GetItemByDataNode(node) for node in case_nodes.nodesOf("c")]
    assert len(items) == 2 and {hierarchy.GetItemName(hierarchy.GetItemParent(item)) for item in items} == {"c"}
    case_nodes.removeCase("c")
    assert case_nodes.nodesOf("c") == [] and case_nodes.nodesOf("d") == [kept]
    case_nodes.removeCase("d")
    assert scene.GetNumberOfNodes() <= before + 1  # the hierarchy itself stays
    assert hierarchy.GetItemChildWithName(hierarchy.GetSceneItemID(), "c") == hierarchy.GetInvalidItemID()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int32, np.float16, np.float64, ">f4"])
def test_every_type_of_a_reply_can_be_shown(io, dtype):
    values = (numbered((4, 3, 2)) % 2).astype(dtype)
    back, _ = io.arrayFromVolume(io.volumeFromArray(values, np.eye(4), case="c", role="valid_mask"))
    np.testing.assert_array_equal(back, values.astype(float))


def test_the_values_shown_do_not_change_with_the_array_they_came_from(io):
    values = numbered((4, 3, 2))
    node = io.volumeFromArray(values, np.eye(4), case="c", role="m")
    values[:] = -1
    assert io.arrayFromVolume(node)[0].min() == 0


def test_a_reply_without_a_usable_matrix_is_refused(io):
    for affine in (np.diag([0, 1, 1, 1]), np.full((4, 4), np.nan), np.eye(3)):
        refusal(lambda a=affine: io.volumeFromArray(numbered((4, 3, 2)), a, case="c", role="fat"), "fat needs a matrix")


def test_a_reply_that_is_no_volume_is_refused(io):
    for values in (np.zeros((2, 2, 2, 2)), np.zeros((2, 0, 2)), np.zeros((2, 2, 2), complex), np.float32(3)):
        refusal(lambda v=values: io.volumeFromArray(v, np.eye(4), case="c", role="fat"), "fat needs a volume", "found")


def test_a_map_of_another_geometry_is_refused_with_what_was_found(io):
    image = io.volumeFromArray(numbered((6, 5, 4)), np.eye(4), case="c", role="image", name="scan")
    refusal(
        lambda: io.checkSameGeometry((6, 5, 3), np.eye(4), image, "The map pdff"), "6 x 5 x 4", "'scan'", "6 x 5 x 3"
    )
    moved = np.eye(4)
    moved[2, 3] = 0.5
    refusal(lambda: io.checkSameGeometry((6, 5, 4), moved, image, "The map pdff"), "0.5 mm away")
    turned = np.diag([-1.0, 1, 1, 1])
    refusal(lambda: io.checkSameGeometry((6, 5, 4), turned, image, "The map pdff"), "mm away")
    refusal(lambda: io.checkSameGeometry((6, 5, 4), moved * np.nan, image, "The map pdff"), "mm away")
    io.checkSameGeometry((6, 5, 4), np.eye(4, dtype=np.float32) * 1.00001, image, "The map pdff")


def test_an_empty_and_a_colour_volume_are_refused(io, scene):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    refusal(lambda: io.arrayFromVolume(empty), "'nothing' holds no voxels")
    refusal(lambda: io.arrayFromVolume(None), "none is chosen")
    colour = io.pictureFromPixels(np.zeros((4, 6, 3), np.uint8), (1, 1), case="c", name="photo")
    refusal(lambda: io.arrayFromVolume(colour), "'photo' has 3")


def test_a_picture_lies_as_slicer_reads_pictures_in_its_pixel_size(io):
    pixels = numbered((4, 6), np.uint8)
    node = io.pictureFromPixels(pixels, (0.2, 0.3), case="c")
    values, affine = io.arrayFromVolume(node)
    assert values.shape == (6, 4, 1) and values[5, 2, 0] == pixels[2, 5]
    np.testing.assert_allclose(affine, np.diag([-0.2, -0.3, 1, 1]))
    np.testing.assert_array_equal(io.pictureAffine((1, 1)), io.PICTURE_AFFINE)
    assert node.GetAttribute("LiverLabel.isCalibrated") == "true"


def test_a_colour_picture_keeps_its_colours(io):
    import slicer.util

    pixels = numbered((4, 6, 3), np.uint8)
    node = io.pictureFromPixels(pixels, (0.2, 0.3), case="c", role="swe", isCalibrated=False)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node)[0], pixels)
    assert node.GetAttribute("LiverLabel.isCalibrated") == "false"


def test_a_picture_without_pixel_size_is_refused(io):
    refusal(lambda: io.pictureFromPixels(np.zeros((4, 6)), None, case="c"), "size of its pixels", "the file has none")
    for spacing in ((0, 1), (1, np.nan), (-1, 1), (1, 1, 1)):
        refusal(lambda s=spacing: io.pictureFromPixels(np.zeros((4, 6)), s, case="c"), "above 0 mm", "found")


def test_a_map_of_a_picture_takes_the_pictures_pixel_size(io):
    image = io.pictureFromPixels(np.zeros((4, 6), np.uint8), (0.2, 0.3), case="c")
    node = io.pictureOnImage(numbered((6, 4, 1)), image, role="grad_cam", case="c")
    np.testing.assert_allclose(io.affineOf(node), io.affineOf(image))
    refusal(lambda: io.pictureOnImage(numbered((4, 6, 1)), image, role="grad_cam", case="c"), "6 x 4 x 1", "4 x 6 x 1")


def test_a_cine_shows_each_frame_at_its_time(io):
    import slicer.util

    frames = [np.full((4, 6), 10 * number, np.uint8) for number in range(5)]
    sequence, browser, shown = io.cineFromFrames(frames, (0.2, 0.3), [0, 0.04, 0.09, 0.12, 0.2], case="c")
    assert sequence.GetNumberOfDataNodes() == 5 and sequence.GetIndexUnit() == "s"
    assert float(sequence.GetNthIndexValue(2)) == pytest.approx(0.09)
    for number in (3, 0, 4):
        browser.SetSelectedItemNumber(number)
        assert set(slicer.util.arrayFromVolume(browser.GetProxyNode(sequence)).ravel()) == {10 * number}
    assert browser.GetProxyNode(sequence) is shown
    np.testing.assert_allclose(io.affineOf(shown), np.diag([-0.2, -0.3, 1, 1]))
    io.checkSequence(sequence)
    again, _, _ = io.cineFromFrames(frames[:2], (0.2, 0.3), None, case="c")
    assert again is sequence and again.GetNumberOfDataNodes() == 2


def test_a_cine_of_mixed_sizes_is_refused(io, scene):
    mixed = [np.zeros((4, 6)), np.zeros((4, 6)), np.zeros((8, 6))]
    refusal(
        lambda: io.cineFromFrames(mixed, (1, 1), None, case="c", name="clip"), "'clip'", "4 x 6", "frame 3", "8 x 6"
    )
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 0
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "loaded")
    refusal(lambda: io.checkSequence(sequence), "'loaded' has none")
    for number, shape in enumerate([(6, 4, 1), (6, 5, 1)]):
        node = io.volumeFromArray(numbered(shape), np.eye(4), case="x", role=f"f{number}")
        sequence.SetDataNodeAtValue(node, str(number))
    refusal(lambda: io.checkSequence(sequence), "'loaded'", "frame 2", "5 x 6")


def test_a_cine_needs_rising_times(io):
    frames = [np.zeros((4, 6))] * 3
    for times in ([0, 1], [0, 2, 1], [0, 1, np.nan]):
        refusal(lambda t=times: io.cineFromFrames(frames, (1, 1), t, case="c"), "one rising time", "3 frames")
