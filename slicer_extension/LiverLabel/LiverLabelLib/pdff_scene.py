"""The maps of a PDFF answer in the scene: PDFF over water at once, the others after it, uncertain voxels hidden."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from .case_nodes import MEASUREMENT_ROIS, REGION, caseOf, findNode, nodeFor, removeNode, roleOf
from .case_view import imageNode
from .display import LOOKS, SHOWN, alignSlices, applyLook, hideUncertain, lookOf, showColourBar, showInSlices
from .mrml_io import UNIT_ATTRIBUTE, arrayFromVolume, volumeFromArray, voxelsOf
from .pdff_choices import STD_MAPS
from .results import PdffAnswer
from .segments import segmentMasks

FIRST = ("pdff_percent", "water")
"""Maps that are made at once: the one to read and the one under it."""
REGION_ROLES = (REGION, MEASUREMENT_ROIS)
BACKGROUNDS = ("water", "magnitude", "fat", "none")
_VOLUME = "vtkMRMLScalarVolumeNode"


def showMaps(answer: PdffAnswer, case: str, *, opacity: float = 0.6, names=FIRST) -> list[str]:
    """Show PDFF over water, or over the magnitude image, in all slice views with its colour bar.

    Args:
        answer: Of the server.
        case: Whose nodes they become.
        opacity: Of the map, 0 to 1.
        names: Maps to make now.
    Returns:
        Names of the maps that are still to be made, by :func:`makeMap`.
    """
    # Of a former measurement nothing is left behind: no map that this one lacks, nothing that was shown instead.
    for name in LOOKS:
        for former in (None if name in answer.maps else mapNode(case, name), mapNode(case, name + SHOWN)):
            if former is not None:
                removeNode(former)
    made = [name for name in names if name in answer.maps]
    for name in made:
        makeMap(answer, name, case)
    shown = mapNode(case, "pdff_percent") or (mapNode(case, made[0]) if made else None)
    if shown is not None:
        showMap(shown, backgroundNode(case, "water") or backgroundNode(case, "magnitude"), opacity)
        alignSlices(shown)
    return [name for name in answer.maps if name not in made]


def makeMap(answer: PdffAnswer, name: str, case: str):
    """Put one map into the scene with its window and unit; returns its node."""
    volume = answer.maps[name]
    look = lookOf(name, answer.units[name])
    node = nodeFor(_VOLUME, case, name, look.title)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        # Its window is fixed; finding one of its own would take as long as all the rest.
        node.GetDisplayNode().AutoWindowLevelOff()
    node = volumeFromArray(volume.array, volume.affine, case=case, role=name, name=look.title, unit=look.unit)
    applyLook(node, look)
    return node


def mapNode(case: str, name: str):
    """A case's map, or None."""
    return findNode(_VOLUME, case, name)


def backgroundNode(case: str, background: str):
    """The image under a map: ``water``, ``fat``, ``magnitude`` (what the case was opened with) or ``none``."""
    if background == "none":
        return None
    return imageNode(case) if background == "magnitude" else mapNode(case, background)


def showMap(node, background, opacity: float, maximumStd: float | None = None) -> float:
    """Show a map over an image, with its colour bar.

    Args:
        node: The map.
        background: Volume node under it, or None.
        opacity: Of the map, 0 to 1; without a background the map is opaque.
        maximumStd: Largest standard deviation that is shown, in the map's unit; None: all is shown.
    Returns:
        Share of the estimated voxels that is hidden, 0 to 1.
    """
    shown, share = node, 0.0
    if maximumStd is not None and (std := stdNode(node)) is not None:
        shown = hideUncertain(node, std, maximumStd)
        estimated = np.isfinite(voxelsOf(node))
        left = np.isfinite(voxelsOf(shown))
        share = 1 - left.sum() / estimated.sum() if estimated.any() else 0.0
    if background is None or background is node:
        showInSlices(shown)
    else:
        showInSlices(background, shown, opacity=opacity)
    showColourBar(shown)
    return float(share)


def stdNode(node):
    """The standard deviation of a map, or None where there is none with a value."""
    std = mapNode(caseOf(node), STD_MAPS.get(roleOf(node), ""))
    return std if std is not None and np.isfinite(voxelsOf(std)).any() else None


def setOpacity(opacity: float) -> None:
    """Of the maps that lie over an image, 0 to 1."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundOpacity(opacity)


def regionNodes(case: str, *, isStored: bool = True) -> list:
    """The segmentations to be measured.

    Args:
        case: Whose.
        isStored: The case is one of the server's; of files that are not stored, those that belong to no case count.
    """
    nodes = [findNode("vtkMRMLSegmentationNode", case, role) for role in REGION_ROLES]
    if not isStored:
        nodes += [one for one in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if not caseOf(one)]
    return [one for one in nodes if one is not None]


def regions(case: str, reference, *, isStored: bool = True) -> list[tuple[str, np.ndarray]]:
    """(name, mask in the reference's voxels) of every segment of a case, empty ones too."""
    return [pair for node in regionNodes(case, isStored=isStored) for pair in segmentMasks(node, reference)]


def valuesOf(node) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, str]:
    """A map's values and standard deviations (None: not stated), shape (x, y, z), its affine and its unit."""
    values, affine = arrayFromVolume(node)
    std = stdNode(node)
    return values, None if std is None else arrayFromVolume(std)[0], affine, node.GetAttribute(UNIT_ATTRIBUTE) or ""
