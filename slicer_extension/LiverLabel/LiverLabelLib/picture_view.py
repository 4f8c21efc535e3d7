"""Ultrasound pictures of a case or of files in the slice views: stills, frames, a distance, the elasticity box."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from .case_nodes import findNode, nodeFor, removeNode
from .case_view import IMAGE, imageNode, outlinedImage
from .errors import UnsuitableInputError
from .mrml_io import cineSteps, pictureFromPixels, shapeOf
from .roi import boxedVoxels, boxFor, setBox, setPoints, toIndices
from .us_dicom import NO_SIZE

_VOLUMES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")
_FILE, _FRAME, _DISTANCE = "file", "cine.frame", "distance"


def pictureNode(picture, images):
    """The node of a case's picture or of a file that was shown, or None.

    Args:
        images: The open case; None for files.
    """
    if hasattr(picture, "frames"):
        isCine = len(picture.frames) > 1
        if isCine and findNode("vtkMRMLSequenceBrowserNode", picture.case, "cine.browser") is None:
            return None  # Loading it was not ended.
        return _find(picture.case, _FRAME if isCine else _FILE)
    return (
        imageNode(images.case_id)
        if picture is outlinedImage(images)
        else _find(images.case_id, f"{IMAGE}.{picture.name}")
    )


def fileSteps(file):
    """Put an opened file into the scene, frame by frame; whoever takes the steps does other work between two.

    Raises:
        UnsuitableInputError: frames of mixed sizes.
    """
    spacing = file.pixel_spacing_mm
    xThenY, kept = (spacing or (1.0, 1.0))[::-1], {"case": file.case, "name": file.name}
    if len(file.frames) == 1:
        pictureFromPixels(file.frames[0], xThenY, role=_FILE, isCalibrated=spacing is not None, **kept)
        yield 1
        return
    for step in cineSteps(file.frames, xThenY, file.frame_times_s, isCalibrated=spacing is not None, **kept):
        if isinstance(step, int):
            yield step
    showFrame(file, file.frame)


def showFrame(file, index: int) -> bool:
    """Show a frame of a cine; False where the scene does not hold it any more."""
    browser = findNode("vtkMRMLSequenceBrowserNode", file.case, "cine.browser")
    if browser is None:
        return False
    browser.SetSelectedItemNumber(index)
    return True


def sizeText(picture, node) -> str:
    """The picture's size and that of its pixels, or that it states none."""
    columns, rows, _ = shapeOf(node)
    spacing = picture.pixel_spacing_mm
    if spacing is None:
        return f"{columns} x {rows} pixels. {getattr(picture, 'spacing_note', '') or NO_SIZE}"
    size = f"{spacing[1]:.3g} x {spacing[0]:.3g} mm"
    return f"{columns} x {rows} pixels of {size}; {columns * spacing[1]:.1f} x {rows * spacing[0]:.1f} mm in all."


def distanceFor(case: str, node):
    """The line of a picture that measures, put across its middle when it is made."""
    line = nodeFor("vtkMRMLMarkupsLineNode", case, _DISTANCE, "Distance")
    line.CreateDefaultDisplayNodes()
    if line.GetNumberOfControlPoints() < 2:
        columns, rows, _ = shapeOf(node)
        middle = (rows - 1) / 2
        setPoints(line, [[(columns - 1) * 0.3, middle, 0], [(columns - 1) * 0.7, middle, 0]], node)
    # 3D Slicer would call the pixels of an uncalibrated picture mm; the panel says what is known.
    line.GetDisplayNode().SetPropertiesLabelVisibility(False)
    return line


def distanceText(line, picture, node) -> str:
    """Length of a line: mm where the picture is calibrated at both its ends alike, else pixels and why."""
    if line.GetNumberOfDefinedControlPoints() < 2:
        return ""
    ends = toIndices(slicer.util.arrayFromMarkupsControlPoints(line, world=True), node)[:2, :2]
    across = ends[1] - ends[0]
    said = getattr(picture, "said", None)
    if said is None:
        spacings = {picture.pixel_spacing_mm}
    else:
        spacings = {said.spacing_at(row + 0.5, column + 0.5) for column, row in ends}
    spacing = next(iter(spacings)) if len(spacings) == 1 else None
    if spacing is None:
        note = getattr(picture, "spacing_note", "") or ("" if picture.pixel_spacing_mm else NO_SIZE)
        return (
            f"Distance: {np.hypot(*across):.1f} pixels. {note or 'Its ends do not lie in one region of known scale.'}"
        )
    return f"Distance: {np.hypot(across[0] * spacing[1], across[1] * spacing[0]):.1f} mm"


def showBox(case: str, node, box, isEditable: bool):
    """Show where the colours of an elastogram lie.

    Args:
        box: (top, left, bottom, right), the last two outside.
        isEditable: The reader may drag it.
    """
    roi = boxFor(case)
    top, left, bottom, right = box
    setBox(roi, (left, top, 0), (right - 1, bottom - 1, 0), node)
    roi.SetLocked(not isEditable)
    display = roi.GetDisplayNode()
    display.SetVisibility(True)
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(isEditable)
    # A turned box is none in rows and columns.
    display.SetRotationHandleVisibility(False)
    return roi


def hideBox(case: str) -> None:
    """Take a picture's box away."""
    removeNode(findNode("vtkMRMLMarkupsROINode", case, "swe.box"))


def boxInPixels(roi, node) -> tuple[int, int, int, int]:
    """A drawn box as (top, left, bottom, right) in whole pixels, cut off at the picture's edge.

    Raises:
        UnsuitableInputError: it lies outside the picture.
    """
    first, last = boxedVoxels(roi, node)
    return first[1], first[0], last[1] + 1, last[0] + 1


def defaultBox(node) -> tuple[int, int, int, int]:
    """A box in the middle of a picture, to be dragged to its place."""
    columns, rows, _ = shapeOf(node)
    if columns < 2 or rows < 2:
        raise UnsuitableInputError(f"A box needs at least 2 x 2 pixels; the picture has {columns} x {rows}.")
    return rows // 4, columns // 4, rows - rows // 4, columns - columns // 4


def _find(case: str, role: str):
    return next((node for kind in _VOLUMES if (node := findNode(kind, case, role)) is not None), None)
