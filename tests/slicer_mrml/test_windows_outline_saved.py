"""The outline on its way: the bytes that are stored lie exactly on the server's image; nothing edited is lost."""

import threading

import numpy as np
import pytest
import slicer.util
from conftest import GEOMETRIES, waitUntil
from LiverLabelLib.errors import LostConnectionError
from LiverLabelLib.nifti import read_nifti
from LiverLabelLib.segments import replaceSegment
from LiverLabelLib.session import OUTBOX
from outline_host import PICTURE, Host, answered, box, opened, readBack


@pytest.fixture
def host(windows):
    host = Host(opened())
    yield host
    host.close()


def waiting(host):
    return host.session.outbox.waiting()


def asStored(affine):
    """A header holds the matrix in 32 bits."""
    return np.asarray(affine, np.float32).astype(float)


@pytest.mark.parametrize("isTurned", [False, True], ids=["as opened", "turned by Slicer"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_click_comes_back_in_the_stored_bytes_exactly_in_place(windows, name, isTurned):
    shape, affine = GEOMETRIES[name]
    host = Host(opened(shape, affine))
    if isTurned:
        turn = np.diag((1.0, 1, -1, 1))
        turn[2, 3] = shape[2] - 1
        host.image.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine @ turn))

    def around(params):
        region = np.zeros(shape, bool)
        for i, j, k in params["foreground"]:
            region[i : i + 2, j : j + 1, k] = True
        return answered(region, affine, isRefined=True)

    host.client.answer = around
    host.clicked("foreground", [[2, 1, 0]])
    host.idle()
    host.save()
    ((case, content, fileName, reader, tag),) = host.client.stored
    assert (case, fileName, reader, tag) == ("c1", "c1.nii.gz", "r1", "final")
    values, stored = readBack(content)
    np.testing.assert_array_equal(stored, asStored(affine))
    expected = np.zeros(shape, np.uint8)
    expected[2:4, 1, shape[2] - 1 if isTurned else 0] = 1
    np.testing.assert_array_equal(values, expected)
    assert values.dtype == np.uint8 and host.ui.stateLabel.text == "Saved as r1."
    assert waiting(host) == []
    host.close()


@pytest.mark.parametrize("isColour", [False, True])
def test_a_picture_is_stored_in_the_servers_pixels(windows, isColour):
    host = Host(opened((60, 50, 1), kind="ultrasound", isColour=isColour))
    region = box(host.shape, (4, 7), (20, 11))
    host.propose()
    host.client.answer = answered(region, host.affine)
    host.clicked("foreground", [[4, 7, 0]])
    host.idle()
    assert host.client.asked[-1][2]["foreground"] == [[4, 7, 0]]
    host.save()
    values, affine = readBack(host.client.stored[0][1])
    np.testing.assert_array_equal(values, region)
    np.testing.assert_array_equal(affine, PICTURE)
    host.close()


def test_edits_after_saving_are_not_saved_yet(host):
    host.propose()
    assert host.ui.stateLabel.text == "Proposed, not saved yet."
    host.ui.saveOutlineButton.click()
    host.paint(box(host.shape, (1, 1), (9, 9)))
    waitUntil(lambda: not host.session.runner.running)
    assert host.ui.stateLabel.text == "Saved as r1. Edited since, not saved yet."
    assert host.outline.isEdited
    host.save()
    assert host.ui.stateLabel.text == "Saved as r1." and not host.outline.isEdited
    assert read_nifti(host.client.stored[-1][1], "x").array.sum() == 64 * 3


def test_what_cannot_be_sent_is_kept_and_the_reason_said(host):
    host.propose()
    host.client.refusal = LostConnectionError("The server went away. Start it again.")
    host.save()
    assert host.ui.stateLabel.text == "Kept on this computer, not sent: The server went away. Start it again."
    assert [one.case_id for one in waiting(host)] == ["c1"] and not host.outline.isEdited
    host.session.client = None
    host.save()
    text = host.ui.stateLabel.text
    assert text.startswith("Kept on this computer, not sent: A LiverLabel server is needed") and text.count("Kept") == 1


