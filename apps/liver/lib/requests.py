"""What a client may ask of ``POST /liver/infer/{task}``, in its two forms: a stored case, or the files of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from liver_models.errors import UnsuitableInputError
from starlette.datastructures import UploadFile

from .guards import decoded

KNOWN_KEYS = ("image", "params", "roi")
KNOWN_FIELDS = ("files", "roi", "params")


@dataclass(frozen=True)
class InferRequest:
    """One request for a task."""

    params: Mapping[str, Any]
    """Method and settings of the task."""
    image: str | None = None
    """Id of a stored case; None when files were sent."""
    roi_tag: str | None = None
    """Tag of the label that holds the regions of a stored case; None: ``final`` if there is one."""
    files: tuple[UploadFile, ...] = field(default=())
    """The files of an unsaved case."""
    roi: UploadFile | None = None
    """Mask of an unsaved case."""


async def read_request(request: Request) -> InferRequest:
    """Read either form; a dependency, so that the handler itself can be a plain function in a thread.

    Raises:
        UnsuitableInputError: neither form, or a key that is not known.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/json":
        return _from_json(decoded("body", (await request.body()).decode("utf-8", "replace")))
    if content_type == "multipart/form-data":
        return _from_form(await request.form(max_files=request.app.state.settings.max_files))
    raise UnsuitableInputError(
        "This route needs JSON with the id of a stored case, or a multipart/form-data upload of the files of a "
        "study; found "
        f"the content type {content_type[:60]!r}."
    )


def _from_json(body: Any) -> InferRequest:
    if not isinstance(body, dict):
        raise UnsuitableInputError(
            'The body needs a JSON object such as {"image": "CASE"}; found another kind of JSON.'
        )
    _refuse_unknown(body, KNOWN_KEYS)
    image = body.get("image")
    if not isinstance(image, str) or not image:
        raise UnsuitableInputError("'image' needs the id of a stored case; GET /liver/cases lists them.")
    roi = body.get("roi")
    if roi is not None and not isinstance(roi, str):
        raise UnsuitableInputError("'roi' needs the tag of a stored label, for example 'final'.")
    return InferRequest(params=checked_params(body.get("params")), image=image, roi_tag=roi)


def _from_form(form: Any) -> InferRequest:
    _refuse_unknown(form, KNOWN_FIELDS)
    files, roi, params = form.getlist("files"), form.get("roi") or None, form.get("params", "{}")
    if not all(isinstance(file, UploadFile) for file in [*files, *([roi] if roi else [])]) or not isinstance(
        params, str
    ):
        raise UnsuitableInputError(
            "'files' and 'roi' need files with names, and 'params' text; found it the other way round."
        )
    return InferRequest(params=checked_params(decoded("params", params)), files=tuple(files), roi=roi)


def _refuse_unknown(found: Any, known: tuple[str, ...]) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise UnsuitableInputError(f"The request may hold {', '.join(known)}; found also {', '.join(unknown)[:200]}.")


def checked_params(params: Any) -> Mapping[str, Any]:
    """The parameters of a task, none when they were left out.

    Raises:
        UnsuitableInputError: JSON of another kind.
    """
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise UnsuitableInputError(
            '\'params\' needs a JSON object such as {"method": "ai_deal"}; found another kind of JSON.'
        )
    return params
