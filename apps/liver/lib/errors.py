"""From an exception to the status and the sentence a client reads."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from liver_models.errors import UnsuitableInputError
from liver_models.io.files import cannot_write
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException
from starlette.exceptions import HTTPException

from .failures import (
    ComputationError,
    ServerBusyError,
    StoreRefusedError,
    StoreUnreachableError,
    TrainingRunningError,
    UnknownNameError,
)

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def without_nan(value: Any) -> Any:
    """The same JSON value with every number that is not finite replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


class FiniteJSONResponse(JSONResponse):
    """JSON as the standard allows it: NaN and infinity are null."""

    def render(self, content: Any) -> bytes:
        """Encode ``content``."""
        return json.dumps(without_nan(content), ensure_ascii=False, allow_nan=False).encode()


def is_full_disk(error: BaseException | None) -> bool:
    """True when an error was caused, at whatever remove, by a disk without space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        error = error.__cause__
    return False


def reply(status: int, sentence: str, **headers: str) -> FiniteJSONResponse:
    """The one form of every refusal: ``{"detail": sentence}``."""
    return FiniteJSONResponse({"detail": sentence}, status_code=status, headers=headers or None)


def install(app: FastAPI) -> None:
    """Teach ``app`` how each exception is answered."""

    @app.exception_handler(UnsuitableInputError)
    def unsuitable(_: Request, error: UnsuitableInputError):
        return reply(507 if is_full_disk(error) else 422, str(error))

    @app.exception_handler(UnknownNameError)
    def unknown(_: Request, error: UnknownNameError):
        return reply(404, str(error))

    @app.exception_handler(ServerBusyError)
    def busy(_: Request, error: ServerBusyError):
        return reply(503, str(error), **{"Retry-After": "10"})

    @app.exception_handler(StoreUnreachableError)
    def unreachable(_: Request, error: StoreUnreachableError):
        return reply(503, str(error), **{"Retry-After": "30"})

    @app.exception_handler(StoreRefusedError)
    def refused(_: Request, error: StoreRefusedError):
        return reply(502, str(error))

    @app.exception_handler(TrainingRunningError)
    def training(_: Request, error: TrainingRunningError):
        return reply(429, str(error))

    @app.exception_handler(ComputationError)
    def failed(_: Request, error: ComputationError):
        return reply(500, str(error))

    @app.exception_handler(OSError)
    def not_written(_: Request, error: OSError):
        if error.errno in FULL_DISK:
            return reply(507, f"{cannot_write(Path('the request'), error)}")
        raise error

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError):
        problems = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
        return reply(422, f"The request does not have the form this route needs: {problems}.")

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException):
        detail = error.detail
        if error.status_code == 404 and detail == "Not Found":
            detail = f"This server has no {request.method} {request.url.path}. GET / lists what it has."
        if error.status_code == 405:
            detail = f"{request.url.path} takes no {request.method} here. GET / lists what this server has."
        return reply(error.status_code, detail, **(error.headers or {}))

    @app.exception_handler(MONAILabelException)
    def stock_error(_: Request, error: MONAILabelException):
        is_missing = isinstance(error, ImageNotFoundException | LabelNotFoundException)
        return reply(404 if is_missing else 500, str(error.msg))

    @app.exception_handler(Exception)
    def defect(_: Request, error: Exception):
        return reply(500, f"The server met a defect of its own ({type(error).__name__}); its log says more.")
