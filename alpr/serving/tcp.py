"""The protocol of the Python variant of the old server: over TCP, one connection is one image, and nobody answers."""

from __future__ import annotations

import logging
import selectors
import socket
import time
from dataclasses import dataclass, field

from alpr.serving.frames import Frame, Held, Outcome
from alpr.serving.queue import FrameQueue
from alpr.serving.results import Results
from alpr.serving.sockets import SocketThread

log = logging.getLogger("alpr.serving")

MOST_CONNECTIONS = 128
QUIET_S = 5.0
"""After which a connection that sends nothing is closed."""
WHOLE_S = 60.0
"""After which a connection is closed whatever it sends."""
_READ_BYTES = 1 << 18
_TICK_S = 0.5


@dataclass(eq=False)
class _Connection:
    client: str
    held: Held
    parts: list[bytes] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)


class TcpServer(SocketThread):
    """One thread for all connections; see `UdpServer` for the arguments."""

    def __init__(self, place: tuple[str, int], queue: FrameQueue, results: Results) -> None:
        super().__init__(place, socket.SOCK_STREAM, "tcp")
        self.queue = queue
        self.results = results
        self.socket.listen(64)
        self.socket.setblocking(False)
        self.frames = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.socket, selectors.EVENT_READ)

    def stop(self) -> None:
        """Accepts no more; images that are not whole are lost."""
        super().stop()
        self.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(_TICK_S):
                if key.fileobj is self.socket:
                    self._accept()
                else:
                    self._receive(key.fileobj, key.data)  # type: ignore[arg-type]
            now = time.monotonic()
            for sock, one in self._connections():
                if now - one.heard > QUIET_S or now - one.began > WHOLE_S:
                    self._lose(sock, one, Outcome.UNREADABLE)
        for sock, one in self._connections():
            self._lose(sock, one, Outcome.UNREADABLE)

    def _connections(self) -> list[tuple[socket.socket, _Connection]]:
        keys = self._selector.get_map().values()
        return [(key.fileobj, key.data) for key in list(keys) if key.data is not None]  # type: ignore[misc]

    def _accept(self) -> None:
        try:
            sock, address = self.socket.accept()
        except OSError as error:  # it has gone already, or there are no more descriptors
            log.warning("a connection could not be accepted: %s", error)
            time.sleep(0.01)
            return
        if len(self._connections()) >= MOST_CONNECTIONS:
            sock.close()
            self.queue.tally.note("connections refused")
            return
        sock.setblocking(False)
        self._selector.register(
            sock, selectors.EVENT_READ, _Connection(address[0], Held(self.queue.memory, address[0]))
        )

    def _receive(self, sock: socket.socket, one: _Connection) -> None:
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._lose(sock, one, Outcome.UNREADABLE)
            return
        if data:
            one.heard = time.monotonic()
            one.parts.append(data)
            if one.held.bytes + len(data) > self.queue.limits.image_bytes:
                self._lose(sock, one, Outcome.UNREADABLE)
            elif not one.held.grow(len(data)):
                self._lose(sock, one, Outcome.REFUSED)
            return
        self._forget(sock)
        if one.parts:
            self.frames += 1
            name = f"{one.client}/#{self.frames}"
            frame = Frame(one.client, name, b"".join(one.parts), self.results, held=one.held)
            self.results.expect(frame)
            self.queue.offer(frame)

    def _lose(self, sock: socket.socket, one: _Connection, outcome: Outcome) -> None:
        self._forget(sock)
        one.held.release()
        if one.parts:
            self.queue.tally.note("frames unfinished")
            self.queue.tally.offer()
            self.queue.tally.end(one.client, outcome)

    def _forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()
