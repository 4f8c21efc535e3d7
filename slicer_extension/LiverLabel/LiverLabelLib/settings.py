"""What the extension remembers between sessions, in whatever store it is given.

The store is anything with ``value(key, default)``, ``setValue(key, value)`` and ``remove(key)``: in 3D Slicer the
application's user settings, in a test a dictionary. The token is kept only if the user asks for it; otherwise it lives
as long as this object.
"""

from __future__ import annotations

_GROUP = "LiverLabel/"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
_READER_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


class MemoryStore:
    """A store that forgets at the end of the program."""

    def __init__(self):
        self._values: dict[str, object] = {}

    def value(self, key: str, default=None):
        return self._values.get(key, default)

    def setValue(self, key: str, value) -> None:
        self._values[key] = value

    def remove(self, key: str) -> None:
        self._values.pop(key, None)


class Settings:
    """The user's choices; each is stored when it is set."""

    def __init__(self, store=None):
        self._store = MemoryStore() if store is None else store
        self._token = self._text("token") if self.isTokenKept else ""

    @property
    def address(self) -> str:
        """The server's address as the user entered it."""
        return self._text("address") or DEFAULT_ADDRESS

    @address.setter
    def address(self, value: str) -> None:
        self._put("address", value.strip())

    @property
    def reader(self) -> str:
        """The reader's id, sent with every label; empty where nobody has said."""
        return self._text("reader")

    @reader.setter
    def reader(self, value: str) -> None:
        value = value.strip()
        isId = value == "" or (value[0].isalnum() and len(value) <= 128 and set(value) <= _READER_LETTERS)
        if not isId:
            raise ValueError(
                f"A reader's name has letters without accents, digits and _ . - and begins with a letter or digit; "
                f"found '{value}'. Choose another, such as 'reader-1'."
            )
        self._put("reader", value)

    @property
    def caFile(self) -> str:
        """A PEM file of the authority that signed the server's certificate; empty for the computer's own list."""
        return self._text("caFile")

    @caFile.setter
    def caFile(self, value: str) -> None:
        self._put("caFile", value.strip())

    @property
    def token(self) -> str:
        """The server's token; empty where none was entered."""
        return self._token

    @token.setter
    def token(self, value: str) -> None:
        self._token = value.strip()
        self._storeToken()

    @property
    def isTokenKept(self) -> bool:
        """Whether the token is written to the store, which other programs of this user can read."""
        # Qt's settings give a stored boolean back as text.
        return self._text("isTokenKept").lower() == "true"

    @isTokenKept.setter
    def isTokenKept(self, value: bool) -> None:
        self._put("isTokenKept", "true" if value else "false")
        self._storeToken()

    def _storeToken(self) -> None:
        if self.isTokenKept and self._token:
            self._put("token", self._token)
        else:
            self._store.remove(_GROUP + "token")

    def _text(self, key: str) -> str:
        value = self._store.value(_GROUP + key, "")
        return "" if value is None else str(value)

    def _put(self, key: str, value: str) -> None:
        self._store.setValue(_GROUP + key, value)
