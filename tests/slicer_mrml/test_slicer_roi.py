"""Curves, clicks and boxes in the real scene, drawn by code and by the mouse."""

import numpy as np
import pytest


@pytest.fixture
def lib(scene):
    from LiverLabelLib import mrml_io, roi

    return mrml_io, roi


@pytest.fixture
def image(lib, geometry):
    shape, affine = geometry
    return lib[0].volumeFromArray(np.zeros(shape, np.float32), affine, case="c", role="image", name="scan")


def refusal(call, *words):
    from LiverLabelLib.errors import UnsuitableInputError

    with pytest.raises(UnsuitableInputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def ellipse(centre, radii, n=24, slab=0.0):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.c_[centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle), np.full(n, slab)]


@pytest.mark.parametrize("radii", [(30.3, 30.3), (41.7, 17.2)])
def test_a_curves_mask_has_its_area_within_1_percent(lib, radii):
    from conftest import oblique

    io, roi = lib
    image = io.volumeFromArray(np.zeros((100, 90, 3)), oblique((0.8, 1.3, 7)), case="c", role="image")
    curve = roi.curveFor("c")
    roi.setPoints(curve, ellipse((48.4, 44.7), radii, slab=1), image)
    mask = roi.maskFromCurveNode(curve, image)
    assert mask[:, :, [0, 2]].sum() == 0
    assert mask.sum() == pytest.approx(np.pi * radii[0] * radii[1], rel=0.01)
    centre = np.argwhere(mask).mean(axis=0)
    np.testing.assert_allclose(centre, (48.4, 44.7, 1), atol=0.1)


def test_a_curve_outside_or_across_slices_is_refused(lib):
    io, roi = lib
    image = io.volumeFromArray(np.zeros((40, 40, 12)), np.eye(4), case="c", role="image", name="scan")
    curve = roi.curveFor("c", name="mine")
    roi.setPoints(curve, [[1, 1, 0], [5, 5, 0]], image)
    refusal(lambda: roi.maskFromCurveNode(curve, image), "at least 3 points", "'mine' has 2")
    tilted = ellipse((20, 20), (9, 9), slab=5)
    tilted[:, 2] += np.linspace(-3, 3, len(tilted))
    roi.setPoints(curve, tilted, image)
    refusal(lambda: roi.maskFromCurveNode(curve, image), "one slice", "'mine' on 'scan'", "leaves it by 3")
    roi.setPoints(curve, ellipse((20, 20), (9, 9), slab=30), image)
    refusal(lambda: roi.maskFromCurveNode(curve, image), "slice 30 of 12", "'mine' on 'scan'")
    roi.setPoints(curve, ellipse((20.5, 20.5), (0.2, 0.2), slab=3), image)
    refusal(lambda: roi.maskFromCurveNode(curve, image), "at least half a pixel", "'mine' on 'scan'")


def test_clicks_are_the_voxels_they_were_set_on(lib, image):
    io, roi = lib
    shape = io.shapeOf(image)
    voxels = [[0, 0, 0], [shape[0] - 1, shape[1] - 1, shape[2] - 1], [2, 1, 0]]
    clicks = roi.clicksFor("c")
    roi.setPoints(clicks, voxels, image)
    assert roi.clickedVoxels(clicks, image) == voxels
    assert roi.clickedVoxels(roi.clicksFor("c", roi.BACKGROUND), image) == []
    roi.setPoints(clicks, [[-1, 0, 0]], image)
    refusal(lambda: roi.clickedVoxels(clicks, image), "'scan'", "does not")


def test_clicks_follow_an_image_that_was_moved(lib, image, scene):
    import slicer.util

    io, roi = lib
    turn = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (10, 20, 30)
    turn.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    image.SetAndObserveTransformNodeID(turn.GetID())
    clicks = roi.clicksFor("c")
    roi.setPoints(clicks, [[2, 1, 0]], image)
    assert roi.clickedVoxels(clicks, image) == [[2, 1, 0]]
    world = matrix @ io.affineOf(image) @ [2, 1, 0, 1]
    np.testing.assert_allclose(clicks.GetNthControlPointPositionWorld(0), world[:3], atol=1e-9)


def test_an_image_that_was_bent_is_refused(lib, image, scene):
    import vtk

    _, roi = lib
    spline = vtk.vtkThinPlateSplineTransform()
    points = [vtk.vtkPoints() for _ in range(2)]
    for corner in ((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 9)):
        points[0].InsertNextPoint(corner)
        points[1].InsertNextPoint([value + (value > 0) * value / 7 * corner[0] for value in corner])
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    bend = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bend")
    bend.SetAndObserveTransformToParent(spline)
    image.SetAndObserveTransformNodeID(bend.GetID())
    refusal(lambda: roi.toWorld([[0, 0, 0]], image), "'scan'", "'bend'")


