"""What can go wrong, by what the user can do next. The text of each is shown as it is."""

from __future__ import annotations

from enum import Enum


class LiverLabelError(Exception):
    """Any failure whose text tells the user what was needed, what was found and what to do."""


class CannotConnect(Enum):
    """Why a server cannot be used; the value is the sentence, filled in by :class:`ConnectError`."""

    NO_ADDRESS = "An address is needed, such as http://127.0.0.1:8000; the field is empty. Copy it from the server."
    NO_SCHEME = "The address needs http:// or https:// in front; found '{address}'. Try {suggested}"
    NOT_AN_ADDRESS = "An address such as http://127.0.0.1:8000 is needed; '{address}' is none: {why}. Correct it."
    ANY_HOST = (
        "{host} is where the server listens, not where it is reached; found it in '{address}'. On that computer try "
        "{suggested} and elsewhere the server's own name."
    )
    UNKNOWN_HOST = "No computer is known under the name '{host}'. Correct the address, or connect to its network."
    NOTHING_LISTENS = (
        "Nothing answers at {host} on port {port}. Start the server ('liverlabel serve' prints its address), or "
        "correct the port; LiverLabel's own is 8000."
    )
    UNREACHABLE = "{host} cannot be reached: {why}. Look at the network, a firewall or a VPN."
    CONNECT_TIMEOUT = (
        "{host} did not answer on port {port} within {timeout_s:g} s. Look at the address and at firewalls."
    )
    NEEDS_HTTPS = "The server at {host}:{port} speaks TLS and the address says http. Try {suggested}"
    NEEDS_HTTP = (
        "The server at {host}:{port} does not speak TLS and the address says https. Ask who runs it for TLS; on this "
        "computer try {suggested}"
    )
    EXPIRED_CERTIFICATE = (
        "The certificate of {host} has expired, so it is not certain that this is the server. Ask who runs it to renew "
        "the certificate, and look at this computer's date."
    )
    EARLY_CERTIFICATE = "The certificate of {host} is not valid yet. Look at this computer's date and time."
    SELF_SIGNED_CERTIFICATE = (
        "The certificate of {host} is signed by itself, so it is not certain that this is the server. Get the "
        "certificate file from who runs it and choose it as the CA file."
    )
    UNKNOWN_ISSUER = (
        "The certificate of {host} is signed by an authority that this computer does not know. Get the authority's "
        "certificate from who runs the server and choose it as the CA file."
    )
    OTHER_NAME_IN_CERTIFICATE = (
        "The certificate of the server belongs to another name than '{host}' ({why}). Use the name in the certificate."
    )
    BAD_CERTIFICATE = "The certificate of {host} is refused: {why}. Ask who runs the server for a valid one."
    BAD_CA_FILE = "The CA file needs certificates in PEM form; '{ca_file}' cannot be used: {why}. Choose another."
    TOKEN_NEEDED = (
        "The server asks for its token and none was entered. Enter the token printed when the server started."
    )
    WRONG_TOKEN = (
        "The server has another token. Enter the token printed when it started last; a restart makes a new one."
    )
    NOT_A_TOKEN = (
        "A token has letters, digits and signs without spaces; the one entered has others. Copy it again from the "
        "server's window."
    )
    NOT_LIVERLABEL = "{host}:{port} answers, but not as a LiverLabel server ({why}). Correct the address."
    OTHER_VERSION = (
        "This extension speaks with LiverLabel {needed}; the server has version {found}. Update the {outdated} so that "
        "both have the same version."
    )


class ConnectError(LiverLabelError):
    """A server that cannot be used as it was entered."""

    def __init__(self, reason: CannotConnect, *, suggested: str = "", **values: object):
        super().__init__(reason.value.format(suggested=suggested, **values))
        self.reason = reason
        """Which of the cases it is."""
        self.suggested_address = suggested
        """An address that is likely to work; empty where there is none."""


class LostConnectionError(LiverLabelError):
    """The server went away, or the reply ended before its end: the same request may succeed later."""


class RequestTimeoutError(LiverLabelError):
    """No whole reply in the time allowed."""


class CancelledError(LiverLabelError):
    """The user cancelled."""


class RefusedError(LiverLabelError):
    """The server answered with a refusal; its sentence is the text."""

    def __init__(self, status: int, sentence: str, retry_after_s: float | None = None):
        super().__init__(sentence)
        self.status = status
        """HTTP status."""
        self.retry_after_s = retry_after_s
        """Seconds to wait before the same request, where the server says so."""


class UnusableReplyError(LiverLabelError):
    """A reply that is not what the contract promises; nothing of it is shown."""


class UnsuitableInputError(LiverLabelError):
    """A file, a curve or a value that cannot be used; the user can mend it."""
