"""Addresses as options give them, and sockets bound to them."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod


def address(text: str) -> tuple[str, int]:
    """HOST:PORT as a host and a port; an IPv6 host stands in brackets.

    Raises:
        ValueError: another form, or a port beyond 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; expected HOST:PORT, such as 127.0.0.1:8000.")
    return host.strip("[]"), int(port)


def bound(place: tuple[str, int], kind: socket.SocketKind) -> socket.socket:
    """A socket that is bound to an address.

    Raises:
        ValueError: an address that is in use, not of this machine or not allowed; the sentence names it.
    """
    name = f"{place[0]}:{place[1]} ({'UDP' if kind is socket.SOCK_DGRAM else 'TCP'})"
    try:
        family, _, _, _, where = socket.getaddrinfo(*place, type=kind, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise ValueError(f"{name} is no address of this machine: {error.strerror or error}.") from error
    try:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
    except OSError as error:
        sock.close()
        raise ValueError(f"{name} cannot be served: {error.strerror or error}.") from error
    return sock


def is_local(host: str) -> bool:
    """Whether only this machine reaches a host's sockets."""
    return host in ("localhost", "::1") or host.startswith("127.")


class SocketThread(ABC):
    """A bound socket, and the one thread that works on it.

    Attributes:
        place: the host and the port that it has.
    """

    def __init__(self, place: tuple[str, int], kind: socket.SocketKind, name: str) -> None:
        self.socket = bound(place, kind)
        self.place: tuple[str, int] = self.socket.getsockname()[:2]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @abstractmethod
    def _work(self) -> None:
        """Works until `_stopping` is set."""

    def start(self) -> None:
        """Starts to work."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Takes no more; what is not whole is lost. The socket stays open for answers until `close`."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()
