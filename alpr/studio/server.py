"""The studio's routes: the page, its photographs, their labels and readings, and the video."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any

import numpy as np
from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from alpr import __version__
from alpr.data.columns import ManifestError
from alpr.doctor.text_rules import judge
from alpr.files import NotWritten
from alpr.images.prepare import UnreadableImage
from alpr.plates.country import PACKS, CountryPack
from alpr.studio import listing
from alpr.studio.drafts import Run, draft_labels, quad_of, split_of
from alpr.studio.film import Film
from alpr.studio.labels import Label
from alpr.studio.pictures import Pictures
from alpr.studio.project import Conflict, Photo, Project
from alpr.studio.readings import Readings

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MOST_ROWS = 300
"""Of a list in one answer."""
_UNCHANGED = {"cache-control": "private, max-age=3600"}


@dataclass
class Studio:
    """What the routes work on: a project of photographs, or a film.

    Attributes:
        title: what was opened.
        bundle: its name.
    """

    title: str
    bundle: str
    readings: Readings
    project: Project | None = None
    pictures: Pictures | None = None
    film: Film | None = None
    run: Run | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Ends what runs, and removes what is temporary."""
        if self.run is not None:
            self.run.stop()
        if self.film is not None:
            self.film.close()
        if self.pictures is not None:
            self.pictures.close()


def make_app(studio: Studio, token: str) -> FastAPI:
    """The application with all routes; `Gate` stands before it."""
    app = FastAPI(title="alpr studio", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    _add_page(app, token)
    if studio.film is not None:
        _add_film(app, studio.film)
    _add_texts(app, studio)
    if studio.project is not None and studio.pictures is not None:
        _add_lists(app, studio, studio.project)
        _add_labels(app, studio, studio.project)
        _add_pictures(app, studio, studio.project, studio.pictures)
    _add_failures(app)
    return app


def _add_page(app: FastAPI, token: str) -> None:
    folder = resources.files("alpr.studio") / "page"
    files = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}
    html = files.pop("index.html").replace(b"TOKEN", token.encode())

    @app.get("/")
    def index() -> Response:
        return Response(html, media_type="text/html; charset=utf-8")

    @app.get("/page/{name}")
    def part(name: str) -> Response:
        if name not in files:
            raise LookupError(f"There is no {name}.")
        kind = _TYPES.get(name[name.rfind(".") :], "text/plain")
        return Response(files[name], media_type=f"{kind}; charset=utf-8")


