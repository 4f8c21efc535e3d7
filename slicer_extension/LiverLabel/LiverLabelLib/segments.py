"""Label volumes <-> segmentations, voxel on voxel in the geometry of an image."""

from __future__ import annotations

import colorsys

import numpy as np
import slicer
import slicer.util
import vtk

from .case_nodes import nodeFor, removeNode
from .errors import UnsuitableInputError
from .mrml_io import affineOf, checkSameGeometry, shapeOf, turnedLike

LABEL_TAG = "LiverLabel.value"
"""A segment's tag that holds its value in a label volume."""
LIVER_COLOUR = (0.15, 0.85, 0.95)
"""Seen on grey pictures and on the colours of every map."""


def segmentationFromLabels(labels, affine, reference, *, case: str, role: str = "roi", names=None):
    """Show a label volume as a segmentation; segments that were there under this role are replaced.

    Args:
        labels: Whole numbers from 0, shape (x, y, z); (x, y) is one slice.
        affine: Index to world millimetres, RAS+; None for a picture, whose place is not compared.
        reference: The image's volume node; the segmentation takes its geometry.
        names: value -> name, or value -> (name, (red, green, blue) from 0 to 1); the others are called "Region 3".
    Returns:
        The vtkMRMLSegmentationNode.
    Raises:
        UnsuitableInputError: another geometry, or values that are no labels.
    """
    labels = np.asarray(labels)
    labels = labels[:, :, np.newaxis] if labels.ndim == 2 else labels
    if labels.dtype.kind not in "biuf" or not np.all((labels >= 0) & (labels <= 255) & (labels == np.floor(labels))):
        raise UnsuitableInputError(
            f"A label volume needs whole numbers from 0 to 255; {role} has others. Export it again."
        )
    if affine is None:
        checkSameGeometry(labels.shape, None, reference, f"The label {role}")
    else:
        labels = turnedLike(labels, affine, reference, f"The label {role}")
    node = nodeFor("vtkMRMLSegmentationNode", case, role, role)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        # What is measured inside is to be seen in its own colours.
        node.GetDisplayNode().SetVisibility2DFill(False)
        node.GetDisplayNode().SetSliceIntersectionThickness(2)
    segmentation = node.GetSegmentation()
    with slicer.util.NodeModify(node):
        segmentation.RemoveAllSegments()
        node.SetSourceRepresentationToBinaryLabelmap()
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
        # Segments that were named stay in the list when empty: the reader can then paint them.
        found = np.flatnonzero(np.bincount(labels.astype(np.uint8).ravel(), minlength=256))
        for value in sorted({*found.tolist(), *(names or {})}):
            if value:
                _addSegment(node, labels == value, reference, value, (names or {}).get(value))
    return node


