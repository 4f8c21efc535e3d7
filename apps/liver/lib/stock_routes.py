"""MONAI Label's own routes, those that are kept, each run in a thread; those for training are ours.

Its handlers are coroutines that never wait, so one that computes or copies a file would hold up every other request.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from monailabel.endpoints import activelearning, datastore
from monailabel.interfaces.utils.app import app_instance

from .errors import reply
from .failures import UnknownNameError

KEPT = (activelearning, datastore)
OURS = {("/datastore/label", "GET")}
"""Of their routes those in whose place ours stand."""
OFF = {
    "/batch": "it would compute every case unasked. Send one request a case to /liver/infer/pdff.",
    "/infer/wsi": "this server has no slide images. Use /liver/infer/pdff.",
    "/infer/wsi_v2": "this server has no slide images. Use /liver/infer/pdff.",
    "/logs": "the server's log is for who runs it. Read it where the server was started.",
    "/model": "models are installed by who runs the server, not over HTTP.",
    "/ohif": "this server brings no viewer. Use 3D Slicer.",
    "/proxy": "the server passes no requests on to others. Ask them directly.",
    "/reload": "the app is loaded once. Restart the server.",
    "/session": "it would unpack archives anywhere on the server. Send the files to /liver/infer/pdff.",
    "/static": "this server brings no web pages.",
}
"""Stock routes that are off, and why."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def add_stock_routes(app: FastAPI) -> None:
    """Serve the kept routes and refuse the others with a sentence."""
    for prefix, reason in OFF.items():
        for path in (prefix, prefix + "/{rest:path}"):
            app.add_api_route(path, _refusal(prefix, reason), methods=METHODS, include_in_schema=False)
    for module in KEPT:
        for route in module.router.routes:
            if any((route.path, method) in OURS for method in route.methods):
                continue
            app.add_api_route(
                route.path,
                in_thread(route.endpoint),
                methods=sorted(route.methods),
                summary=route.summary,
                tags=["MONAI Label"],
                include_in_schema=route.include_in_schema,
                dependencies=[Depends(check_known)],
            )


def in_thread(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler as a plain function, which FastAPI runs in a thread."""

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return asyncio.run(handler(*args, **kwargs))
        except BaseException:
            # The stock handlers remove the file they were sent after their reply only, so not after a refusal.
            if (after := kwargs.get("background_tasks")) is not None:
                asyncio.run(after())
            raise

    run.__name__ = handler.__name__
    run.__doc__ = handler.__doc__
    run.__signature__ = inspect.signature(handler)
    return run


def check_known(request: Request) -> None:
    """Refuse a strategy or scoring method this app does not have, before a process is started for it.

    Raises:
        UnknownNameError: there is none of that name.
    """
    app = app_instance()
    tables = {"strategy": app._strategies, "method": app._scoring_methods}
    for kind, name in request.path_params.items():
        if kind in tables and name not in tables[kind]:
            has = ", ".join(tables[kind]) or "none"
            raise UnknownNameError(f"There is no {kind} {name!r} for {request.url.path} on this server; it has: {has}.")


def _refusal(prefix: str, reason: str) -> Callable[[], Any]:
    def refuse():
        return reply(403, f"{prefix} is off here: {reason}")

    return refuse
