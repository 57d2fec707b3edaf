"""The HTTP routes: read, read-crop, health and figures, and the routes that clients of other servers call."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from alpr import __version__
from alpr.reader.card import ModelCard
from alpr.serving.answers import Shape, shaped
from alpr.serving.bodies import Body, Refusal, client_of, from_base64, received
from alpr.serving.event_stream import KEPT, EventStream
from alpr.serving.frames import Ended, Frame, Kind, Outcome
from alpr.serving.metrics import CONTENT_TYPE, metrics
from alpr.serving.queue import FrameQueue
from alpr.serving.routes_page import routes_page

_STATUS = {Outcome.READ: 200, Outcome.UNREADABLE: 422, Outcome.REFUSED: 503, Outcome.LATE: 503}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'"

_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


@dataclass
class Service:
    """What the routes need.

    Attributes:
        card: of the bundle; None for a reader made from parts.
        ready, alive: whether frames are taken, and whether all threads are at work.
        stream: of the events of cameras; None where none are watched.
        texts: whether the log may hold what was read.
    """

    queue: FrameQueue
    card: ModelCard | None
    ready: Callable[[], bool]
    alive: Callable[[], bool]
    stream: EventStream | None = None
    texts: bool = False


class Plate(BaseModel):
    """A plate: corners as the text is read, from the top left, in px; further keys as `alpr predict` writes them."""

    corners: list[list[float]]
    box: list[float]
    score: float
    text: str
    text_score: float
    characters: list[float]


class ImageRead(BaseModel):
    """An image that was read, as a line of `alpr predict`."""

    image: str
    width: int
    height: int
    plates: list[Plate]
    ms: dict[str, float]


class CropRead(BaseModel):
    """A crop that was read, as a line of `alpr read`."""

    image: str
    text: str
    text_score: float
    characters: list[float]


class Failure(BaseModel):
    """What went wrong, in a sentence."""

    error: str
    request_id: str


_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": about}
    for status, about in {
        400: "No image, a broken form, an unknown format.",
        401: "The token is missing or wrong.",
        408: "The body came too slowly.",
        413: "The body or the form is too large.",
        422: "The image cannot be read.",
        429: "Too many frames of this client wait; Retry-After says when to send again.",
        503: "The queue is full, or the server is stopping; Retry-After says when to send again.",
    }.items()
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"upload": {"type": "string", "format": "binary"}}}
            },
        },
    }
}
Format = Annotated[str, Query(alias="format", description="The answer's form: " + ", ".join(s.value for s in Shape))]


def make_app(service: Service) -> FastAPI:
    """The application with all routes."""
    app = FastAPI(
        title="alpr", version=__version__, summary="Finds and reads licence plates.", docs_url=None, redoc_url=None,
        responses=_FAILURES,
    )  # fmt: skip
    _add_reading(app, service)
    _add_foreign(app, service)
    _add_figures(app, service)
    _add_events(app, service)
    _add_pages(app)
    _add_failures(app)
    return app


def _add_reading(app: FastAPI, service: Service) -> None:
    @app.post("/v1/read", response_model=ImageRead | list[ImageRead], openapi_extra=_BODY, tags=["reading"])
    async def read(request: Request, form: Format = Shape.ALPR.value) -> Response:
        """The plates of one image, or of every file of a form; several give a list."""
        return await _read(request, service, _shape(form))

    @app.post("/v1/read-crop", response_model=CropRead | list[CropRead], openapi_extra=_BODY, tags=["reading"])
    async def read_crop(request: Request) -> Response:
        """The text of a ready-made crop that one upright plate fills."""
        return await _read(request, service, Shape.ALPR, kind=Kind.CROP)


def _add_foreign(app: FastAPI, service: Service) -> None:
    async def codeproject(request: Request) -> Response:
        """As CodeProject.AI answers."""
        return await _read(request, service, Shape.CODEPROJECT)

    async def platerecognizer(request: Request) -> Response:
        """As Plate Recognizer answers, with 201."""
        return await _read(request, service, Shape.PLATERECOGNIZER, status=201)

    async def openalpr(request: Request) -> Response:
        """As OpenALPR answers."""
        return await _read(request, service, Shape.OPENALPR)

    async def openalpr_bytes(request: Request) -> Response:
        """As OpenALPR answers, of a body of base64."""
        return await _read(request, service, Shape.OPENALPR, base64=True)

    routes = {
        "/v1/image/alpr": codeproject,
        "/v1/vision/alpr": codeproject,
        "/v1/plate-reader": platerecognizer,
        "/v1/plate-reader/": platerecognizer,
        "/v2/recognize": openalpr,
        "/v3/recognize": openalpr,
        "/v2/recognize_bytes": openalpr_bytes,
        "/v3/recognize_bytes": openalpr_bytes,
    }
    for path, route in routes.items():
        app.add_api_route(
            path, route, methods=["POST"], openapi_extra=_BODY, tags=["other servers' clients"],
            include_in_schema=path != "/v1/plate-reader",
        )  # fmt: skip


def _add_figures(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["figures"])
    async def health() -> Response:
        """Whether all threads are at work."""
        alive = service.alive()
        return _json(200 if alive else 503, {"status": "alive" if alive else "a thread has ended"})

    @app.get("/ready", tags=["figures"])
    async def ready() -> Response:
        """Whether frames are taken."""
        taken = service.ready()
        return _json(200 if taken else 503, {"status": "ready" if taken else "not ready"})

    @app.get("/version", tags=["figures"])
    async def version() -> Response:
        """The package and the bundle."""
        card = service.card
        about = {} if card is None else {"bundle": card.name, "created": card.created, "country": card.country.code}
        return _json(200, {"alpr": __version__, **about})

    @app.get("/metrics", tags=["figures"])
    async def figures() -> Response:
        """All counts, for Prometheus."""
        return Response(metrics(service.queue), media_type=CONTENT_TYPE)


def _add_events(app: FastAPI, service: Service) -> None:
    @app.get("/v1/events", tags=["cameras"], response_class=StreamingResponse, responses={200: {"content": _STREAM}})
    async def events(request: Request, recent: Annotated[int, Query(ge=0, le=KEPT)] = 0) -> Response:
        """The events of the server's cameras as they come, one JSON object each, with `picture`, the crop as a JPEG in
        base64; `recent` of those before come first. `Last-Event-ID` goes on behind an event."""
        if service.stream is None:
            raise Refusal(404, "No camera is watched here; alpr serve --watch NAME=rtsp://... does.")
        if service.stream.full:
            raise Refusal(503, "Too many listen to the events already, or the server is stopping.", 5)
        last = request.headers.get("last-event-id", "")
        behind = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else None
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(service.stream.listen(behind, recent), media_type="text/event-stream", headers=headers)


def _add_pages(app: FastAPI) -> None:
    """Pages and their scripts. None of them asks another host for anything."""
    folder = resources.files("alpr.serving") / "page"
    for path, name in {
        "/": "index.html", "/page.js": "page.js", "/events": "events.html", "/events.js": "events.js"
    }.items():  # fmt: skip
        app.add_api_route(path, _file(folder.joinpath(name).read_bytes(), name), include_in_schema=False)

    @app.get("/docs", include_in_schema=False)
    async def routes() -> Response:
        return Response(routes_page(app.openapi()), media_type="text/html; charset=utf-8")


def _file(data: bytes, name: str) -> Callable[[], Awaitable[Response]]:
    kind = "text/javascript" if name.endswith(".js") else "text/html"
    headers = {"Content-Security-Policy": _POLICY}

    async def give() -> Response:
        return Response(data, media_type=f"{kind}; charset=utf-8", headers=headers)

    return give


def _add_failures(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return _failure(request, refusal.status, refusal.sentence, refusal.retry_after)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        told = {
            404: f"There is no {request.url.path[:100]}; /docs lists what there is.",
            405: f"{request.url.path[:100]} takes no {request.method}; /docs says what it takes.",
        }
        return _failure(request, error.status_code, told.get(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _failure(request, 400, "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors()) + ".")


def _shape(text: str) -> Shape:
    try:
        return Shape(text)
    except ValueError as error:
        known = ", ".join(shape.value for shape in Shape)
        raise Refusal(400, f"There is no format {text[:40]!r}; expected one of {known}.") from error


async def _read(
    request: Request,
    service: Service,
    shape: Shape,
    *,
    kind: Kind = Kind.SCENE,
    status: int = 200,
    base64: bool = False,
) -> Response:
    body = await received(request, service.queue)
    number = request.scope["alpr"]["id"]
    try:
        if base64:
            body.images[0].data = from_base64(body.images[0].data)
        frames = _frames(request, body, kind, number)
    except BaseException:
        body.held.release()
        raise
    sizes = [len(frame.data) for frame in frames]
    ended = await asyncio.gather(*(_submitted(service.queue, frame) for frame in frames))
    _note(request, service, ended, sizes)
    fields = {**request.query_params, **body.fields}
    if shape is not Shape.ALPR or len(ended) == 1:
        first = ended[0]
        if first.outcome is not Outcome.READ:
            return _ended_badly(request, service, first, shape)
        return _json(status, shaped(shape, first, fields, frames[0].name))
    if all(one.outcome in (Outcome.REFUSED, Outcome.LATE) for one in ended):
        return _ended_badly(request, service, ended[0], shape)
    return _json(status, [one.record for one in ended])


def _frames(request: Request, body: Body, kind: Kind, number: str) -> list[Frame]:
    client = client_of(request.scope)
    many = len(body.images) > 1
    frames = []
    for place, image in enumerate(body.images, start=1):
        name = image.name or (f"{number}-{place}" if many else number)
        frames.append(Frame(client, name, image.data, _nobody, kind))
    frames[0].held = body.held
    if many:  # each gives its own part back
        for frame in frames[1:]:
            frame.held = body.held.split(len(frame.data))
    body.images.clear()
    return frames


def _nobody(frame: Frame, ended: Ended) -> None:
    raise AssertionError("a frame was offered before somebody waits for it")


async def _submitted(queue: FrameQueue, frame: Frame) -> Ended:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ended] = loop.create_future()

    def settle(ended: Ended) -> None:
        if not future.done():
            future.set_result(ended)

    def told(_: Frame, ended: Ended) -> None:
        loop.call_soon_threadsafe(settle, ended)

    frame.ended = told
    queue.offer(frame)
    return await future


def _note(request: Request, service: Service, ended: list[Ended], sizes: list[int]) -> None:
    noted = request.scope["alpr"]["noted"]
    noted["bytes"] = sum(sizes)
    noted["outcome"] = ",".join(sorted({one.outcome.value for one in ended}))
    plates = [plate for one in ended if one.read is not None for plate in one.read.plates]
    noted["plates"] = len(plates)
    if service.texts:
        noted["texts"] = [plate.reading.text for plate in plates]
        noted["texts"] += [one.reading.text for one in ended if one.reading is not None]


def _ended_badly(request: Request, service: Service, ended: Ended, shape: Shape) -> Response:
    status = 429 if ended.share else _STATUS[ended.outcome]
    retry = None
    if status in (429, 503):
        took = service.queue.tally.took
        each = took.sum / max(1, sum(took.counts))
        retry = max(1, min(60, math.ceil(len(service.queue) * each)))
    more = {"success": False} if shape is Shape.CODEPROJECT else {}
    return _failure(request, status, ended.error, retry, more)


def _failure(
    request: Request, status: int, sentence: str, retry_after: int | None = None, more: dict[str, Any] | None = None
) -> Response:
    answer = _json(status, {"error": sentence, "request_id": request.scope["alpr"]["id"], **(more or {})})
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def _json(status: int, content: Any) -> Response:
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, status, media_type="application/json")
