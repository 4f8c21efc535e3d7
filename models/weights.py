"""Weights of a network in one file that cannot run code: tensors, model card and seal.

A file is safetensors. Its metadata holds one entry, ``liverlabel``, with the card as JSON and the SHA-256 of the whole
file, computed with the digest's own 64 characters set to 0: tensor bytes, names, types, shapes and card are all sealed.
Nothing in a file is executed, unlike a pickle. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UnsuitableInputError

SUFFIX = ".safetensors"
"""How the name of every file of weights ends."""
PRETRAINED_FOLDER = Path(__file__).parent / "pretrained"
"""Where the package keeps the weights that come with it."""

_ENTRY = "liverlabel"  # The only metadata entry: safetensors writes several in random order.
_NO_DIGEST = "0" * 64
_REMEDY = "Train again, or take the file from a backup or a fresh installation."
_MAX_LISTED = 12


@dataclass(frozen=True)
class Weights:
    """Tensors of a network and what is known about them."""

    tensors: dict[str, np.ndarray]
    """Name in the network's state -> array."""
    card: dict[str, Any]
    """JSON-ready; ``architecture`` names the network, ``config`` holds what it is built from."""


def save_weights(path: str | Path, tensors: dict[str, np.ndarray], card: dict[str, Any]) -> str:
    """Write weights and their card whole or not at all; the same input gives the same bytes.

    Args:
        path: Ends in ``.safetensors``; a file that is there is replaced only when the new one is complete.
        tensors: Name -> array of booleans, integers, floats or complex64, any memory order.
        card: JSON-ready, without NaN; needs the keys ``architecture`` (str) and ``config`` (dict).
    Returns:
        Hex SHA-256 of the file.
    Raises:
        UnsuitableInputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise UnsuitableInputError(
            f"Weights need a name that ends in {SUFFIX}; found '{path.name}'. Give another name."
        )
    if not _is_card(card):
        raise ValueError("A card needs 'architecture', a name, and 'config', a dict.")
    data = _sealed(tensors, card)
    _write(path, data)
    return _digest(data)


def digest_of_weights(weights: Weights) -> str:
    """Hex SHA-256 of the file that :func:`save_weights` makes of these weights."""
    return _digest(_sealed(weights.tensors, weights.card))


def load_weights(path: str | Path, architecture: str | None = None) -> Weights:
    """Read weights after checking that they are whole, unchanged and meant for the network.

    Args:
        path: A file of :func:`save_weights`.
        architecture: What the card must name; None takes any.
    Raises:
        UnsuitableInputError: no such file, a pickle, truncated, changed in any bit, without card, or for another
            network.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        if not path.is_file():
            raise FileNotFoundError(None, "no such file")
        data = path.read_bytes()
    except OSError as error:
        raise UnsuitableInputError(
            f"A readable file of weights is needed; '{path.name}' is not: {error.strerror or 'unreadable'}. {_REMEDY}"
        ) from error
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError) as error:  # A type or a size beyond numpy's.
        # A safetensors header starts at byte 8, after its length, which may start like a zip or a pickle does.
        is_pickle = data[8:9] != b"{" and data.startswith((b"PK", b"\x80"))
        found = "a pickle, which could run code" if is_pickle else "truncated or damaged"
        raise UnsuitableInputError(
            f"Weights need to be a whole safetensors file; '{path.name}' is {found}. {_REMEDY}"
        ) from error
    sealed = _read_seal(data)
    if sealed is None:
        raise UnsuitableInputError(
            f"Weights need a card that says what they are; '{path.name}' holds tensors without one. {_REMEDY}"
        )
    card, digest = sealed
    if _digest(data.replace(digest.encode(), _NO_DIGEST.encode(), 1)) != digest:
        raise UnsuitableInputError(
            f"Weights need to be as they were saved; '{path.name}' was changed since: its SHA-256 differs. {_REMEDY}"
        )
    if architecture is not None and card["architecture"] != architecture:
        raise UnsuitableInputError(
            f"Weights of the architecture '{architecture}' are needed; '{path.name}' holds "
            f"'{card['architecture']}'. {_REMEDY}"
        )
    return Weights(tensors, card)


