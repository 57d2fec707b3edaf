"""A studio that is served in this process, and small photographs for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from tiny_bundle import scene

from alpr.reader.reader import Reader
from alpr.serving.connections import HttpServer
from alpr.serving.sockets import bound
from alpr.studio.gate import Gate
from alpr.studio.pictures import Pictures
from alpr.studio.project import Project, project_table
from alpr.studio.readings import Readings
from alpr.studio.server import Studio, make_app

TOKEN = "a-token-of-the-tests"
TEXTS = ("皖A12", "A123", "B234", "皖B45")


def photographs(folder: Path, texts: tuple[str, ...] = TEXTS) -> list[Path]:
    """A photograph of each plate, and a last one without any."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"car{i}.png" for i in range(len(texts) + 1)]
    for path, text in zip(paths, texts, strict=False):
        cv2.imwrite(str(path), scene(text))
    empty = scene()
    empty[:] = 150
    cv2.imwrite(str(paths[-1]), empty)
    return paths


def studio_of(source: Path, bundle: Path) -> Studio:
    """A studio over a folder or a table."""
    readings = Readings(lambda: Reader(bundle, threads=1))
    images = sorted(source.glob("*.png")) if source.is_dir() else []
    table = project_table(source)
    project = Project(table, None if source.is_dir() else source, images)
    return Studio(source.name, bundle.name, readings, project, Pictures(table.parent))


@contextmanager
def served(studio: Studio) -> Iterator[str]:
    """The address of a studio, without the token."""
    sock = bound(("127.0.0.1", 0), socket.SOCK_STREAM)
    place = ("127.0.0.1", int(sock.getsockname()[1]))
    server = HttpServer(Gate(make_app(studio, TOKEN), TOKEN, place), sock)
    server.start()
    try:
        yield f"http://127.0.0.1:{place[1]}"
    finally:
        studio.close()
        server.stop()
