"""Label volumes <-> segmentations, and what a saved scene keeps."""

import numpy as np
import pytest


@pytest.fixture
def lib(scene):
    from LiverLabelLib import mrml_io, segments

    return mrml_io, segments


@pytest.fixture
def image(lib, geometry):
    shape, affine = geometry
    return lib[0].volumeFromArray(np.zeros(shape, np.float32), affine, case="c", role="image", name="scan")


def someLabels(shape):
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 1:4, 0] = 1
    labels[3:, 2:, -1] = 4
    return labels


def refusal(call, *words):
    from LiverLabelLib.errors import UnsuitableInputError

    with pytest.raises(UnsuitableInputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_labels_come_back_voxel_on_voxel(lib, image):
    io, segments = lib
    labels = someLabels(io.shapeOf(image))
    names = {1: ("Liver", (1.0, 0.0, 0.0)), 4: "Segment VII"}
    node = segments.segmentationFromLabels(labels, io.affineOf(image), image, case="c", names=names)
    back, affine = segments.labelsFromSegmentation(node, image)
    np.testing.assert_array_equal(back, labels)
    np.testing.assert_allclose(affine, io.affineOf(image), atol=1e-12)
    found = [node.GetSegmentation().GetNthSegment(index) for index in range(2)]
    assert [segment.GetName() for segment in found] == ["Liver", "Segment VII"]
    assert found[0].GetColor() == (1.0, 0.0, 0.0)


def test_labels_come_back_under_a_transform(lib, image, scene):
    io, segments = lib
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    import slicer.util

    matrix = np.eye(4)
    matrix[:3, 3] = 5, -7, 3
    moved.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    image.SetAndObserveTransformNodeID(moved.GetID())
    labels = someLabels(io.shapeOf(image))
    node = segments.segmentationFromLabels(labels, io.affineOf(image), image, case="c")
    np.testing.assert_array_equal(segments.labelsFromSegmentation(node, image)[0], labels)


def test_a_new_proposal_replaces_the_segments_of_the_former(lib, image, scene):
    io, segments = lib
    labels = someLabels(io.shapeOf(image))
    first = segments.segmentationFromLabels(labels, io.affineOf(image), image, case="c")
    again = segments.segmentationFromLabels(labels == 1, None, image, case="c")
    assert first is again and scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    np.testing.assert_array_equal(segments.labelsFromSegmentation(again, image)[0], labels == 1)


def test_a_segment_that_the_reader_adds_takes_a_free_value(lib, image):
    io, segments = lib
    labels = someLabels(io.shapeOf(image))
    node = segments.segmentationFromLabels(labels, None, image, case="c")
    extra = node.GetSegmentation().AddEmptySegment("", "mine")
    mask = np.zeros(labels.shape, bool)
    mask[0, 0, 0] = True
    segments.replaceSegment(node, extra, mask, image)
    back, _ = segments.labelsFromSegmentation(node, image)
    np.testing.assert_array_equal(back, labels + 2 * mask)


def test_a_named_region_without_voxels_is_there_to_be_painted(lib, image):
    io, segments = lib
    node = segments.segmentationFromLabels(np.zeros(io.shapeOf(image)), None, image, case="c", names={1: "Liver"})
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "Liver"
    refusal(lambda: segments.labelsFromSegmentation(node, image), "nothing is outlined")


def test_overlapping_segments_are_refused_by_name(lib, image):
    io, segments = lib
    labels = someLabels(io.shapeOf(image))
    node = segments.segmentationFromLabels(labels, None, image, case="c", names={1: "Liver", 4: "Spleen"})
    segments.replaceSegment(node, "label_4", labels == 1, image)
    refusal(lambda: segments.labelsFromSegmentation(node, image), "6 voxels", "'Spleen'", "'Liver'")


def test_a_segment_of_another_image_is_refused(lib, image):
    io, segments = lib
    node = segments.segmentationFromLabels(someLabels(io.shapeOf(image)), None, image, case="c", names={1: "Liver"})
    far = io.affineOf(image)
    far[:3, 3] += 1000
    other = io.volumeFromArray(np.zeros(io.shapeOf(image)), far, case="d", role="image", name="other scan")
    refusal(lambda: segments.labelsFromSegmentation(node, other), "'Liver'", "'other scan'")


def test_labels_of_another_geometry_or_kind_are_refused(lib, image):
    io, segments = lib
    shape, affine = io.shapeOf(image), io.affineOf(image)
    wrong = np.zeros((shape[0] + 1, *shape[1:]))
    refusal(lambda: segments.segmentationFromLabels(wrong, affine, image, case="c"), "The label roi", "'scan'")
    for value in (0.5, -1, 256, np.nan):
        labels = np.full(shape, value)
        refusal(lambda v=labels: segments.segmentationFromLabels(v, affine, image, case="c"), "from 0 to 255")


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_a_saved_scene_keeps_cases_maps_and_labels(lib, image, scene, application, tmp_path, ending):
    from LiverLabelLib import case_nodes

    io, segments = lib
    affine, shape = io.affineOf(image), io.shapeOf(image)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values[0, 0, 0] = np.nan
    io.volumeFromArray(values, affine, case="c", role="pdff_percent", unit="%")
    labels = someLabels(shape)
    segments.segmentationFromLabels(labels, affine, image, case="c", names={1: "Liver"})
    if ending == "mrb":
        path = tmp_path / "scene.mrb"
        assert scene.WriteToMRB(str(path))
        scene.Clear(False)
        assert scene.ReadFromMRB(str(path), True)
    else:
        (tmp_path / "scene").mkdir()
        logic = application.app.applicationLogic()
        assert logic.SaveSceneToSlicerDataBundleDirectory(str(tmp_path / "scene"), None)
        scene.Clear(False)
        scene.SetURL(str(next((tmp_path / "scene").rglob("*.mrml"))))
        assert scene.Connect()
    back = case_nodes.findNode("vtkMRMLScalarVolumeNode", "c", "pdff_percent")
    read, where = io.arrayFromVolume(back)
    # Slicer turns a left-handed volume when it reads it; each value still lies where it lay.
    np.testing.assert_array_equal(io.turnedLike(values, affine, back, "m"), read)
    np.testing.assert_allclose(np.linalg.norm(where[:3, :3], axis=0), np.linalg.norm(affine[:3, :3], axis=0), atol=1e-5)
    assert back.GetAttribute(io.UNIT_ATTRIBUTE) == "%"
    node = case_nodes.findNode("vtkMRMLSegmentationNode", "c", "roi")
    reference = case_nodes.findNode("vtkMRMLScalarVolumeNode", "c", "image")
    stored, place = segments.labelsFromSegmentation(node, reference)
    np.testing.assert_array_equal(stored, io.turnedLike(labels, affine, reference, "l"))
    again = segments.segmentationFromLabels(labels, affine, reference, case="c")
    np.testing.assert_array_equal(segments.labelsFromSegmentation(again, reference)[0], stored)


def test_reading_the_labels_leaves_nothing_behind(lib, image, scene):
    import slicer
    import vtk

    io, segments = lib
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    node = segments.segmentationFromLabels(someLabels(io.shapeOf(image)), io.affineOf(image), image, case="c")

    def counts():
        items = vtk.vtkIdList()
        hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
        return scene.GetNumberOfNodes(), items.GetNumberOfIds()

    before = counts()
    for _ in range(3):
        segments.labelsFromSegmentation(node, image)
    assert counts() == before
