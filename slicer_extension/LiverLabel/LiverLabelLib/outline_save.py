"""The outline on its way to the server, or to this computer's outbox where it is left unsaved."""

from __future__ import annotations

from .case_nodes import REGION, findNode
from .case_opening import fingerprint, markStored
from .case_view import imageNode, outlinedImage
from .errors import LiverLabelError, UnsuitableInputError
from .geometry import geometry_difference
from .mrml_io import turned
from .nifti import Volume, write_nifti
from .outline_segments import SEGMENTATION
from .segments import labelsFromSegmentation
from .session import OUTBOX, Session

NOT_SENT = "Kept on this computer, not sent: "
_NOT_CONNECTED = "Kept on this computer, not sent yet. "


def outlineVolume(opened, isOverlapTaken: bool = False) -> Volume:
    """The segments of a case as a label volume in the order of the server's image and exactly its geometry.

    Args:
        opened: The case's images.
        isOverlapTaken: As :func:`.segments.labelsFromSegmentation`.
    Raises:
        UnsuitableInputError: nothing is outlined, segments overlap, one lies outside the image, or the image in the
            scene is not the server's any more.
    """
    node, image = findNode(SEGMENTATION, opened.case_id, REGION), imageNode(opened.case_id)
    if node is None or image is None:
        raise UnsuitableInputError("An outline and its image are needed; the scene has none. Open the case again.")
    labels, affine = labelsFromSegmentation(node, image, isOverlapTaken=isOverlapTaken)
    server = outlinedImage(opened).volume
    if opened.kind == "ultrasound":
        affine = server.affine
    labels, affine = turned(labels, affine, server.affine)
    if differs := geometry_difference(labels.shape, affine, server.array.shape[:3], server.affine):
        raise UnsuitableInputError(
            f"An outline needs the geometry of the server's image; '{image.GetName()}' was changed in the scene: "
            f"{differs}. Open the case again and outline it there."
        )
    return Volume(labels, server.affine)


class Saving:
    """Of one :class:`~.outline_scene.Outline`, whose ``state`` tells how it ended."""

    def __init__(self, outline, session: Session):
        self._outline, self._session = outline, session
        self.note = ""
        """On the outline of another case that was kept here."""
        self._savingVersion: int | None = None

    def save(self) -> None:
        """Store the outline on the server, or keep it on this computer where that fails; ``state`` says which.

        Raises:
            UnsuitableInputError: as :func:`outlineVolume`.
        """
        outline, opened, reader = self._outline, self._session.opened, self._session.settings.reader
        case, version, volume = opened.case_id, outline.version, outlineVolume(opened)
        node = outline.node
        sent = fingerprint(node)
        self._savingVersion, outline.state, self.note = version, "Saving …", ""

        def end(sentence: str, isSafe: bool) -> None:
            self._savingVersion = None if self._savingVersion == version else self._savingVersion
            if opened is not self._session.opened:
                self.note = f"Outline of '{case}': {sentence}"
            elif version != outline.version:
                outline.state = f"{sentence} Edited since, not saved yet."
            else:
                outline.isEdited, outline.state = not isSafe, sentence
            outline.tell()

        def failed(error: LiverLabelError) -> None:
            isLost = isinstance(error, UnsuitableInputError) and isinstance(error.__cause__, OSError)
            end(str(error) if isLost else NOT_SENT + str(error).removeprefix(_NOT_CONNECTED), not isLost)

        def saved() -> None:
            markStored(node, sent)
            end(f"Saved as {reader}." if reader else "Saved without a reader's name.", True)

        self._session.save(case, lambda: write_nifti(volume), f"{case}.nii.gz", saved, failed)
        outline.tell()

    def keep(self, opened) -> None:
        """Keep edits that nobody saved on this computer, without sending them: their case is being left."""
        outline = self._outline
        if opened is None or not outline.isEdited or self._savingVersion == outline.version:
            return
        case, reader, address = opened.case_id, self._session.settings.reader, self._session.addressOfAnnotations

        def told(sentence: str) -> None:
            self.note = sentence
            self._session.tell(OUTBOX)
            outline.tell()

        def work(job) -> None:
            self._session.outbox.keep(address, case, write_nifti(volume), f"{case}.nii.gz", reader)

        try:
            volume = outlineVolume(opened, isOverlapTaken=True)
        except UnsuitableInputError as error:
            told(f"The outline of '{case}' was edited and could not be kept: {error}")
            return
        self._session.runner.start(
            "outline.keep",
            work,
            lambda _: told(f"The unsaved outline of '{case}' is kept on this computer, not sent."),
            lambda error: told(f"The outline of '{case}' was not saved: {error}"),
            is_exclusive=False,
            is_of_scene=False,
        )