def labelsFromSegmentation(node, reference, *, isOverlapTaken: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The segments as a label volume in exactly the image's geometry.

    A segment's value is the one it came with; new ones take the lowest free.

    Args:
        node: The segmentation.
        reference: The image's volume node.
        isOverlapTaken: Give a voxel of two segments to the later one instead of refusing it.
    Returns:
        (labels, uint8, shape (x, y, z); the image's affine, RAS+).
    Raises:
        UnsuitableInputError: nothing is outlined, segments overlap, or one lies outside the image.
    """
    labels = np.zeros(shapeOf(reference), np.uint8)
    owner: dict[int, str] = {}
    for segmentId, value in labelValues(node).items():
        segment = node.GetSegmentation().GetSegment(segmentId)
        mask = _maskOf(node, segmentId, reference)
        if not mask.any():
            if not _isEmpty(segment):
                raise UnsuitableInputError(
                    f"'{segment.GetName()}' needs to lie in '{reference.GetName()}'; no voxel of it does. "
                    "Choose the image that it was drawn on."
                )
            continue
        if not isOverlapTaken and (covered := labels[mask & (labels > 0)]).size:
            raise UnsuitableInputError(
                f"Each voxel belongs to one segment; {covered.size} voxels are in '{segment.GetName()}' and also in "
                f"'{owner[int(covered[0])]}'. Erase them from one of the two."
            )
        labels[mask] = value
        owner[value] = segment.GetName()
    if not owner:
        raise UnsuitableInputError(
            "A region needs at least one voxel; nothing is outlined. Paint or draw the region first."
        )
    return labels, affineOf(reference)


def segmentMasks(node, reference) -> list[tuple[str, np.ndarray]]:
    """(name, mask in the image's voxels, shape (x, y, z)) of every segment; they may overlap or be empty.

    Args:
        node: The segmentation.
        reference: The image's volume node.
    """
    segmentation = node.GetSegmentation()
    return [(segmentation.GetSegment(one).GetName(), _maskOf(node, one, reference)) for one in labelValues(node)]


def labelValues(node) -> dict[str, int]:
    """Segment id -> its value in a label volume."""
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    values: dict[str, int] = {}
    for segmentId in ids:
        text = vtk.reference("")
        if segmentation.GetSegment(segmentId).GetTag(LABEL_TAG, text) and int(str(text)) not in values.values():
            values[segmentId] = int(str(text))
    free = iter(value for value in range(1, 256) if value not in values.values())
    return {segmentId: values[segmentId] if segmentId in values else next(free) for segmentId in ids}


def maskOf(node, segmentId: str, reference) -> np.ndarray:
    """The voxels of an image that one segment covers, shape (x, y, z), bool; none where it lies outside."""
    return _maskOf(node, segmentId, reference)


def replaceSegment(node, segmentId: str, mask, reference) -> None:
    """Put another mask, shape (x, y, z), in a segment's place; the other segments stay."""
    checkSameGeometry(np.shape(mask), None, reference, "The mask")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(
        _orientedImage(np.asarray(mask, bool), reference), node, segmentId, logic.MODE_REPLACE
    )


def _addSegment(node, mask, reference, value: int, description) -> None:
    name, colour = description if isinstance(description, tuple) else (description, None)
    if colour is None:
        # Steps of the golden ratio keep neighbouring values apart in hue.
        colour = LIVER_COLOUR if value == 1 else colorsys.hsv_to_rgb(value * 0.618 % 1, 0.65, 0.95)
    segmentId = f"label_{value}"
    node.GetSegmentation().AddEmptySegment(segmentId, name or f"Region {value}", colour)
    node.GetSegmentation().GetSegment(segmentId).SetTag(LABEL_TAG, str(value))
    if mask.any():
        replaceSegment(node, segmentId, mask, reference)


def _orientedImage(mask, reference):
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*mask.shape)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    scalars[:] = mask.T.ravel()
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affineOf(reference)))
    # The volume's own transform holds for what is drawn on it as well.
    if (transform := reference.GetParentTransformNode()) is not None:
        slicer.vtkOrientedImageDataResample.TransformOrientedImage(image, _toWorld(transform))
    return image


def _toWorld(transformNode):
    transform = vtk.vtkGeneralTransform()
    transformNode.GetTransformToWorld(transform)
    return transform


def _maskOf(node, segmentId: str, reference) -> np.ndarray:
    labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "LiverLabel export")
    try:
        ids = vtk.vtkStringArray()
        ids.InsertNextValue(segmentId)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportSegmentsToLabelmapNode(node, ids, labelmap, reference):
            return np.zeros(shapeOf(reference), bool)
        return np.array(slicer.util.arrayFromVolume(labelmap).T > 0, order="C")
    finally:
        _forget(labelmap)


def _forget(labelmap) -> None:
    """Take an exported label volume out of the scene, with the colour table that the export made for it."""
    display = labelmap.GetDisplayNode()
    colours = None if display is None else display.GetColorNode()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is not None and (item := hierarchy.GetItemByDataNode(labelmap)) != hierarchy.GetInvalidItemID():
        hierarchy.RemoveItem(item, False)
    removeNode(labelmap)
    if colours is not None and colours.GetType() == slicer.vtkMRMLColorTableNode.User:
        slicer.mrmlScene.RemoveNode(colours)


def _isEmpty(segment) -> bool:
    bounds = [0.0] * 6
    segment.GetBounds(bounds)
    return bounds[0] > bounds[1]
