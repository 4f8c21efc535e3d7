"""What a request may name: an allow-list for ids and tags, and no path to a file of the server."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import Request
from liver_models.errors import UnsuitableInputError
from liver_models.io.case import ID_PATTERN
from starlette.datastructures import UploadFile

NAMES = frozenset("image label id tag label_tag model strategy method task session_id request_id roi images".split())
"""Path parts, query keys and keys of ``params`` whose value is an id or a tag."""
SERVER_FILES = frozenset(
    ("model_filename", "model_path", "path", "file", "file_path", "image_path", "label_path", "bundle")
)
"""Keys of ``params`` through which MONAI Label would open any file of the server."""
PATH_SIGNS = re.compile(r"[/\\]|^~|\.\.|\x00")
FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
COMPUTING = (
    "/infer",
    "/liver/infer",
    "/train",
    "/liver/train",
    "/scoring",
    "/activelearning",
    "/liver/score",
    "/batch",
)


def check_name(kind: str, value: Any) -> str:
    """The id or tag itself.

    Raises:
        UnsuitableInputError: it is not a name from the allow-list.
    """
    if not isinstance(value, str) or not ID_PATTERN.fullmatch(value):
        raise UnsuitableInputError(
            f"'{kind}' needs a name of up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit; "
            f"found {str(value)[:80]!r}. Use an id from GET /liver/cases."
        )
    return value


def check_params(value: Any, *, may_hold_text: bool = False) -> None:
    """Refuse ids, tags and paths in request parameters, at any depth.

    Args:
        value: Decoded JSON.
        may_hold_text: True where free text is stored and never used to open a file, as in the description of a label.
    Raises:
        UnsuitableInputError: a name outside the allow-list, or a path.
    """
    if isinstance(value, list):
        for item in value:
            check_params(item, may_hold_text=may_hold_text)
    if not isinstance(value, dict):
        if isinstance(value, str) and not may_hold_text and PATH_SIGNS.search(value):
            raise UnsuitableInputError(
                f"Parameters need plain values; found the path {value[:80]!r}. The server reads only stored cases "
                "and files sent with the request."
            )
        return
    for key, item in value.items():
        if key in SERVER_FILES and not may_hold_text:
            raise UnsuitableInputError(
                f"'{key}' is not taken: the server reads only stored cases and files sent with the request. "
                "Leave it out."
            )
        if key in NAMES and isinstance(item, str) and item:
            check_name(key, item)
        else:
            check_params(item, may_hold_text=may_hold_text)


def check_upload_name(name: str) -> str:
    """The last part of an uploaded file's name; folders of the sender's own machine are dropped.

    Raises:
        UnsuitableInputError: it is not a name from the allow-list.
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    if not ID_PATTERN.fullmatch(name):
        raise UnsuitableInputError(
            "'file name' needs a name of up to 128 letters A to Z, digits, '_', '-' and '.', starting with a letter or "
            f"digit; found {name[:80]!r}. Rename the file, or send its folder as a .zip, which may hold any names."
        )
    return name


def decoded(field: str, text: str) -> Any:
    """JSON sent as text.

    Raises:
        UnsuitableInputError: it is not JSON.
    """
    try:
        return json.loads(text) if text else {}
    except RecursionError as error:
        raise UnsuitableInputError(f"'{field}' needs JSON of few levels; it is nested too deeply.") from error
    except ValueError as error:
        raise UnsuitableInputError(f"'{field}' needs JSON; it could not be read ({error}).") from error


async def check_request(request: Request) -> None:
    """Check everything a request names before any handler sees it; a dependency of every route."""
    for key, value in [*request.path_params.items(), *request.query_params.multi_items()]:
        if key in NAMES and value:
            check_name(key, value)
    # No DELETE takes a body, and MONAI Label's client announces the length of its last request's without sending one.
    if request.method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        return
    may_hold_text = not request.url.path.startswith(COMPUTING)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in FORM_TYPES:
        form = await request.form(max_files=request.app.state.settings.max_files)
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                check_upload_name(value.filename or "")
            elif key in ("params", "info"):
                check_params(decoded(key, value), may_hold_text=may_hold_text)
            elif key in NAMES and value:
                check_name(key, value)
    elif content_type == "application/json":
        body = await request.body()
        check_params(decoded("body", body.decode("utf-8", "replace")), may_hold_text=may_hold_text)
