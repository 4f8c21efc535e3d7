"""Clicks and curves by the mouse in a slice view: what is asked of the server, and what becomes of the outline."""

import time

import numpy as np
import pytest
import qt
from conftest import GEOMETRIES, SliceView, oblique, waitUntil
from LiverLabelLib import display
from LiverLabelLib.outline_save import outlineVolume
from LiverLabelLib.roi import setPoints, toIndices, toWorld
from outline_host import Host, answered, box, opened


@pytest.fixture
def view(drawing, windows):
    view = SliceView(windows)
    yield view
    view.close()


@pytest.fixture
def host(view):
    """The panel with a case that the slice view shows."""
    host = Host(opened())
    look(view, host)
    yield host
    host.close()


def look(view, host):
    display.showInSlices(host.image)
    display.alignSlices(host.image)
    view.draw()
    host.slab = int(np.rint(toIndices([view.node.GetSliceToRAS().MultiplyPoint((0, 0, 0, 1))[:3]], host.image)[0, 2]))


def pixel(view, host, x, y):
    return view.toPixel(toWorld([[x, y, host.slab]], host.image)[0])


def mode(windows):
    interaction = windows.app.applicationLogic().GetInteractionNode()
    return interaction.GetInteractionModeAsString(interaction.GetCurrentInteractionMode())


def test_mouse_clicks_are_sent_as_they_are_placed_and_the_outline_follows(host, view):
    host.propose()
    after = box(host.shape, (10, 10), (45, 40))
    host.client.answer = answered(after, host.affine, isRefined=True)
    host.ui.addClickButton.click()
    assert host.ui.addClickButton.checked
    view.click(pixel(view, host, 12, 30))
    host.idle()
    assert host.client.asked[-1] == (
        "liver_roi_clicks",
        "c1",
        {"foreground": [[12, 30, host.slab]], "background": [], "contour": []},
    )
    host.ui.removeClickButton.click()
    assert host.ui.removeClickButton.checked and not host.ui.addClickButton.checked
    view.click(pixel(view, host, 44, 9))
    host.idle()
    sent = host.client.asked[-1][2]
    assert (sent["foreground"], sent["background"]) == ([[12, 30, host.slab]], [[44, 9, host.slab]])
    assert host.ui.clicksLabel.text == "Clicks: 1 liver, 1 not liver."
    expected = box(host.shape)
    expected[:, :, host.slab] = after[:, :, host.slab]
    np.testing.assert_array_equal(host.mask(), expected)
    assert host.ui.stateLabel.text == "Refined, not saved yet."


def test_quick_clicks_are_one_request_and_a_newer_one_outdates_the_older(host):
    host.propose()
    host.client.delayS = 0.4

    def wide(params):
        return answered(box(host.shape, high=(len(params["foreground"]) + 21, 35)), host.affine)

    host.client.answer = wide
    host.clicked("foreground", [[1, 1, 0]])
    soon = time.monotonic() + 0.05
    waitUntil(lambda: time.monotonic() > soon)
    host.clicked("foreground", [[2, 2, 0]])
    waitUntil(lambda: len(host.client.asked) == 2)
    assert len(host.client.asked[-1][2]["foreground"]) == 2
    host.clicked("foreground", [[3, 3, 0]])
    host.idle()
    assert len(host.client.asked) == 3
    np.testing.assert_array_equal(host.mask()[:, :, 0], box(host.shape, high=(24, 35))[:, :, 0])


def test_a_slice_that_was_edited_by_hand_survives_clicks_on_another(host):
    host.propose()
    host.client.answer = answered(box(host.shape, (0, 0), (9, 9)), host.affine, isRefined=True)
    host.clicked("foreground", [[1, 1, 0]])
    host.idle()
    edited = host.mask()
    edited[:, :, 0] = box(host.shape, (3, 3), (50, 45))[:, :, 0]
    host.paint(edited)
    host.clicked("foreground", [[1, 1, 2]])
    host.idle()
    assert host.client.asked[-1][2]["foreground"] == [[1, 1, 0], [1, 1, 2]]
    np.testing.assert_array_equal(host.mask()[:, :, :2], edited[:, :, :2])
    np.testing.assert_array_equal(host.mask()[:, :, 2], box(host.shape, (0, 0), (9, 9))[:, :, 2])


