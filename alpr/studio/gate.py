"""What stands before every request of the studio: token, host and origin; and the headers of every answer."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
INSIDE = "/t/"
"""Before the token in the paths of everything but the page itself: no cookie is needed, which other ports would get."""
MOST_BYTES = 4_000_000
"""Of a request's body."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Gate:
    """An ASGI application before another one, which sees the path behind the token.

    Args:
        place: the host and port that are served; requests to other names of the host are refused, as a foreign page
            can give its own name this machine's address.
    """

    def __init__(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], token: str, place: tuple[str, int]
    ) -> None:
        self.app, self.token = app, token.encode()
        self.hosts = frozenset({f"{place[0]}:{place[1]}", f"localhost:{place[1]}"})
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                named = {name.lower() for name, _ in given}
                more = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in named]
                if b"cache-control" not in named:
                    more.append((b"cache-control", b"no-store"))
                message["headers"] = [*given, *more]
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await _answer(guarded, *refused)
            return
        inner = scope["path"][len(INSIDE) + len(self.token) :] if scope["path"] != "/" else "/"
        await self.app({**scope, "path": inner, "raw_path": inner.encode()}, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get(b"host", "") not in self.hosts:
            return 403, "This is no address of the studio."
        if b"origin" in headers and headers[b"origin"] not in self.origins:
            return 403, "Another page may not ask this."
        foreign = headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign and not (scope["path"] == "/" and headers.get(b"sec-fetch-mode") == "navigate"):
            return 403, "Another page may not ask this."
        if not self._admitted(scope):
            return 401, "The token is missing or wrong; open the address that alpr studio printed."
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES or b"transfer-encoding" in headers:
            return 413, f"The request is too large; expected at most {MOST_BYTES} bytes."
        return None

    def _admitted(self, scope: Scope) -> bool:
        path = scope["path"]
        if path == "/":
            keys = parse_qs(scope["query_string"][:4096].decode("latin-1"), max_num_fields=50)
            given = keys.get("token", [""])[0]
        else:
            given = path[len(INSIDE) :].partition("/")[0] if path.startswith(INSIDE) else ""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token)


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
