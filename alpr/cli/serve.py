"""`alpr serve`: read plates for others, over HTTP, UDP and TCP."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from alpr.cli.event_options import (
    After,
    Every,
    Evidence,
    ListDistance,
    MinWidth,
    PlateLists,
    Quiet,
    WebhookPicture,
    Zones,
)
from alpr.cli.options import BundleOption, complaints, stop
from alpr.cli.reading import AtPrecision, Grammar, MinScore, Providers, Top, Wanted
from alpr.reader.cores import available_cores
from alpr.reader.reader import Reader, find_bundle


def serve(
    http: Annotated[str | None, typer.Option("--http", metavar="ADDRESS", help="Serve HTTP here.")] = None,
    udp: Annotated[
        str | None, typer.Option("--udp", metavar="ADDRESS", help="Take frames over UDP here; the old port is 6112.")
    ] = None,
    tcp: Annotated[
        str | None,
        typer.Option("--tcp", metavar="ADDRESS", help="Take one image per TCP connection; the old port is 7000."),
    ] = None,
    bundle: BundleOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads that read; else one per core.")
    ] = None,
    provider: Providers = None,
    grammar: Grammar = False,
    top: Top = 0,
    precision: AtPrecision = None,
    min_score: MinScore = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="HTTP requests must bring the token in it.")
    ] = None,
    udp_output: Annotated[
        Path | None,
        typer.Option(
            "--udp-output", metavar="DIR", help="A folder per plate of UDP and TCP frames, as the old server."
        ),
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option("--watch", metavar="SOURCE", help="[NAME=] a camera or stream, as alpr watch. Repeatable."),
    ] = None,
    every: Every = 1,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="Add their events to this file; else on stdout.")
    ] = None,
    evidence: Evidence = None,
    zone: Zones = None,
    min_width: MinWidth = 0.0,
    quiet: Quiet = 10.0,
    after: After = None,
    plate_list: PlateLists = None,
    list_distance: ListDistance = 0,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="POST events, and readings of UDP and TCP frames.")
    ] = None,
    webhook_picture: WebhookPicture = False,
    spool: Annotated[Path, typer.Option("--spool", metavar="FILE", help="What is to be posted waits here.")] = Path(
        "serve.spool"
    ),
    queue: Annotated[int, typer.Option("--queue", metavar="N", min=2, help="Frames that may wait.")] = 256,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Frames that are read together.")] = 4,
    delay_ms: Annotated[
        float, typer.Option("--delay-ms", metavar="MS", min=0, help="A frame waits so long for others to join it.")
    ] = 20,
    max_wait: Annotated[
        float, typer.Option("--max-wait", metavar="S", min=0.1, help="A frame that waits longer is too late.")
    ] = 10,
    max_mb: Annotated[int, typer.Option("--max-mb", metavar="MB", min=1, help="Megabytes of one image's file.")] = 64,
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", metavar="MB", min=2, help="Megabytes of all files at once.")
    ] = 256,
    max_mpx: Annotated[float, typer.Option("--max-mpx", metavar="MPX", min=0.1, help="Megapixels of one image.")] = 50,
    udp_timeout: Annotated[
        float, typer.Option("--udp-timeout", metavar="S", min=0.1, help="An unfinished UDP frame is given up.")
    ] = 2,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="The log may hold what was read over HTTP.")] = False,
) -> None:
    """Read plates for others, over HTTP, UDP and TCP, from one queue.

    An ADDRESS is HOST:PORT. Every frame is read, refused, unreadable or too late, and counted by client. Readings of
    UDP and TCP frames, and events of cameras, are JSON lines on stdout, the log is JSON on stderr. SIGTERM finishes
    what was accepted and writes the events of the cars in view. HTTP needs the extra `serve`.
    """
    if http is None and udp is None and tcp is None and not watch:
        stop(
            "alpr serve serves nothing yet; expected --http, --udp or --tcp with an address, such as 127.0.0.1:8000, "
            "or --watch with a camera.", 2,
        )  # fmt: skip
    from alpr.serving.live import LiveSettings
    from alpr.serving.log import log_as_json
    from alpr.serving.queue import Limits
    from alpr.serving.server import Server, Settings
    from alpr.video.events import WatchSettings
    from alpr.video.zones import Zone

    log_as_json()
    sys.setswitchinterval(0.0005)  # else the receiving thread waits 5 ms for its turn behind those that read
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wanted = Wanted(grammar, top, precision, min_score)
    limits = Limits(
        queue, max_mb * 1_000_000, memory_mb * 1_000_000, round(max_mpx * 1_000_000), batch, delay_ms / 1000, max_wait
    )
    with complaints("Interrupted before it served."):
        token = None
        if token_file is not None:
            from alpr.serving.token import read_token

            token = read_token(token_file)
        reader = Reader(find_bundle(bundle), threads=1, providers=provider, grammar=grammar, min_score=wanted.lowest)
        watched = WatchSettings(
            min_width_px=min_width, quiet_s=quiet, after_s=after, zones=tuple(map(Zone.parse, zone or ()))
        )
        live = LiveSettings(
            tuple(watch), every, events, evidence, watched, tuple(plate_list or ()), list_distance, grammar,
            webhook_picture,
        ) if watch else None  # fmt: skip
        settings = Settings(
            http, udp, tcp, threads or available_cores(), limits, wanted.keys, top, token, udp_output, webhook, spool,
            live, log_texts, udp_timeout,
        )  # fmt: skip
        server = Server(reader, settings)
        server.serve_until(_stopped())


def _stopped() -> threading.Event:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    event = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            os._exit(128 + number)
        event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return event