def test_what_cannot_even_be_kept_is_not_called_kept(host, tmp_path):
    host.propose()
    host.paint(box(host.shape, (1, 1), (9, 9)))
    (tmp_path / "file").write_text("in the way")
    host.session.outbox.folder = tmp_path / "file"
    host.save()
    assert "could not be kept" in host.ui.stateLabel.text and host.outline.isEdited
    assert not host.ui.stateLabel.text.startswith("Kept")


def test_an_outline_that_cannot_be_stored_is_a_sentence(host):
    host.propose()
    host.outline.node.GetSegmentation().AddEmptySegment("vessel", "Vessel", (0, 0, 1))
    replaceSegment(host.outline.node, "vessel", box(host.shape), host.image)
    host.save()
    assert "also in" in host.ui.outlineStatusLabel.text and host.client.stored == []
    host.outline.node.GetSegmentation().RemoveSegment("vessel")
    host.image.SetOrigin(*(np.array(host.image.GetOrigin()) + 0.1))
    host.save()
    assert "was changed in the scene" in host.ui.outlineStatusLabel.text and host.client.stored == []


@pytest.mark.parametrize("how", ["scene closed", "other case", "segmentation deleted", "panel closed"])
def test_unsaved_edits_are_kept_when_their_case_is_left(windows, how):
    host = Host(opened())
    told, first = [], host.affine
    host.session.observe(OUTBOX, lambda: told.append(1))
    host.propose()
    edited = box(host.shape, (5, 5), (50, 45))
    host.paint(edited)
    leave(host, how, windows)
    waitUntil(lambda: not host.session.runner.running)
    (kept,) = waiting(host)
    assert (kept.case_id, kept.reader, kept.tag, kept.file_name) == ("c1", "r1", "final", "c1.nii.gz")
    values, affine = readBack(kept.content)
    np.testing.assert_array_equal(values, edited)
    np.testing.assert_array_equal(affine, asStored(first))
    assert host.client.stored == [] and told
    if how != "panel closed":
        assert "The unsaved outline of 'c1' is kept on this computer, not sent." in host.ui.stateLabel.text
        host.close()


def leave(host, how, windows):
    if how == "scene closed":
        windows.mrmlScene.Clear(False)
    elif how == "other case":
        host.open(opened((20, 20, 2), caseId="c2"))
    elif how == "segmentation deleted":
        windows.mrmlScene.RemoveNode(host.outline.node)
    else:
        host.close()


def test_overlapping_segments_do_not_lose_the_edits(host, windows):
    host.propose()
    host.outline.node.GetSegmentation().AddEmptySegment("vessel", "Vessel", (0, 0, 1))
    replaceSegment(host.outline.node, "vessel", box(host.shape, (21, 16), (25, 20)), host.image)
    windows.mrmlScene.Clear(False)
    waitUntil(lambda: not host.session.runner.running)
    np.testing.assert_array_equal(readBack(waiting(host)[0].content)[0] > 0, box(host.shape))


def test_neither_a_saved_outline_nor_an_untouched_proposal_is_kept(host, windows):
    host.propose()
    host.open(opened(caseId="c2"))
    host.propose()
    host.paint(box(host.shape, (5, 5), (50, 45)))
    host.save()
    windows.mrmlScene.Clear(False)
    waitUntil(lambda: not host.session.runner.running)
    assert waiting(host) == []


def test_a_save_under_way_goes_on_when_the_scene_is_closed_and_is_not_kept_twice(host, windows):
    host.propose()
    host.paint(box(host.shape, (5, 5), (50, 45)))
    goesOn = threading.Event()
    store = host.client.save_label

    def slow(*arguments, **named):
        assert goesOn.wait(5)
        store(*arguments, **named)

    host.client.save_label = slow
    host.ui.saveOutlineButton.click()
    windows.mrmlScene.Clear(False)
    goesOn.set()
    waitUntil(lambda: not host.session.runner.running)
    assert len(host.client.stored) == 1 and waiting(host) == []
    assert "Outline of 'c1': Saved as r1." in host.ui.stateLabel.text


def test_a_closed_scene_leaves_an_empty_panel_that_works_again(host, windows):
    host.propose()
    host.ui.addClickButton.click()
    windows.mrmlScene.Clear(False)
    assert not host.ui.proposeButton.enabled and host.outline.answer is None and not host.ui.undoButton.enabled
    host.open(opened())
    host.propose()
    assert host.outline.hasOutline and host.ui.proposeButton.enabled