def test_the_last_click_is_deleted_and_clicks_are_cleared(host):
    host.propose()
    host.client.answer = answered(box(host.shape, (0, 0), (9, 9)), host.affine, isRefined=True)
    host.clicked("foreground", [[1, 1, 0]])
    host.clicked("background", [[5, 5, 0]])
    host.clicked("foreground", [[2, 2, 0]])
    host.idle()
    host.ui.deleteClickButton.click()
    host.idle()
    assert host.client.asked[-1][2]["foreground"] == [[1, 1, 0]]
    assert host.client.asked[-1][2]["background"] == [[5, 5, 0]]
    host.ui.deleteClickButton.click()
    host.idle()
    assert host.client.asked[-1][2]["background"] == []
    before, n = host.mask(), len(host.client.asked)
    host.ui.clearClicksButton.click()
    assert host.ui.clicksLabel.text == "No clicks." and not host.ui.deleteClickButton.enabled
    np.testing.assert_array_equal(host.mask(), before)
    host.ui.undoButton.click()
    assert host.outline.reader.nClicks("foreground") == 1 and len(host.client.asked) == n


def test_clicks_of_a_case_that_was_opened_again_can_be_deleted(host):
    host.client.answer = answered(box(host.shape), host.affine)
    host.clicked("background", [[5, 5, 0]])
    host.idle()
    host.open(opened())
    assert host.ui.deleteClickButton.enabled
    host.ui.deleteClickButton.click()
    assert host.outline.reader.nClicks("background") == 0


def test_undo_takes_a_click_back_with_what_it_did(host, view):
    host.propose()
    before = host.mask()
    host.client.answer = answered(box(host.shape, (0, 0), (9, 9)), host.affine, isRefined=True)
    host.ui.addClickButton.click()
    view.click(pixel(view, host, 12, 30))
    host.idle()
    after = host.mask()
    assert not np.array_equal(after, before)
    host.ui.undoButton.click()
    assert host.outline.reader.nClicks("foreground") == 0
    np.testing.assert_array_equal(host.mask(), before)
    host.ui.redoButton.click()
    assert host.outline.reader.nClicks("foreground") == 1
    np.testing.assert_array_equal(host.mask(), after)


def test_a_click_outside_the_image_is_a_sentence(host):
    host.clicked("foreground", [[-5, 1, 0]])
    waitUntil(lambda: host.ui.outlineStatusLabel.text)
    assert "needs to lie in" in host.ui.outlineStatusLabel.text and host.client.asked == []


def test_place_mode_ends_by_its_button_by_escape_with_the_module_and_with_the_scene(host, windows):
    def begin():
        host.ui.addClickButton.click()
        assert mode(windows) == "Place" and not host.panel.editor.widget._hasShortcuts

    begin()
    host.ui.addClickButton.click()
    assert mode(windows) == "ViewTransform" and not host.ui.addClickButton.checked
    begin()
    shortcuts = windows.util.mainWindow().findChildren(qt.QShortcut)
    (escape,) = [one for one in shortcuts if one.key.toString() == "Esc"]
    escape.activated.emit()
    assert mode(windows) == "ViewTransform" and host.panel.editor.widget._hasShortcuts
    begin()
    host.panel.exit()
    assert mode(windows) == "ViewTransform" and not host.panel.editor.widget._hasShortcuts
    assert [one for one in windows.util.mainWindow().findChildren(qt.QShortcut) if one.enabled] == []
    host.panel.enter()
    begin()
    windows.mrmlScene.Clear(False)
    assert mode(windows) == "ViewTransform" and not host.ui.addClickButton.checked


def test_another_tool_of_slicer_ends_place_mode(host, windows):
    host.ui.addClickButton.click()
    interaction = windows.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    assert not host.ui.addClickButton.checked
    host.ui.addClickButton.click()
    windows.app.applicationLogic().GetSelectionNode().SetActivePlaceNodeID(None)
    assert mode(windows) == "ViewTransform" and not host.ui.addClickButton.checked


