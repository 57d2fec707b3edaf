"""Bodies of requests: raw bytes or a form, within limits of size, number and time."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from alpr.serving.frames import Held
from alpr.serving.queue import FrameQueue

BODY_S = 30.0
"""Within which a body must arrive."""
MOST_PARTS = 64
MOST_HEADER_BYTES = 8192
MOST_FIELD_BYTES = 4096
_URLS = ("upload_url", "image_url", "url")
"""Fields in which clients of other servers name a picture elsewhere."""


class Refusal(Exception):
    """A request that gets no reading: a status, a sentence, and for how long to wait before the next one."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after


@dataclass
class Upload:
    """An image that came in a body: what its sender calls it, if anything, and its bytes."""

    name: str
    data: bytes


@dataclass
class Body:
    """What a request brought.

    Attributes:
        held: its memory; whoever takes the images releases it.
    """

    held: Held
    images: list[Upload] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def received(request: Request, queue: FrameQueue) -> Body:
    """The body of a request.

    Raises:
        Refusal: too large, too slow, no memory left, no image in it, or a form that is none.
    """
    held = Held(queue.memory, client_of(request.scope))
    try:
        data = await _bytes(request, held, queue.limits.image_bytes)
        body = Body(held)
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind == b"multipart/form-data":
            _parse(data, options.get(b"boundary", b""), body)
        elif data:
            body.images.append(Upload("", data))
        _check(body)
    except BaseException:
        held.release()
        raise
    return body


def client_of(scope: Mapping[str, Any]) -> str:
    """The address of who sent a request."""
    return str(scope["client"][0]) if scope.get("client") else "local"


async def _bytes(request: Request, held: Held, most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and len(announced) < 20 and int(announced) > most:
        raise Refusal(413, f"The body has {announced} bytes; at most {most} are taken.")
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                if held.bytes + len(part) > most:
                    raise Refusal(413, f"The body has more than {most} bytes, which is all that is taken.")
                if not held.grow(len(part)):
                    raise Refusal(503, "Too much is being received at once; send it again later.", 1)
                parts.append(part)
    except TimeoutError as error:
        raise Refusal(408, f"The body did not arrive within {BODY_S:g} s.") from error
    except ClientDisconnect as error:
        raise Refusal(400, "The connection ended in the middle of the body.") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _parse(data: bytes, boundary: bytes, body: Body) -> None:
    form = _Form(body)
    try:
        parser = MultipartParser(boundary, form.callbacks(), max_header_count=8, max_header_size=MOST_HEADER_BYTES)  # type: ignore[arg-type]
        parser.write(data)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refusal(400, f"The form cannot be read: {str(error) or type(error).__name__}.") from error
    if not form.ended:
        raise Refusal(400, "The form ends before its last boundary.")


class _Form:
    """Takes what the parser finds: files become images, the rest fields."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.ended = False
        self._parts = 0

    def callbacks(self) -> dict[str, Any]:
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "end")
        return {f"on_{name}": getattr(self, f"_{name}") for name in names}

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Refusal(413, f"The form has more than {MOST_PARTS} parts.")
        self._headers: dict[bytes, bytes] = {}
        self._key = self._value = b""
        self._data: list[bytes] = []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._key.lower()] = self._value
        self._key = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        content = b"".join(self._data)
        if b"filename" in options:
            self.body.images.append(Upload(_plain_name(options[b"filename"]), content))
        elif name in ("upload", "image", "image_bytes"):  # a picture as text, as some clients send it
            self.body.images.append(Upload("", from_base64(content)))
        else:
            self.body.fields[name] = content[:MOST_FIELD_BYTES].decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


def from_base64(text: bytes) -> bytes:
    """The bytes that a text of base64 holds, with or without the head of a data URL.

    Raises:
        Refusal: another text.
    """
    if text.startswith(b"data:"):
        text = text.partition(b",")[2]
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "The image is neither a file nor base64.") from error


def _plain_name(name: bytes) -> str:
    """The last part of a file's name, printable; no path of anybody's disk."""
    text = PurePosixPath(name.decode("utf-8", "replace").replace("\\", "/")).name
    return "".join(c for c in text if c.isprintable())[:100]


def _check(body: Body) -> None:
    asked = [name for name in _URLS if name in body.fields]
    if asked:
        raise Refusal(400, f"{asked[0]} names a picture elsewhere; send its bytes, no URL is fetched here.")
    if not body.images:
        raise Refusal(400, "There is no image in the body; expected its bytes, or a form with a file.")
