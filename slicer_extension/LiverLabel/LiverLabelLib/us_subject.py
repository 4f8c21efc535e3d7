"""Who is looked at and what is asked: the open case of the server, or files of this computer."""

from __future__ import annotations

from collections.abc import Sequence

from .questions import FIBROTIC_NASH, Question
from .session import Session
from .us_sidecar import BMODE, SWE

SUBJECT, PICTURE, QUESTION = "ultrasound subject", "ultrasound picture", "ultrasound question"
"""Topics of the session: another subject or other facts of it; another picture of it is shown; another question."""


class Subject:
    """One for the panels of a module.

    Args:
        session: The shared one; it is told of changes.
    """

    def __init__(self, session: Session):
        self.session = session
        self.files: list = []
        """Opened on this computer (:class:`~.picture_files.OpenedFile`)."""
        self.isLocal = False
        """The files are meant, not the case."""
        self.chosen = 0
        """Index of the picture that is shown."""
        self.patientId = "local"
        """Of the files; a pseudonym."""
        self.species: str | None = None
        """Of the files; None: not stated."""
        self.isSimulated = False
        """The files were computed, not measured."""
        self.question: Question = FIBROTIC_NASH
        """What the server and the reader are asked."""

    @property
    def images(self):
        """The open case, if it is one of ultrasound."""
        opened = self.session.opened
        return opened if opened is not None and opened.kind == "ultrasound" else None

    @property
    def key(self) -> tuple:
        """What an answer belongs to; it differs as soon as another case or other files are meant."""
        if self.isLocal:
            return ("files", *(file.number for file in self.files))
        return ("case", self.session.caseId)

    @property
    def pictures(self) -> Sequence:
        """Of the subject, in order."""
        if self.isLocal:
            return self.files
        return () if self.images is None else self.images.images

    @property
    def picture(self):
        """The one that is shown, or None."""
        return self.pictures[self.chosen] if self.chosen < len(self.pictures) else None

    @property
    def bmode(self):
        """The first B-mode picture, on which explanations and regions lie; None: there is none."""
        return next((picture for picture in self.pictures if picture.role == BMODE), None)

    @property
    def elastogram(self):
        """The picture that is shown if it is an elastogram, else the first; None: there is none."""
        found = [picture for picture in self.pictures if picture.role == SWE]
        isShown = any(one is self.picture for one in found)
        return self.picture if isShown else next(iter(found), None)

    @property
    def whyNone(self) -> str:
        """Why nothing can be asked; empty where there is a subject."""
        if self.isLocal:
            isAny = any(file.role for file in self.files)
            return "" if isAny else "A picture is needed that is B-mode or an elastogram. Open one, or choose its role."
        if self.images is not None:
            return ""
        if self.session.opened is not None:
            return f"'{self.session.caseId}' holds no ultrasound. Open another case, or files of this computer."
        return "No case is open. Open one in the module LiverLabel, or files of this computer below."

    def use(self, isLocal: bool) -> None:
        """Mean the files, or the case."""
        self.isLocal, self.chosen = isLocal, 0
        self.session.tell(SUBJECT)
        self.session.tell(PICTURE)

    def add(self, files: Sequence) -> None:
        """Mean the files with these, and show the first of them."""
        self.files = [*self.files, *files]
        self.isLocal, self.chosen = True, len(self.files) - len(files)
        self.session.tell(SUBJECT)
        self.session.tell(PICTURE)

    def remove(self, file) -> None:
        """Forget a file; it stays on the disk."""
        self.files = [one for one in self.files if one is not file]
        self.use(self.isLocal and bool(self.files))

    def clear(self) -> None:
        """Forget all files, as the scene with their pictures is closed."""
        self.files, self.isLocal, self.chosen = [], False, 0

    def choose(self, index: int) -> None:
        """Show another picture."""
        self.chosen = index
        self.session.tell(PICTURE)

    def ask(self, question: Question) -> None:
        """Mean another question."""
        self.question = question
        self.session.tell(QUESTION)

    def changed(self) -> None:
        """Tell that a role, the species or the like is another one now."""
        self.session.tell(SUBJECT)
