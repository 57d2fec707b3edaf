"""HTTP connections: uvicorn's, with a time for the headers, which it has none for, and limits on their number."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger("alpr.serving.http")

MOST_CONNECTIONS = 512
HEADER_S = 10.0
"""Within which the headers of a request must arrive, counted from the connection or from its first byte."""
KEEP_ALIVE_S = 15
HEADER_BYTES = 32_768
STOP_S = 45


class Connection(H11Protocol):
    """A connection that is closed where a request's headers do not arrive in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begins to wait for a request, or closes what is one too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Takes bytes of a request."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEADER_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HttpServer:
    """A uvicorn server in a thread of its own, on a socket that is bound already."""

    def __init__(self, app: Callable[..., Any], sock: socket.socket) -> None:
        self.socket = sock
        sock.listen(MOST_CONNECTIONS)  # who comes before the loop runs waits, and is not turned away
        self.place: tuple[str, int] = sock.getsockname()[:2]
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=HEADER_BYTES,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([sock],), name="http", daemon=True)

    def start(self) -> None:
        """Starts to accept."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Accepts no more, and waits until every request that has begun is answered."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()