def test_a_box_holds_the_voxels_it_was_set_on(lib, image):
    import slicer.util

    io, roi = lib
    shape = io.shapeOf(image)
    box = roi.boxFor("c")
    last = [shape[0] - 2, shape[1] - 1, shape[2] - 1]
    roi.setBox(box, last, (1, 2, 0), image)
    assert roi.boxedVoxels(box, image) == ([1, 2, 0], last)
    place = slicer.util.arrayFromVTKMatrix(box.GetObjectToWorldMatrix())
    assert np.linalg.det(place[:3, :3]) == pytest.approx(1), "a box that is mirrored cannot be turned with its handles"
    box.SetCenterWorld(1e4, 0, 0)
    refusal(lambda: roi.boxedVoxels(box, image), "'SWE box'", "'scan'")


def test_undo_goes_back_and_forth_and_survives_a_removed_node(lib, image, scene):
    _, roi = lib
    curve, clicks = roi.curveFor("c"), roi.clicksFor("c")
    stack = roi.UndoStack([curve, clicks])
    steps = [np.zeros((0, 3)), np.array([[1.0, 2, 3]]), np.array([[4.0, 5, 6], [7, 8, 9]])]
    import slicer.util

    for points in steps[1:]:
        stack.remember()
        slicer.util.updateMarkupsControlPointsFromArray(curve, points)
    for points in steps[-2::-1]:
        assert stack.undo()
        np.testing.assert_array_equal(slicer.util.arrayFromMarkupsControlPoints(curve).reshape(-1, 3), points)
    assert not stack.undo() and stack.redo() and curve.GetNumberOfControlPoints() == 1
    scene.RemoveNode(clicks)
    assert stack.redo() and curve.GetNumberOfControlPoints() == 2 and not stack.redo()


def test_observers_are_gone_after_removal_and_bear_a_closed_scene(lib, scene):
    _, roi = lib
    curve, calls = roi.curveFor("c"), []
    with roi.Observers() as observers:
        observers.add(curve, "ModifiedEvent", lambda caller, event: calls.append(event))
        observers.add(scene, scene.EndCloseEvent, lambda caller, event: calls.append("closed"))
        curve.Modified()
        assert calls == ["ModifiedEvent"]
        scene.Clear(False)
        n = len(calls)
        assert "closed" in calls
    curve.Modified()
    scene.Clear(False)
    assert len(calls) == n


def clickOn(view, roi, image, node, voxels):
    """Place points as a user does: the crosshair of placing is chosen, then the mouse clicks."""
    import slicer

    scene = slicer.mrmlScene
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
    selection.SetActivePlaceNodeID(node.GetID())
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(1)
    interaction.SetCurrentInteractionMode(interaction.Place)
    for voxel in voxels:
        view.click(view.toPixel(roi.toWorld([voxel], image)[0]))
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    return scene


@pytest.fixture
def shown(lib, view):
    from conftest import oblique
    from LiverLabelLib import display

    io, _ = lib
    image = io.volumeFromArray(np.zeros((60, 50, 3), np.float32), oblique((1.5, 1.5, 6)), case="c", role="image")
    display.showInSlices(image)
    display.alignSlices(image)
    view.draw()
    return image


def test_a_region_clicked_with_the_mouse_is_the_region_that_is_sent(lib, view, shown):
    io, roi = lib
    curve = roi.curveFor("c")
    voxel = roi.toIndices([view.node.GetSliceToRAS().MultiplyPoint((0, 0, 0, 1))[:3]], shown)[0]
    slab = int(np.rint(voxel[2]))
    corners = ellipse((30, 25), (18, 14), n=12, slab=slab)
    clickOn(view, roi, shown, curve, corners)
    assert curve.GetNumberOfDefinedControlPoints() == 12
    mask = roi.maskFromCurveNode(curve, shown)
    assert mask[:, :, slab].sum() == mask.sum() == pytest.approx(np.pi * 18 * 14, rel=0.03)


def test_a_dragged_point_changes_the_region(lib, view, shown):
    _, roi = lib
    curve = roi.curveFor("c")
    slab = int(np.rint(roi.toIndices([view.node.GetSliceToRAS().MultiplyPoint((0, 0, 0, 1))[:3]], shown)[0, 2]))
    roi.setPoints(curve, [[20, 15, slab], [40, 15, slab], [40, 35, slab], [20, 35, slab]], shown)
    view.draw()
    before = roi.maskFromCurveNode(curve, shown).sum()
    start, end = (view.toPixel(roi.toWorld([[x, y, slab]], shown)[0]) for x, y in ((40, 35), (50, 45)))
    view.drag(start, end)
    moved = roi.toIndices([curve.GetNthControlPointPositionWorld(2)], shown)[0]
    np.testing.assert_allclose(moved[:2], (50, 45), atol=0.5)
    assert roi.maskFromCurveNode(curve, shown).sum() > before * 1.2


def test_a_click_with_the_mouse_is_the_voxel_under_it(lib, view, shown):
    _, roi = lib
    clicks = roi.clicksFor("c")
    slab = int(np.rint(roi.toIndices([view.node.GetSliceToRAS().MultiplyPoint((0, 0, 0, 1))[:3]], shown)[0, 2]))
    clickOn(view, roi, shown, clicks, [[12, 30, slab], [44, 9, slab]])
    assert roi.clickedVoxels(clicks, shown) == [[12, 30, slab], [44, 9, slab]]
