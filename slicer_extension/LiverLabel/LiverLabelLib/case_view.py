"""A stored case's images in the scene: an MRI in its place, ultrasound pictures in their own pixel size."""

from __future__ import annotations

import numpy as np
import slicer

from .case_nodes import caseOf, findNode, removeCase
from .display import alignSlices, showInSlices
from .mrml_io import pictureFromPixels, volumeFromArray

IMAGE = "image"
"""Role of the image that the liver is outlined on."""
_VOLUMES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")


def showCase(images) -> list:
    """Put a case's images into the scene and the first into the slice views; those of other cases leave it.

    Args:
        images: :class:`~.case_images.CaseImages`.
    Returns:
        The volume nodes, in the order of the images; the one to outline on has the role ``image``, the others
        ``image.<name>``.
    """
    for case in otherCases(images.case_id):
        removeCase(case)
    outlined = outlinedImage(images)
    nodes = []
    for image in images.images:
        role = IMAGE if image is outlined else f"{IMAGE}.{image.name}"
        name = f"{images.case_id} {image.name}"
        values = image.volume.array
        if images.kind == "ultrasound":
            spacing = image.pixel_spacing_mm
            xThenY = (1.0, 1.0) if spacing is None else (spacing[1], spacing[0])
            pixels = np.ascontiguousarray(values[:, :, 0].swapaxes(0, 1))
            node = pictureFromPixels(
                pixels, xThenY, case=images.case_id, role=role, name=name, isCalibrated=spacing is not None
            )
        else:
            node = volumeFromArray(
                values, image.volume.affine, case=images.case_id, role=role, name=name, unit=image.unit or ""
            )
        nodes.append(node)
    if nodes:
        showImage(imageNode(images.case_id) or nodes[0])
    return nodes


def outlinedImage(images):
    """The one of a case's images that the liver is outlined on, or None."""
    return next((image for image in images.images if image.role != "swe"), None)


def imageNode(case: str):
    """The image that a case's liver is outlined on, or None."""
    return next((node for kind in _VOLUMES if (node := findNode(kind, case, IMAGE)) is not None), None)


def showImage(node) -> None:
    """Show one image alone in the slice views, square on."""
    showInSlices(node)
    alignSlices(node)


def otherCases(case: str) -> list[str]:
    """The ids of the cases in the scene besides one, in order."""
    scene = slicer.mrmlScene
    found = {caseOf(scene.GetNthNode(index)) for index in range(scene.GetNumberOfNodes())}
    return sorted(found - {None, "", case})
