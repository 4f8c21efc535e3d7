"""Which nodes of the scene belong to which case.

Nothing is remembered outside the scene: a node says by its attributes whose it is, so a scene that was saved, closed or
loaded needs no bookkeeping, and a result that comes again takes the place of the former one.
"""

from __future__ import annotations

import slicer
import slicer.util
import vtk

CASE_ATTRIBUTE = "LiverLabel.case"
ROLE_ATTRIBUTE = "LiverLabel.role"
"""What the node is to its case: the name of a map (``pdff_percent``), ``image``, ``roi``, ``clicks.foreground`` …"""
REGION, MEASUREMENT_ROIS = "roi", "measurement_rois"
"""Roles of segmentations: what readers draw, and the discs in which PDFF is read."""


def findNode(className: str, case: str, role: str):
    """The case's node of that role, or None."""
    for node in slicer.util.getNodesByClass(className):
        # A sequence keeps its frames in a scene of its own; a label volume is a kind of scalar volume.
        isThatClass = node.IsA(className) and node.GetClassName() == className
        if isThatClass and caseOf(node) == case and roleOf(node) == role:
            return node
    return None


def nodeFor(className: str, case: str, role: str, name: str):
    """The case's node of that role, made if there is none.

    Args:
        name: Shown to the user; a node that the user renamed keeps the user's name.
    """
    node = findNode(className, case, role)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass(className, name)
        node.SetAttribute(CASE_ATTRIBUTE, case)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        _putInFolder(node, case)
    return node


def caseOf(node) -> str | None:
    """The id of the case that a node belongs to, or None."""
    return node.GetAttribute(CASE_ATTRIBUTE)


def roleOf(node) -> str | None:
    """What a node is to its case, or None."""
    return node.GetAttribute(ROLE_ATTRIBUTE)


def nodesOf(case: str) -> list:
    """Every node of a case."""
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [node for node in nodes if caseOf(node) == case]


def removeCase(case: str) -> None:
    """Take a case's nodes, their display and storage and its folder out of the scene."""
    for node in nodesOf(case):
        removeNode(node)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if (folder := _folderOf(hierarchy, case)) is not None:
        hierarchy.RemoveItem(folder)


def removeNode(node) -> None:
    """Take a node with its display, its colour bar and its storage out of the scene; one that is gone stays gone."""
    scene = slicer.mrmlScene
    if node is None or not scene.IsNodePresent(node):
        return
    for index in reversed(range(node.GetNumberOfDisplayNodes() if hasattr(node, "GetNumberOfDisplayNodes") else 0)):
        if (display := node.GetNthDisplayNode(index)) is not None:
            scene.RemoveNode(display)
    if hasattr(node, "GetStorageNode") and (storage := node.GetStorageNode()) is not None:
        scene.RemoveNode(storage)
    scene.RemoveNode(node)


def _putInFolder(node, case: str) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is None:
        return
    folder = _folderOf(hierarchy, case)
    if folder is None:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), case)
        hierarchy.SetItemAttribute(folder, CASE_ATTRIBUTE, case)
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        hierarchy.CreateItem(folder, node)
    else:
        hierarchy.SetItemParent(item, folder)


def _folderOf(hierarchy, case: str) -> int | None:
    if hierarchy is None:
        return None
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items)
    for index in range(items.GetNumberOfIds()):
        item = items.GetId(index)
        # A data node's own item shows the node's attributes through another call; only folders carry this one.
        if hierarchy.GetItemDataNode(item) is None and hierarchy.GetItemAttribute(item, CASE_ATTRIBUTE) == case:
            return item
    return None
