"""The segments of the open case: the liver's outline, and the discs in which PDFF is read."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import slicer

from .case_nodes import MEASUREMENT_ROIS, REGION, findNode
from .case_view import imageNode
from .mrml_io import shapeOf
from .outline_history import copyOf, restore
from .results import RegionAnswer
from .roi import Observers
from .segments import labelValues, maskOf, replaceSegment, segmentationFromLabels

SEGMENTATION = "vtkMRMLSegmentationNode"
LIVER = {1: "Liver"}


class CaseSegments:
    """Reads and writes them; what others change is told.

    Args:
        session: Whose case is open.
        onOutline, onDiscs: Called when somebody else changed the outline or the discs.
    """

    def __init__(self, session, onOutline, onDiscs):
        self._session = session
        self._calls = {REGION: onOutline, MEASUREMENT_ROIS: onDiscs}
        self._isWriting = False
        self._observers = Observers()
        self._watched: list = []

    @property
    def image(self):
        """The node of the image that is outlined; None where no case is open."""
        return imageNode(self._session.caseId) if self._session.caseId else None

    def node(self, role: str = REGION):
        """The segmentation of a role, or None."""
        return findNode(SEGMENTATION, self._session.caseId, role) if self._session.caseId else None

    @property
    def hasOutline(self) -> bool:
        """Whether there is a segment."""
        node = self.node()
        return node is not None and node.GetSegmentation().GetNumberOfSegments() > 0

    @property
    def liverId(self) -> str:
        """The segment with the liver's value, else the first; empty where there is none."""
        values = labelValues(self.node()) if self.node() is not None else {}
        return next((one for one, value in values.items() if value == 1), next(iter(values), ""))

    def mask(self) -> np.ndarray:
        """The liver in the image's voxels, bool."""
        if not self.hasOutline:
            return np.zeros(shapeOf(self.image), bool)
        return maskOf(self.node(), self.liverId, self.image)

    def write(self, mask) -> None:
        """Replace the liver's segment, which is made if there is none; the reader's other segments stay."""
        with self._writing():
            if not self.hasOutline:
                self._setLabels(np.zeros(shapeOf(self.image), np.uint8), None, REGION, LIVER)
            replaceSegment(self.node(), self.liverId, mask, self.image)

    def show(self, answer: RegionAnswer, isPicture: bool) -> None:
        """Replace all segments by an answer's.

        Raises:
            UnsuitableInputError: it does not fit the image.
        """
        volume = answer.maps["liver_roi"]
        with self._writing():
            self._setLabels(volume.array > 0, None if isPicture else volume.affine, REGION, LIVER)
            if answer.measurement_rois:
                discs = answer.maps[MEASUREMENT_ROIS]
                self._setLabels(
                    discs.array, discs.affine, MEASUREMENT_ROIS, dict(enumerate(answer.measurement_rois, start=1))
                )
            elif self.node(MEASUREMENT_ROIS) is not None:
                self.node(MEASUREMENT_ROIS).GetSegmentation().RemoveAllSegments()

    def copies(self) -> dict:
        """Role -> a copy of its segments, or None."""
        return {role: copyOf(self.node(role)) for role in self._calls}

    def putBack(self, copies: dict) -> None:
        """Restore what :meth:`copies` gave."""
        with self._writing():
            for role, kept in copies.items():
                if self.node(role) is None and kept is not None:
                    self._setLabels(np.zeros(shapeOf(self.image), np.uint8), None, role, {})
                if self.node(role) is not None:
                    restore(self.node(role), kept)

    def follow(self) -> None:
        """Hear of changes of the segmentations that there are now."""
        nodes = [self.node(role) for role in self._calls]
        if nodes == self._watched:
            return
        self._observers.removeAll()
        self._watched = nodes
        kind = slicer.vtkSegmentation
        for node, call in zip(nodes, self._calls.values(), strict=True):
            for event in (kind.SourceRepresentationModified, kind.SegmentAdded, kind.SegmentRemoved):
                if node is not None:
                    self._observers.add(node.GetSegmentation(), event, lambda *_, call=call: self._changed(call))

    def close(self) -> None:
        """Hear of nothing more."""
        self._observers.removeAll()

    def _changed(self, call) -> None:
        if not self._isWriting:
            call()

    def _setLabels(self, labels, affine, role: str, names: dict) -> None:
        case = self._session.caseId
        segmentationFromLabels(labels, affine, self.image, case=case, role=role, names=names)

    @contextmanager
    def _writing(self):
        self._isWriting = True
        try:
            yield
        finally:
            self._isWriting = False
