"""What stands before every request: its number, its token, its line in the log, and one form for what went wrong."""

from __future__ import annotations

import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import h11

from alpr.serving.bodies import client_of

log = logging.getLogger("alpr.serving.http")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
OPEN = frozenset({"/", "/page.js", "/events", "/events.js", "/health", "/ready"})
"""Paths that need no token: the pages ask for it, and probes have none."""
KEYED = ("/v2/", "/v3/")
"""Paths whose clients can only send a token as `secret_key` in the address."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """An ASGI application before another one.

    Args:
        token: that every request but those to `OPEN` must bring; None where none is needed.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], token: str | None) -> None:
        self.app = app
        self.token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        number = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        noted: dict[str, Any] = {}
        scope["alpr"] = {"id": number, "noted": noted}
        status = 0

        async def numbered(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", number.encode())]
            try:
                await send(message)
            except h11.LocalProtocolError:  # the connection was given up for what came behind the headers
                noted["broken"] = True

        try:
            if self._admitted(scope, headers):
                await self.app(scope, receive, numbered)
            else:
                await _refuse(numbered, 401, "The token is missing or wrong.", number)
        except Exception:
            log.exception("a request failed", extra={"id": number})
            if not status:
                await _refuse(numbered, 500, "The server failed on this request.", number)
        finally:
            log.info(
                "request",
                extra={
                    "id": number,
                    "client": client_of(scope),
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "status": status,
                    "ms": round(1000 * (time.perf_counter() - started), 1),
                    **noted,
                },
            )

    def _admitted(self, scope: Scope, headers: MutableMapping[bytes, str]) -> bool:
        if self.token is None or scope["path"] in OPEN:
            return True
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            given = ""
        if not given and scope["path"].startswith(KEYED):
            keys = parse_qs(scope["query_string"][:4096].decode("latin-1"), max_num_fields=50)
            given = keys.get("secret_key", [""])[0]
        return hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token)


async def _refuse(send: Send, status: int, sentence: str, number: str) -> None:
    body = json.dumps({"error": sentence, "request_id": number}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
