"""3D Slicer's Segment Editor inside a panel, on the outline of the open case."""

from __future__ import annotations

import slicer

TAG = "LiverLabel"
"""Of the one vtkMRMLSegmentEditorNode that all our panels use."""


class SegmentEditor:
    """What the embedded widget is told.

    Args:
        widget: A ``qMRMLSegmentEditorWidget``.
    """

    def __init__(self, widget):
        self.widget = widget
        self._isOn = False
        widget.setMRMLScene(slicer.mrmlScene)
        # Which segmentation and image are edited is the panel's to say.
        widget.setSegmentationNodeSelectorVisible(False)
        widget.setSourceVolumeNodeSelectorVisible(False)

    def show(self, segmentation, image) -> None:
        """Edit a segmentation on its image; None: nothing."""
        if slicer.mrmlScene.IsClosing():
            segmentation = image = None
        elif self.widget.mrmlSegmentEditorNode() is not editorNode():
            self.widget.setMRMLSegmentEditorNode(editorNode())
        if self.widget.segmentationNode() is not segmentation:
            self.widget.setSegmentationNode(segmentation)
        if self.widget.sourceVolumeNode() is not image:
            self.widget.setSourceVolumeNode(image)

    def enter(self) -> None:
        """The module is open: the editor's keys work and its brushes show in the views."""
        if not self._isOn:
            self._isOn = True
            self.widget.setupViewObservations()
            self.widget.installKeyboardShortcuts()

    def exit(self) -> None:
        """Neither effect nor key of it goes on in another module, or while the mouse places points."""
        if self._isOn:
            self._isOn = False
            self.widget.setActiveEffectByName("")
            self.widget.uninstallKeyboardShortcuts()
            self.widget.removeViewObservations()

    def close(self) -> None:
        """The panel is taken down."""
        self.exit()
        self.widget.setSegmentationNode(None)
        self.widget.setSourceVolumeNode(None)


def editorNode():
    """The scene's editor node of ours, made anew after the scene was closed."""
    node = slicer.mrmlScene.GetSingletonNode(TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node
