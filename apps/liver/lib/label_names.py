"""What a file sent as an image or label says by its name, and who its reader is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX, ID_PATTERN
from monailabel.utils.others.generic import file_ext

from .layout import IMAGE_SUFFIXES, LABEL_SUFFIXES, reader_in_answer


def known_suffix(file_name: str, known: tuple[str, ...], kind: str) -> str:
    """How a file's name ends.

    Raises:
        UnsuitableInputError: not in one of the ``known`` ways.
    """
    name = os.path.basename(file_name)
    suffix = next((end for end in (CASE_SUFFIX, *IMAGE_SUFFIXES, *LABEL_SUFFIXES) if name.endswith(end)), None)
    suffix = suffix or file_ext(name)
    if suffix not in known:
        advice = " A case has several files: import it with 'liverlabel import'." if suffix == CASE_SUFFIX else ""
        raise UnsuitableInputError(
            f"The file of {'an' if kind[0] in 'aeiou' else 'a'} {kind} needs a name that ends in "
            f"{', '.join(known)}; found {suffix or 'none'!r}.{advice or ' Rename or convert it.'}"
        )
    return suffix


def reader_of(info: Mapping[str, Any], answer: bytes) -> str:
    """Who drew or answered, as the request or the answer's own file says; empty when neither does.

    Raises:
        UnsuitableInputError: a name outside the allow-list, or two different ones.
    """
    named = sorted({str(name) for name in (info.get("reader") or "", reader_in_answer(answer)) if name})
    if len(named) > 1:
        raise UnsuitableInputError(
            f"A label needs one reader; the request and its file name {named[0][:80]!r} and {named[1][:80]!r}. "
            "Correct one of them."
        )
    if named and not ID_PATTERN.fullmatch(named[0]):
        raise UnsuitableInputError(
            "'reader' needs a name of up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit; "
            f"found {named[0][:80]!r}. Use initials or a number."
        )
    return named[0] if named else ""