def _add_texts(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/state")
    def state() -> Response:
        """What is opened, how far it is, and the run in the background."""
        about: dict[str, Any] = {"title": studio.title, "bundle": studio.bundle, "film": studio.film is not None}
        about["country"] = studio.readings.given.code if studio.readings.given else ""
        project = studio.project
        if project is not None:
            photos = project.photos
            about |= {
                "table": str(project.table),
                "original": None if project.original is None else str(project.original),
                "version": project.version,
                "photos": len(photos),
                "labelled": sum(photo.known for photo in photos),
                "reviewed": sum(bool(photo.reviewed) for photo in photos),
                "read": len(studio.readings.summaries),
                "rejected": len(project.rejected),
                "run": None if studio.run is None else studio.run.state(),
            }
        return _json(about)

    @app.get("/api/judge")
    def judged(text: str = "", country: str = "") -> Response:
        """What is wrong with a text, and the alphabet to choose from."""
        pack = _pack(country) or (None if country else studio.readings.pack)
        faults = [message for _, message in judge(text, pack).faults] if text else []
        layout = pack.layout_of(text) if pack else None
        return _json(
            {
                "country": pack.name if pack else "",
                "alphabet": pack.alphabet if pack else "",
                "faults": faults,
                "layout": layout.name if layout else None,
                "rows": layout.rows if layout else None,
                "patterns": sorted({one.pattern for one in pack.layouts}) if pack else [],
            }
        )


def _add_lists(app: FastAPI, studio: Studio, project: Project) -> None:
    summaries = studio.readings.summaries

    @app.get("/api/choices")
    def choices() -> Response:
        """What lists can be narrowed to."""
        codes = sorted(path.stem.upper() for path in PACKS.glob("*.yaml"))
        return _json({**listing.choices(project, summaries), "packs": codes, "states": listing.STATES})

    @app.get("/api/list")
    def numbers(
        text: str = "", country: str = "", source: str = "", state: str = "", order: str = "name",
        low: float | None = None, high: float | None = None,
    ) -> Response:  # fmt: skip
        """The numbers of the photographs that a query asks for."""
        query = listing.Query(text, country, source, state, low, high, order)
        return _json({"numbers": listing.listed(project, dict(summaries), query)})

    @app.get("/api/rows")
    def rows(numbers: Annotated[str, Query(max_length=8 * MOST_ROWS)]) -> Response:
        """What the list says of some photographs."""
        found = [project.photo(int(n)) for n in numbers.split(",")[:MOST_ROWS]]
        return _json([listing.row_of(photo, summaries.get(photo.number)) for photo in found])

    @app.post("/api/run")
    def start(drafting: Annotated[bool, Body(embed=True)]) -> Response:
        """Reads all photographs, and drafts labels where asked."""
        with studio.lock:
            if studio.run is not None and studio.run.running:
                raise ValueError("A run is at work already; stop it first.")
            studio.run = Run(project, studio.readings, drafting)
        return _json(studio.run.state())

    @app.delete("/api/run")
    def stop() -> Response:
        """Stops the run."""
        with studio.lock:
            if studio.run is not None:
                studio.run.stop()
        return _json(None if studio.run is None else studio.run.state())


def _add_labels(app: FastAPI, studio: Studio, project: Project) -> None:
    @app.get("/api/photos/{number}")
    def photo(number: int) -> Response:
        """A photograph's labels."""
        return _json(_photo(project.photo(number)))

    @app.put("/api/photos/{number}")
    def change(
        number: int,
        revision: Annotated[int, Body()],
        labels: Annotated[list[dict[str, Any]], Body()],
        known: Annotated[bool, Body()],
        reviewed: Annotated[bool, Body()],
    ) -> Response:
        """Writes a photograph's labels into the table; 409 where another page was quicker."""
        try:
            made = [Label.of_json(label) for label in labels]
            return _json(_photo(project.change(number, revision, made, known=known, reviewed=reviewed)))
        except Conflict as conflict:
            return _json({"error": str(conflict), "photo": _photo(project.photo(number))}, 409)

    @app.get("/api/photos/{number}/draft")
    def draft(number: int) -> Response:
        """Labels as the bundle would draft them; nothing is written."""
        one = project.photo(number)
        plates = studio.readings.of(number, one.path).plates
        blank = Photo(number, one.image, one.path, rest=one.rest)
        return _json([label.as_json() for label in draft_labels(blank, plates, studio.readings)])


def _add_pictures(app: FastAPI, studio: Studio, project: Project, pictures: Pictures) -> None:
    @app.get("/api/photos/{number}/image")
    def image(number: int) -> Response:
        """The whole photograph."""
        data, kind = pictures.whole(project.photo(number).path)
        return Response(data, media_type=kind, headers=_UNCHANGED)

    @app.get("/api/photos/{number}/thumbnail")
    def thumbnail(number: int) -> Response:
        """A small copy."""
        return Response(pictures.thumbnail(project.photo(number).path), media_type="image/jpeg", headers=_UNCHANGED)

    @app.get("/api/photos/{number}/reading")
    def reading(number: int) -> Response:
        """What the bundle reads."""
        return _json(studio.readings.of(number, project.photo(number).path).record)

    @app.get("/api/photos/{number}/seen/{plate}")
    def seen(number: int, plate: int) -> Response:
        """The crop of a plate as the reader saw it."""
        crops = studio.readings.of(number, project.photo(number).path).crops
        return _png(crops[plate] if 0 <= plate < len(crops) else None)

    @app.get("/api/photos/{number}/crop")
    def crop(number: int, corners: str) -> Response:
        """The upright crop inside corners, eight numbers."""
        return _png(studio.readings.crop(pictures.decoded(project.photo(number).path), _quad(corners)))

    @app.get("/api/photos/{number}/inside")
    def inside(number: int, corners: str, snap: bool = False) -> Response:
        """What is read inside corners; with `snap` inside those that the reader itself finds there."""
        pixels, quad = pictures.decoded(project.photo(number).path), _quad(corners)
        if snap:
            found = studio.readings.snap(pixels, quad)
            if found is None:
                return _json({"error": "The reader finds no plate there."}, 404)
            quad = found
        return _json({"corners": quad_of(quad), **studio.readings.inside(pixels, quad)})


def _add_film(app: FastAPI, film: Film) -> None:
    @app.get("/api/film")
    def frame(after: int = -1, before: int | None = None) -> Response:
        """A frame with what is read in it."""
        return _json(film.after(after) if before is None else film.before(before))

    @app.get("/api/film/{number}/image")
    def picture(number: int) -> Response:
        """A frame."""
        data = film.picture(number)
        if data is None:
            raise LookupError("The frame is no longer kept.")
        return Response(data, media_type="image/jpeg")

    @app.get("/api/film/{number}/seen/{plate}")
    def seen(number: int, plate: int) -> Response:
        """The crop of a plate as the reader saw it."""
        return _png(film.crop(number, plate))


_STATUS: dict[type[Exception], int] = {
    LookupError: 404, UnreadableImage: 422, ManifestError: 409, NotWritten: 507, ValueError: 400,
}  # fmt: skip


def _add_failures(app: FastAPI) -> None:
    def told(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: _json({"error": str(error.args[0] if error.args else error)}, status)

    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, told(status))

    @app.exception_handler(NotWritten)
    def unwritten(request: Request, error: NotWritten) -> Response:
        return _json({"error": str(error)}, 507)

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: HTTPException) -> Response:
        return _json({"error": f"{request.method} {request.url.path[:100]}: {error.detail}"}, error.status_code)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        return _json({"error": "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors()) + "."}, 400)


def _photo(photo: Photo) -> dict[str, Any]:
    return {
        "number": photo.number,
        "image": photo.image,
        "labels": [label.as_json() for label in photo.labels],
        "known": photo.known,
        "reviewed": photo.reviewed,
        "reasons": photo.reasons,
        "rest": split_of(photo),
        "revision": photo.revision,
    }


def _quad(corners: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        quad = np.array([float(v) for v in corners.split(",")[:9]], np.float32).reshape(4, 2)
    except ValueError as error:
        raise ValueError(f"corners is {corners[:80]!r}; expected eight numbers of px.") from error
    if not np.isfinite(quad).all() or np.abs(quad).max() > 1e6:
        raise ValueError(f"corners is {corners[:80]!r}; expected eight numbers of px.")
    return quad


@lru_cache(maxsize=64)
def _pack(country: str) -> CountryPack | None:
    """The pack of a country's code that travels with the package."""
    if not (country.isascii() and country.isalpha()) or not (PACKS / f"{country.lower()}.yaml").is_file():
        return None
    return CountryPack.find(country)


def _png(data: bytes | None) -> Response:
    if data is None:
        raise LookupError("No crop can be made of these corners.")
    return Response(data, media_type="image/png")


def _json(content: Any, status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, status, media_type="application/json")
