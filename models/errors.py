"""The one error a user can mend."""


class UnsuitableInputError(ValueError):
    """The input cannot be used as it is, and the user can mend it.

    Its text is shown to the user verbatim (exit code 2, HTTP 422): what was needed, what was found, what to do. It
    never holds a traceback, and any other exception is a defect of ours.

    Args:
        text: The sentence.
        unnamed: The same for who may not know of the patients in it; None: it holds none.
    """

    def __init__(self, text: str = "", *, unnamed: str | None = None):
        super().__init__(text)
        self.unnamed = text if unnamed is None else unnamed