def test_clicks_after_the_module_was_left_are_not_sent(host):
    host.propose()
    host.clicked("foreground", [])
    host.panel.exit()
    host.outline.clicks("foreground").AddControlPointWorld(*toWorld([[1, 1, 0]], host.image)[0])
    qt.QCoreApplication.processEvents()
    waitUntil(lambda: not host.session.runner.running)
    assert len(host.client.asked) == 1


def circle(shape, centre, radius, slab):
    x, y = np.mgrid[: shape[0], : shape[1]]
    region = np.zeros(shape, bool)
    region[:, :, slab] = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    return region


def test_a_contour_laid_around_an_outline_and_used_gives_it_back(host):
    disc = circle(host.shape, (30, 25), 17.3, host.slab)
    other = box(host.shape, (1, 1), (6, 6), host.slab)
    host.propose(disc | other | box(host.shape, slab=(host.slab + 1) % 3))
    before = host.mask()
    host.ui.editContourButton.click()
    n = host.outline.reader.curve.GetNumberOfControlPoints()
    assert 8 <= n <= 32
    host.ui.applyContourButton.click()
    after = host.mask()
    assert 2 * (before & after).sum() / (before.sum() + after.sum()) > 0.98
    rest = [k for k in range(3) if k != host.slab]
    np.testing.assert_array_equal(after[:, :, rest], before[:, :, rest])
    assert after[1:6, 1:6, host.slab].all() and not host.outline.hasCurve
    host.ui.undoButton.click()
    np.testing.assert_array_equal(host.mask(), before)
    assert host.outline.hasCurve


def test_points_dragged_to_a_circle_fill_its_area_within_1_percent(host, view):
    """Each point of the contour of a smaller disc is dragged by the mouse to a circle of 17.3 pixels."""
    host.propose(circle(host.shape, (30, 25), 11, host.slab))
    host.ui.editContourButton.click()
    view.draw()
    curve = host.outline.reader.curve
    n = curve.GetNumberOfControlPoints()
    for k in range(n):
        start = toIndices([curve.GetNthControlPointPositionWorld(k)], host.image)[0]
        away = (start[:2] - (30, 25)) / np.linalg.norm(start[:2] - (30, 25))
        view.drag(pixel(view, host, *start[:2]), pixel(view, host, *((30, 25) + 17.3 * away)))
    assert curve.GetNumberOfControlPoints() == n
    host.ui.applyContourButton.click()
    assert host.mask().sum() == host.mask()[:, :, host.slab].sum() == pytest.approx(np.pi * 17.3**2, rel=0.01)
    for _ in range(2):
        host.ui.undoButton.click()
    last = toIndices([host.outline.reader.curve.GetNthControlPointPositionWorld(n - 1)], host.image)[0]
    assert np.linalg.norm(last[:2] - (30, 25)) < 13, "the drag of the last point is one step"


def test_a_moved_contour_is_sent_as_marks_of_its_slice(host):
    host.propose(circle(host.shape, (30, 25), 17.3, host.slab))
    host.ui.editContourButton.click()
    after = circle(host.shape, (30, 25), 15, host.slab)
    host.client.answer = answered(after, host.affine, isRefined=True)
    host.ui.refineContourButton.click()
    waitUntil(lambda: not host.panel.status.isBusy)
    task, _, params = host.client.asked[-1]
    contour = np.array(params["contour"])
    assert task == "liver_roi_clicks" and len(contour) > 20 and set(contour[:, 2]) == {host.slab}
    np.testing.assert_allclose(np.linalg.norm(contour[:, :2] - (30, 25), axis=1), 17.3, atol=0.8)
    np.testing.assert_array_equal(host.mask(), after)
    assert not host.outline.hasCurve
    host.clicked("foreground", [[1, 1, host.slab]])
    host.idle()
    assert host.client.asked[-1][2]["contour"] == params["contour"], "the contour holds until the clicks are cleared"
    host.ui.editContourButton.click()
    host.ui.refineContourButton.click()
    waitUntil(lambda: not host.panel.status.isBusy)
    again = np.array(host.client.asked[-1][2]["contour"])
    np.testing.assert_allclose(np.linalg.norm(again[:, :2] - (30, 25), axis=1), 15, atol=0.8)