def check_shapes(weights: Weights, expected: dict[str, tuple[int, ...]]) -> None:
    """Refuse weights that do not fill a network exactly.

    Args:
        expected: Name -> shape of each tensor of the network's state.
    Raises:
        UnsuitableInputError: names the first tensor that is missing, of another shape, or not in the network.
    """
    name = weights.card["architecture"]
    for tensor, shape in expected.items():
        if tensor not in weights.tensors:
            raise UnsuitableInputError(f"The network '{name}' needs a tensor '{tensor}'; it is missing. {_REMEDY}")
        found = weights.tensors[tensor].shape
        if found != tuple(shape):
            raise UnsuitableInputError(
                f"The network '{name}' needs '{tensor}' of shape {tuple(shape)}; found {found}. {_REMEDY}"
            )
    extra = next((tensor for tensor in weights.tensors if tensor not in expected), None)
    if extra is not None:
        raise UnsuitableInputError(
            f"The network '{name}' needs its own tensors only; found '{extra}', which it does not have. {_REMEDY}"
        )


def pretrained_path(name: str) -> Path:
    """File of the weights that come with the package.

    Raises:
        UnsuitableInputError: unknown name; those that exist are named.
    """
    known = {path.stem: path for path in sorted(PRETRAINED_FOLDER.glob(f"*{SUFFIX}"))}
    if name not in known:
        found = (
            f"installed are {', '.join(known)}. Give one of these." if known else "none are installed. Install again."
        )
        raise UnsuitableInputError(f"Pretrained weights '{name}' are needed; {found}")
    return known[name]


def card_markdown(card: dict[str, Any]) -> str:
    """The card as a page to read: single values first, then a section for each group of values."""
    lines = [f"# {_plain(card.get('name', card['architecture']))}", ""]
    groups = {key: value for key, value in card.items() if isinstance(value, dict) and value}
    lines += _bullets({key: value for key, value in card.items() if key not in groups and key != "name"})
    for key, group in groups.items():
        lines += ["", f"## {_words(key)}", "", *_bullets(group)]
    return "\n".join(lines) + "\n"


def _bullets(group: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in group.items():
        rows = value if isinstance(value, list) and any(isinstance(row, dict) for row in value) else None
        if isinstance(value, dict) and value:
            lines += [f"{indent}- {_words(key)}:", *_bullets(value, indent + "  ")]
        elif rows is not None:
            lines += [f"{indent}- {_words(key)}:", *(f"{indent}  - {_value(row)}" for row in rows)]
        else:
            lines.append(f"{indent}- {_words(key)}: {_value(value)}")
    return lines


def _words(key: str) -> str:
    text = _plain(key.replace("_", " "))
    return text[:1].upper() + text[1:]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_plain(key)} {_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        items = [_value(item) for item in value[:_MAX_LISTED]]
        return ", ".join(items + [f"… ({len(value)} values)"] * (len(value) > _MAX_LISTED)) or "none"
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """One line without HTML: cards may come with weights from elsewhere."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")


def _is_card(card: Any) -> bool:
    return isinstance(card, dict) and isinstance(card.get("architecture"), str) and isinstance(card.get("config"), dict)


def _sealed(tensors: dict[str, np.ndarray], card: dict[str, Any]) -> bytes:
    from safetensors.numpy import save

    card_text = json.dumps(card, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # safetensors copies memory as it lies: strided arrays would be scrambled. ascontiguousarray would make scalars 1-D.
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    # The digest comes before the card: it is then the first text of its kind, whatever the card holds.
    data = save(arrays, {_ENTRY: f'{{"sha256": "{_NO_DIGEST}", "card": {card_text}}}'})
    return data.replace(_NO_DIGEST.encode(), _digest(data).encode(), 1)


def _read_seal(data: bytes) -> tuple[dict[str, Any], str] | None:
    """Card and digest of a file that safetensors has read; None if there are none."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        entry = json.loads(header["__metadata__"][_ENTRY], parse_constant=_refuse_constant)
        card, digest = entry["card"], entry["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_digest = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    return (card, digest) if _is_card(card) and is_digest else None


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not JSON.")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise UnsuitableInputError(
            f"A folder with free space that can be written is needed for '{path.name}'; found: "
            f"{error.strerror or 'write failed'}. Free some space or choose another folder; the former file is kept."
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
