"""The UDP socket: a thread that only receives, and answers to those who may get one."""

from __future__ import annotations

import logging
import socket

from alpr.serving.datagrams import Address, Datagrams
from alpr.serving.frames import Ended, Frame
from alpr.serving.new_form import answer
from alpr.serving.queue import FrameQueue
from alpr.serving.results import Results
from alpr.serving.sockets import SocketThread
from alpr.serving.whole import Whole

log = logging.getLogger("alpr.serving")

BUFFER_BYTES = 8_000_000
"""Of the socket: 60 frames of 112 kB that a client sends without a pause lie in it, while the reader has the core."""
_FORCED = 33
"""Linux's SO_RCVBUFFORCE, which the socket module has no name for: a buffer beyond the system's limit, for root."""
_SWEEP_S = 0.5


class UdpServer(SocketThread):
    """Frames over UDP, in the form of the C++ server and in ours.

    Args:
        results: are told how every whole frame ended.
    """

    def __init__(self, place: Address, queue: FrameQueue, results: Results, timeout_s: float = 2.0) -> None:
        super().__init__(place, socket.SOCK_DGRAM, "udp")
        self.queue = queue
        self.results = results
        self.datagrams = Datagrams(queue, timeout_s)
        self.buffer_bytes = _enlarged(self.socket)
        self.socket.settimeout(_SWEEP_S)

    def _work(self) -> None:
        swept = self.datagrams.clock()
        while not self._stopping.is_set():
            try:
                data, address = self.socket.recvfrom(65535)
                whole = self.datagrams.take(data, address[:2])
                if whole is not None:
                    self._offer(whole, address)
            except TimeoutError:
                pass
            except OSError as error:  # an answer that nobody took comes back as one
                self.queue.tally.note("errors of the socket")
                log.debug("the UDP socket says: %s", error)
            now = self.datagrams.clock()
            if now - swept > _SWEEP_S:
                swept = now
                self.datagrams.sweep()
        self.datagrams.close()

    def _offer(self, whole: Whole, address: Address) -> None:
        client = f"{address[0]}:{address[1]}"

        def ended(frame: Frame, how: Ended) -> None:
            if whole.reply is not None:
                text = answer(whole.reply[0], how, whole.reply[1])
                if text is not None:
                    self.socket.sendto(text, address)
            self.results(frame, how)

        frame = Frame(client, f"{client}/{whole.name}", whole.data, ended, check=whole.check, held=whole.held)
        self.results.expect(frame)
        self.queue.offer(frame)


def _enlarged(sock: socket.socket) -> int:
    """Asks for a large receive buffer; gives the bytes that the system granted."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _FORCED, BUFFER_BYTES)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux doubles it for its own needs
    if granted < BUFFER_BYTES:
        log.warning(
            "The system grants a receive buffer of %d bytes, %d were asked for: frames sent without a pause may be "
            "lost. `sysctl -w net.core.rmem_max=%d` lets it be larger.",
            granted, BUFFER_BYTES, BUFFER_BYTES,
        )  # fmt: skip
    return granted