def test_a_curve_drawn_by_the_mouse_is_filled_and_cut(host, view, windows):
    host.ui.drawCurveButton.click()
    assert host.ui.drawCurveButton.checked and mode(windows) == "Place"
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for angle in angles:
        view.click(pixel(view, host, 30 + 18 * np.cos(angle), 25 + 18 * np.sin(angle)))
    host.ui.fillCurveButton.click()
    assert mode(windows) == "ViewTransform" and not host.ui.drawCurveButton.checked
    assert host.mask().sum() == pytest.approx(np.pi * 18**2, rel=0.02)
    assert host.ui.stateLabel.text == "Edited, not saved yet."
    host.ui.drawCurveButton.click()
    for angle in angles:
        view.click(pixel(view, host, 30 + 6 * np.cos(angle), 25 + 6 * np.sin(angle)))
    host.ui.cutCurveButton.click()
    assert host.mask().sum() == pytest.approx(np.pi * (18**2 - 6**2), rel=0.03) and not host.mask()[30, 25].any()


def test_a_hole_and_the_reader_s_other_segments_stay_when_a_contour_is_used(host):
    region = circle(host.shape, (30, 25), 17.3, host.slab) & ~circle(host.shape, (30, 25), 4, host.slab)
    host.propose(region)
    host.outline.node.GetSegmentation().AddEmptySegment("vessel", "Vessel", (0, 0, 1))
    host.ui.editContourButton.click()
    host.ui.applyContourButton.click()
    assert not host.mask()[30, 25].any() and host.mask().sum() == pytest.approx(region.sum(), rel=0.02)
    assert host.outline.node.GetSegmentation().GetNumberOfSegments() == 2


def test_a_curve_of_two_points_or_an_empty_slice_is_a_sentence(host):
    host.propose(box(host.shape, slab=(host.slab + 1) % 3))
    host.ui.editContourButton.click()
    assert "needs an outline to edit" in host.ui.outlineStatusLabel.text
    setPoints(host.outline.newCurve(), [[1, 1, 0], [5, 5, 0]], host.image)
    host.panel.refresh()
    for button in (host.ui.fillCurveButton, host.ui.refineContourButton):
        button.click()
        assert "at least 3 points" in host.ui.outlineStatusLabel.text


@pytest.mark.parametrize("name", GEOMETRIES)
def test_marks_are_the_servers_voxels_in_any_geometry_and_turned_volume(windows, name):
    shape, affine = GEOMETRIES[name]
    host = Host(opened(shape, affine))
    voxel = [[shape[0] - 2, 1, shape[2] - 1]]
    host.clicked("foreground", voxel)
    assert host.outline.marks()["foreground"] == voxel
    # As 3D Slicer reads it from a saved scene: one axis the other way round, the voxels where they were.
    turn = np.diag((1.0, 1, -1, 1))
    turn[2, 3] = shape[2] - 1
    host.image.SetIJKToRASMatrix(windows.util.vtkMatrixFromArray(affine @ turn))
    assert host.outline.marks()["foreground"] == voxel
    region = box(shape, (1, 1), (3, 3), slab=0)
    host.propose(region)
    np.testing.assert_array_equal(host.mask(), region[:, :, ::-1])
    np.testing.assert_array_equal(outlineVolume(host.case).array > 0, region)
    host.close()


def test_a_slice_is_found_in_a_coronal_volume(view, windows):
    host = Host(opened((40, 30, 5), oblique()[:, [0, 2, 1, 3]]))
    look(view, host)
    host.propose()
    host.ui.editContourButton.click()
    assert "Scroll the view" in host.ui.outlineStatusLabel.text
    view.node.SetOrientation("Coronal")
    look(view, host)
    host.ui.editContourButton.click()
    assert host.outline.hasCurve and host.ui.outlineStatusLabel.text == ""
    host.ui.applyContourButton.click()
    changed = np.flatnonzero((host.mask() != box(host.shape)).any(axis=(0, 1)))
    assert host.mask().sum() == pytest.approx(20 * 15 * 5, rel=0.01) and changed.tolist() == [host.slab]
    host.close()
