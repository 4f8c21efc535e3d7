"""LiverLabel's ASGI app: guards first, then our routes, then the routes of MONAI Label that are kept.

Every handler is a plain function, so FastAPI runs it in a thread and the event loop only moves bytes; the computation
itself runs in a process of its own (see :mod:`.lib.worker`).
"""

from __future__ import annotations

import hmac
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Form, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from liver_models import __version__
from liver_models.errors import UnsuitableInputError
from liver_models.reports.notice import RESEARCH_NOTICE
from monailabel.interfaces.utils.app import app_instance

from .lib import errors, guards
from .lib.access import AccessControl
from .lib.cases import listed_cases
from .lib.failures import UnknownNameError
from .lib.image_routes import add_image_routes
from .lib.label_routes import add_label_routes
from .lib.layout import REGION
from .lib.map_task import MapSet
from .lib.next_routes import add_next_routes
from .lib.replies import json_part, map_part, multipart_response
from .lib.requests import InferRequest, checked_params, read_request
from .lib.settings import ServerSettings
from .lib.stock_routes import add_stock_routes
from .lib.train_routes import add_train_routes
from .lib.uploads import received, without_folder

DEFAULT_ROI_TAG = "final"


def create_app(settings: ServerSettings) -> FastAPI:
    """The app, as told by ``settings``; MONAI Label's own settings say which app folder and studies it serves."""

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        liver = app_instance()
        liver.server_mode(True)
        liver.worker.start()
        yield
        for chooser in liver.choosers.values():
            chooser.close()
        liver.trainings.close()
        liver.worker.close()

    app = FastAPI(
        title="LiverLabel",
        version=__version__,
        description=RESEARCH_NOTICE,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        default_response_class=errors.FiniteJSONResponse,
        dependencies=[Depends(guards.check_request)],
    )
    app.state.settings = settings
    errors.install(app)
    app.add_middleware(AccessControl, settings=settings)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    _add_access_routes(app, settings)
    _add_liver_routes(app, settings)
    add_label_routes(app)
    add_image_routes(app, settings.max_waiting)
    add_train_routes(app)
    add_next_routes(app)
    add_stock_routes(app)
    _add_stock_infer(app, settings)
    return app


def _add_access_routes(app: FastAPI, settings: ServerSettings) -> None:
    """How MONAI Label's clients log in: any user name, the token as password."""

    @app.get("/auth/", tags=["Access"])
    def auth_enabled():
        return {"enabled": settings.token is not None, "client_id": "liverlabel", "realm": "LiverLabel"}

    @app.post("/auth/token", tags=["Access"])
    def auth_token(password: Annotated[str, Form()] = ""):
        if settings.token is not None and not hmac.compare_digest(password.encode(), settings.token.encode()):
            return errors.reply(
                401, "The password needs to be the token printed when the server started; any user name will do."
            )
        return {"access_token": settings.token or "", "token_type": "bearer"}

    @app.get("/auth/token/valid", tags=["Access"])
    def auth_valid():
        return {"username": "liverlabel"}


def _add_liver_routes(app: FastAPI, settings: ServerSettings) -> None:
    @app.get("/", tags=["LiverLabel"])
    def routes():
        """What this server answers."""
        listed = sorted(
            {f"{method} {path}" for path, item in app.openapi()["paths"].items() for method in map(str.upper, item)}
        )
        return {"name": "LiverLabel", "version": __version__, "notice": RESEARCH_NOTICE, "routes": listed}

    @app.get("/liver/health", tags=["LiverLabel"])
    def health():
        """Whether the server lives; asks for no token."""
        return {"status": "ok", "version": __version__}

    @app.get("/info/", tags=["MONAI Label"])
    @app.get("/liver/info", tags=["LiverLabel"])
    def info():
        """What MONAI Label's clients ask first."""
        return app_instance().info()

    @app.get("/liver/tasks", tags=["LiverLabel"])
    def tasks():
        """The tasks, the maps each answers with, and their units."""
        return {"notice": RESEARCH_NOTICE, "tasks": [task.describe() for task in app_instance()._infers.values()]}

    @app.get("/liver/cases", tags=["LiverLabel"])
    def cases():
        """The stored cases and what is stored with each."""
        return {"cases": listed_cases(app_instance().datastore())}

    @app.get("/liver/progress/{request_id}", tags=["LiverLabel"])
    def progress(request_id: str):
        """How far the request of that id is."""
        return app_instance().worker.progress(request_id)

    @app.post("/liver/infer/{task}", tags=["LiverLabel"])
    def infer(task: str, asked: Annotated[InferRequest, Depends(read_request)], request_id: str | None = None):
        """Measure a stored case or the files sent with the request; the reply holds JSON and every map."""
        task_ = app_instance().task(task)
        if asked.image is not None:
            answer = _measure_stored(task_, asked.image, asked.params, asked.roi_tag, request_id)
        else:
            files = [(file.filename or "", file.file) for file in asked.files]
            mask = (asked.roi.filename or "", asked.roi.file) if asked.roi else None
            with received(files, mask, settings.max_body_bytes) as (source, roi):
                answer = task_.measure(source, asked.params, roi=roi, request_id=request_id)
        parts = [json_part("reply", answer.reply)]
        return multipart_response(parts + [map_part(name, content) for name, content in answer.maps.items()])


def _add_stock_infer(app: FastAPI, settings: ServerSettings) -> None:
    @app.post("/infer/{model}", tags=["MONAI Label"])
    def stock_infer(
        model: str,
        image: str = "",
        params: Annotated[str, Form()] = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        output: Literal["image", "json", "all"] | None = None,
    ):
        """MONAI Label's form of a request and reply: the JSON and the first map."""
        task = app_instance().task(model)
        asked = {**checked_params(guards.decoded("params", params))}
        image = asked.pop("image", None) or image
        if file is not None:
            with received([(file.filename or "", file.file)], None, settings.max_body_bytes) as (source, _):
                answer = task.measure(source, asked)
        elif image:
            answer = _measure_stored(task, image, asked, None, None)
        else:
            raise UnsuitableInputError(
                "The request needs ?image=CASE or a file; found neither. GET /liver/cases lists the cases."
            )
        if output == "json":
            return answer.reply
        first = next(iter(answer.maps.items()), None)
        if first is None and output == "image":
            raise UnsuitableInputError("This case's answer holds no map. Ask for output=json.")
        if output == "image":
            return Response(first[1], media_type="application/gzip")
        maps = [] if first is None else [map_part(*first, "image")]
        return multipart_response([json_part("params", answer.reply), *maps])


def _measure_stored(task: Any, image: str, params: Any, roi_tag: str | None, request_id: str | None) -> MapSet:
    """Measure a stored case and store its maps beside it."""
    datastore = app_instance().datastore()
    source: Path = datastore.case_source(image)
    tag = roi_tag or DEFAULT_ROI_TAG
    roi = datastore.label_file(image, tag, REGION)  # An answer under the same tag is not a region.
    if roi is None and roi_tag is not None and not datastore.get_label_by_image_id(image, tag):
        raise UnknownNameError(
            f"The case {image!r} has no label under the tag {roi_tag!r}. GET /liver/cases lists its labels."
        )
    try:
        answer = task.measure(source, params, roi=roi, request_id=request_id)
    except UnsuitableInputError as error:
        raise UnsuitableInputError(without_folder(str(error), source.parent)) from error
    if answer.maps:
        datastore.save_maps(image, answer.maps, {"model": task.name, "version": __version__})
    return answer


app = create_app(ServerSettings.from_environment())
