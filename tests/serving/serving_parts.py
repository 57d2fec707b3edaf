"""What the tests of serving share: frames, a server on free ports, and plain requests to it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
from tiny_bundle import scene

from alpr import Reader
from alpr.serving.frames import Ended, Frame
from alpr.serving.server import Server, Settings


def jpeg(text: str = "AB1", quality: int = 95) -> bytes:
    """A scene with one plate as a file. Lossless formats keep its text, a JPEG mostly."""
    return cv2.imencode(".jpg", scene(text), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(text: str = "AB1") -> bytes:
    return cv2.imencode(".png", scene(text))[1].tobytes()


class Endings:
    """Remembers how frames ended."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Ended]] = []

    def __call__(self, frame: Frame, ended: Ended) -> None:
        self.all.append((frame.name, ended))

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(name, ended.outcome.value) for name, ended in self.all]


@contextmanager
def serving(bundle: Path, settings: Settings) -> Iterator[Server]:
    """A server in this process, stopped at the end."""
    server = Server(Reader(bundle, threads=1), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(
    place: tuple[str, int], method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """A request on a connection of its own: status, headers, and the body, as JSON where it is."""
    connection = http.client.HTTPConnection(*place, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        kind = answer.headers.get("content-type", "")
        given = {key.lower(): value for key, value in answer.headers.items()}
        return answer.status, given, json.loads(data) if "json" in kind else data.decode()
    finally:
        connection.close()


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, dict[str, str]]:
    """A multipart body of (field, file name or None, content), and its headers."""
    lines = []
    for name, file, content in parts:
        more = f'; filename="{file}"' if file is not None else ""
        lines.append(f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content)
    return b"\r\n".join([*lines, b"--edge--\r\n"]), {"Content-Type": "multipart/form-data; boundary=edge"}


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for something that other threads bring about."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
