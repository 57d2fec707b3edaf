"""A whole server: one queue, its threads, and every protocol that was asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alpr.reader.reader import Reader
from alpr.serving.event_stream import EventStream
from alpr.serving.live import Live, LiveSettings
from alpr.serving.queue import FrameQueue, Limits
from alpr.serving.results import Folders, Lines, Posted, Results, Sink
from alpr.serving.sockets import address, bound, is_local
from alpr.serving.tcp import TcpServer
from alpr.serving.udp import UdpServer
from alpr.serving.workers import Workers
from alpr.video.webhook import Webhook

if TYPE_CHECKING:
    from alpr.serving.connections import HttpServer

log = logging.getLogger("alpr.serving")

MOST_SPOOLED = 500_000
"""Records that wait for the webhook's receiver; more are counted and dropped."""
HOOK_S = 10.0
"""For which the webhook is given time at the end; what is left goes out with the next start."""


@dataclass(frozen=True)
class Settings:
    """What a server serves, and to whom.

    Attributes:
        http, udp, tcp: addresses as HOST:PORT; None for a protocol that is not served. Port 0 takes a free one.
        workers: threads that read.
        keys, top: what records hold beyond text and scores.
        token: that HTTP requests must bring.
        live: cameras that are watched.
        folder: where readings of UDP and TCP frames go besides stdout.
        webhook: where these readings and the events of cameras are posted, and `spool` the file in which they wait.
        texts: whether the log of HTTP requests may hold what was read.
        udp_timeout_s: after which an unfinished frame is given up.
    """

    http: str | None = None
    udp: str | None = None
    tcp: str | None = None
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    keys: Sequence[str] = ()
    top: int = 0
    token: str | None = None
    folder: Path | None = None
    webhook: str | None = None
    spool: Path = Path("serve.spool")
    live: LiveSettings | None = None
    texts: bool = False
    udp_timeout_s: float = 2.0


class Server:
    """Binds every socket at once, then serves until it is stopped.

    Raises:
        ValueError: an address that is none or is in use, a webhook that is no URL, a source that cannot be opened;
            nothing is bound then.
    """

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self.reader = reader
        self.settings = settings
        self.queue = FrameQueue(settings.limits)
        self.workers = Workers(self.queue, reader, settings.workers, settings.keys, settings.top)
        self.webhook: Webhook | None = None
        self.live: Live | None = None
        self.stream = EventStream()
        self.http: HttpServer | None = None
        self.udp: UdpServer | None = None
        self.tcp: TcpServer | None = None
        self._serving = False
        try:
            self._bind()
        except BaseException:
            for part in (self.udp, self.tcp, self.http):
                if part is not None:
                    part.close()
            if self.webhook is not None:
                self.webhook.close()
            raise

    def _bind(self) -> None:
        settings, ordered = self.settings, list[Sink]()
        if settings.webhook is not None:
            try:
                self.webhook = Webhook(settings.webhook, settings.spool, told=log.warning, most=MOST_SPOOLED)
            except OSError as error:
                raise ValueError(f"The spool {settings.spool} cannot be written: {error.strerror}.") from error
            ordered.append(Posted(self.webhook, self.queue.tally))
        ordered.append(Lines())  # the last: whoever reads a line finds the folder there, and the record in the spool
        folders = [] if settings.folder is None else [Folders(settings.folder)]
        results = Results(folders, self.queue.tally, ordered)
        if settings.live is not None:
            self.live = Live(settings.live, self.reader, self.queue, self.stream, self.webhook)
        if settings.udp is not None:
            self.udp = UdpServer(address(settings.udp), self.queue, results, settings.udp_timeout_s)
        if settings.tcp is not None:
            self.tcp = TcpServer(address(settings.tcp), self.queue, results)
        if settings.http is not None:
            self.http = self._http(address(settings.http))

    def _http(self, place: tuple[str, int]) -> HttpServer:
        import socket

        from alpr.serving.connections import HttpServer
        from alpr.serving.guard import Guard
        from alpr.serving.http import Service, make_app

        service = Service(
            self.queue, self.reader.card, ready=lambda: self.ready, alive=lambda: self.alive,
            stream=self.stream if self.live is not None else None, texts=self.settings.texts,
        )  # fmt: skip
        if self.settings.token is None and not is_local(place[0]):
            log.warning("Everybody who reaches %s:%d may have images read; --token-file asks for a token.", *place)
        return HttpServer(Guard(make_app(service), self.settings.token), bound(place, socket.SOCK_STREAM))

    @property
    def alive(self) -> bool:
        """Whether all threads are at work."""
        parts = [part for part in (self.udp, self.tcp, self.http, self.live) if part is not None]
        return self.workers.alive and all(part.alive for part in parts)

    @property
    def ready(self) -> bool:
        """Whether frames are taken."""
        return self._serving and self.alive

    def start(self) -> None:
        """Reads one grey image, then serves."""
        self.workers.warm_up()
        self.workers.start()
        for name, part in (("udp", self.udp), ("tcp", self.tcp), ("http", self.http)):
            if part is not None:
                part.start()
                log.info("serving", extra={"protocol": name, "address": "{}:{}".format(*part.place)})
        if self.live is not None:
            self.live.start()
            log.info("watching", extra={"sources": self.live.names})
        self._serving = True

    def stop(self) -> None:
        """Accepts no more, finishes what was accepted, and ends."""
        self._serving = False
        if self.live is not None:
            self.live.ask_to_stop()
        if self.udp is not None:
            self.udp.stop()
        if self.tcp is not None:
            self.tcp.stop()
        if self.live is not None:
            self.live.stop()
        self.stream.close()
        if self.http is not None:
            self.http.stop()
        self.queue.close()
        self.workers.join()
        if self.udp is not None:
            self.udp.close()
        if self.webhook is not None:
            self.webhook.wait(HOOK_S)
            self.webhook.close()
        log.info("stopped", extra={"offered": self.queue.tally.offered, **self.queue.tally.outcomes()})

    def serve_until(self, stop: threading.Event) -> None:
        """Serves until the event is set."""
        self.start()
        while not stop.wait(1.0):  # a signal that comes just before an endless wait is seen by nobody
            pass
        self.stop()
