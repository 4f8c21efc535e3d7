"""Opening a stored case: fetched in a job, shown by the window's thread; what was drawn and not stored is noticed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import slicer.util

from .case_images import ULTRASOUND, CaseImages
from .case_nodes import REGION, caseOf, roleOf
from .case_view import imageNode, showCase
from .client import FINAL, LiverLabelClient
from .errors import RefusedError, UnsuitableInputError, UnusableReplyError
from .nifti import Volume
from .segments import labelsFromSegmentation, segmentationFromLabels
from .transport import Call

STORED_ATTRIBUTE = "LiverLabel.stored"
"""Of a segmentation: fingerprint of its labels as the server has them."""
PROPOSED_ATTRIBUTE = "LiverLabel.proposed"
"""Of a segmentation: fingerprint of its labels as a method proposed them, so that nothing is lost with them."""


@dataclass(frozen=True, eq=False)
class FetchedCase:
    """A case as it came from the server."""

    images: CaseImages
    """Its images."""
    region: Volume | None
    """The region stored under ``final``; None: there is none, or it cannot be used."""
    remark: str = ""
    """Why a stored region is not there; empty where nothing is amiss."""


def fetchCase(client: LiverLabelClient, caseId: str, call: Call) -> FetchedCase:
    """Get a case's images and the region that is stored for it. For a job's thread.

    Raises:
        LiverLabelError: its images cannot be had.
    """
    images = client.images(caseId, call)
    try:
        isStored = any((one.tag, one.kind) == (FINAL, "region") for one in client.labels(caseId, call))
        return FetchedCase(images, client.label_volume(caseId, FINAL, call) if isStored else None)
    except (RefusedError, UnusableReplyError, UnsuitableInputError) as error:
        return FetchedCase(images, None, _notShown(error))


def showFetched(fetched: FetchedCase) -> str:
    """Put a case into the scene with its stored region as a segmentation; a remark, empty where nothing is amiss."""
    images, region = fetched.images, fetched.region
    showCase(images)
    if region is None:
        return fetched.remark
    image = imageNode(images.case_id)
    if image is None:
        return _notShown("It needs a B-mode image to lie on, and this case has none.")
    affine = None if images.kind == ULTRASOUND else region.affine
    isOneRegion = region.array.max() == 1
    try:
        node = segmentationFromLabels(
            region.array,
            affine,
            image,
            case=images.case_id,
            role=REGION,
            names={1: "Liver"} if isOneRegion else None,
        )
    except UnsuitableInputError as error:
        return _notShown(error)
    markStored(node)
    return ""


def markStored(node, sent: str | None = None) -> None:
    """Note that the server has a segmentation's labels. For whoever saved or loaded it.

    Args:
        node: The segmentation.
        sent: Its :func:`fingerprint` when it was sent, as the reader may have gone on drawing; None: as it is now.
    """
    node.SetAttribute(STORED_ATTRIBUTE, fingerprint(node) if sent is None else sent)


def markProposed(node) -> None:
    """Note that a segmentation is as a method proposed it."""
    node.SetAttribute(PROPOSED_ATTRIBUTE, fingerprint(node))


def isStored(node) -> bool:
    """Whether a segmentation is as the server has it."""
    return fingerprint(node) == node.GetAttribute(STORED_ATTRIBUTE)


def fingerprint(node) -> str:
    """Of the labels; of overlapping or misplaced ones, which cannot be stored, another than that of any label."""
    image = imageNode(caseOf(node))
    try:
        labels, _ = labelsFromSegmentation(node, image) if image is not None else (None, None)
    except UnsuitableInputError:
        labels = None
    return "none" if labels is None else hashlib.sha256(labels.tobytes()).hexdigest()


def unsavedCases() -> list[str]:
    """Ids of the cases in the scene whose region is neither what the server has nor what it proposed, in order."""
    drawn = [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if roleOf(node) == REGION]
    unsaved = {caseOf(node) for node in drawn if not _isEmpty(node) and fingerprint(node) not in _known(node)}
    return sorted(unsaved - {None})


def _known(node) -> tuple[str | None, ...]:
    return tuple(node.GetAttribute(name) for name in (STORED_ATTRIBUTE, PROPOSED_ATTRIBUTE))


def _isEmpty(node) -> bool:
    bounds = [0.0] * 6
    node.GetSegmentation().GetBounds(bounds)
    return bounds[0] > bounds[1]


def _notShown(error: Exception | str) -> str:
    return f"The stored region is not shown. {error}"
