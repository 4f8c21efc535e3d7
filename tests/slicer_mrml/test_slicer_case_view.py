"""A stored case's images in the scene: in their place, in their size, one case at a time."""

import numpy as np
from conftest import oblique
from LiverLabelLib.case_images import CaseImage, CaseImages
from LiverLabelLib.nifti import Volume

PICTURE = np.diag([-1.0, -1, 1, 1])


def case(caseId, kind, *images):
    return CaseImages(
        case_id=caseId,
        kind=kind,
        is_simulated=True,
        notice="",
        species=None,
        images=images,
        echo_times_s=None,
        field_strength_t=None,
        clinical=(),
    )


def picture(name, role, values, spacing=(0.2, 0.3)):
    return CaseImage(name, role, None, Volume(values, PICTURE), spacing, None, None)


def test_an_mri_lies_in_its_place_and_fills_the_views(scene, view):
    from LiverLabelLib.case_view import imageNode, showCase
    from LiverLabelLib.mrml_io import affineOf, arrayFromVolume

    affine = oblique()
    values = np.arange(7 * 5 * 4, dtype=np.float32).reshape(7, 5, 4)
    image = CaseImage("magnitude", "magnitude", "units of the input", Volume(values, affine), None, None, None)
    (node,) = showCase(case("a", "mri", image))
    assert node is imageNode("a") and np.allclose(affineOf(node), affine)
    assert np.array_equal(arrayFromVolume(node)[0], values)
    assert view.logic.GetSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()


def test_pictures_have_their_own_pixel_size_and_the_b_mode_is_outlined(scene):
    import slicer.util
    from LiverLabelLib.case_view import imageNode, showCase
    from LiverLabelLib.mrml_io import CALIBRATED_ATTRIBUTE

    colour = np.zeros((6, 4, 1, 3), np.uint8)
    colour[5, 0, 0] = (255, 10, 0)
    grey = np.arange(24, dtype=np.uint8).reshape(6, 4, 1)
    swe, bmode = showCase(case("a", "ultrasound", picture("swe_1", "swe", colour), picture("b", "bmode", grey, None)))
    assert imageNode("a") is bmode
    assert np.allclose(swe.GetSpacing(), (0.3, 0.2, 1)) and swe.GetAttribute(CALIBRATED_ATTRIBUTE) == "true"
    assert bmode.GetAttribute(CALIBRATED_ATTRIBUTE) == "false"
    assert list(slicer.util.arrayFromVolume(swe)[0, 0, 5]) == [255, 10, 0]
    assert np.array_equal(slicer.util.arrayFromVolume(bmode)[0].T, grey[:, :, 0])


def test_another_case_takes_the_place_and_the_same_one_is_not_doubled(scene):
    from LiverLabelLib.case_nodes import nodesOf
    from LiverLabelLib.case_view import showCase

    grey = np.ones((6, 4, 1), np.uint8)
    for caseId in ("a", "b", "b"):
        showCase(case(caseId, "ultrasound", picture("b", "bmode", grey)))
    assert nodesOf("a") == [] and len([n for n in nodesOf("b") if n.IsA("vtkMRMLVolumeNode")]) == 1
