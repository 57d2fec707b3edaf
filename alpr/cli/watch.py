"""`alpr watch`: one event per vehicle, from videos, folders, cameras and streams."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
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
from alpr.cli.options import BundleOption, complaints
from alpr.cli.reading import Grammar, Output, Providers, Resume, Threads
from alpr.video.looks import EVERY


def watch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="[NAME=] a video, folder, URL, webcam's number, or - for JPEGs on stdin."
        ),
    ],
    bundle: BundleOption = None,
    output: Output = None,
    resume: Resume = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the events as a table, too.")] = None,
    annotate: Annotated[
        Path | None, typer.Option("--annotate", metavar="FILE", help="Write a video with tracks, texts and trails.")
    ] = None,
    blur: Annotated[bool, typer.Option("--blur", help="Cover the plates in it; no texts.")] = False,
    evidence: Evidence = None,
    every: Every = 1,
    fps: Annotated[
        float | None, typer.Option("--fps", metavar="N", min=0.01, help="Of a folder (else 25) and of stdin.")
    ] = None,
    threads: Threads = None,
    provider: Providers = None,
    input_px: Annotated[
        int | None, typer.Option("--input-px", metavar="PX", help="Long side at which plates are looked for.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", metavar="S", min=0, max=1, help="Find plates from this score on.")
    ] = None,
    looks: Annotated[
        int, typer.Option("--looks", metavar="N", min=1, help="Look twice at every N-th frame of an empty road.")
    ] = EVERY,
    grammar: Grammar = False,
    only_grammar: Annotated[
        bool, typer.Option("--only-grammar", help="A text that fits no layout is no event.")
    ] = False,
    min_score: Annotated[
        float, typer.Option("--min-score", metavar="S", min=0, max=1, help="Of an event's text.")
    ] = 0.5,
    min_frames: Annotated[
        int, typer.Option("--min-frames", metavar="N", min=1, help="Frames that an event needs.")
    ] = 1,
    min_width: MinWidth = 0.0,
    zone: Zones = None,
    quiet: Quiet = 10.0,
    lost: Annotated[
        float, typer.Option("--lost", metavar="S", min=0, help="End a track S seconds after its last sighting.")
    ] = 1.5,
    after: After = None,
    unread: Annotated[
        bool, typer.Option("--unread", help="Tracks that were not read are events, too: state, reason.")
    ] = False,
    plate_list: PlateLists = None,
    list_distance: ListDistance = 0,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="POST every event as JSON, with retries.")
    ] = None,
    webhook_picture: WebhookPicture = False,
    spool: Annotated[
        Path | None, typer.Option("--spool", metavar="FILE", help="What is to be sent; else beside --output.")
    ] = None,
    webhook_wait: Annotated[
        float, typer.Option("--webhook-wait", metavar="S", min=0, help="Wait so long at the end.")
    ] = 60.0,
    give_up: Annotated[
        float | None, typer.Option("--give-up", metavar="S", min=0, help="Try a lost camera so long; else for ever.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say of every track why it is an event or none.")] = False,
) -> None:
    """Give one event per vehicle, with the text that all its frames agree on.

    Events are JSON lines. Files are read whole, cameras and streams at the newest frame until Ctrl-C. What was not
    read, and why, is said at the end. The exit code is 1 where a source broke off or could not be opened.
    """
    with complaints("Interrupted; --resume goes on."):
        from alpr.reader.reader import Reader, find_bundle
        from alpr.video.events import WatchSettings
        from alpr.video.plate_lists import PlateList
        from alpr.video.run import Outputs, Run
        from alpr.video.tracks import TrackSettings
        from alpr.video.zones import Zone

        folder = find_bundle(bundle)
        reader = Reader(folder, threads=threads, providers=provider, input_px=input_px, threshold=threshold)
        settings = WatchSettings(
            tracks=TrackSettings(lost_s=lost),
            min_score=min_score,
            min_frames=min_frames,
            min_width_px=min_width,
            quiet_s=quiet,
            after_s=after,
            only_grammar=only_grammar,
            unread=unread,
            zones=tuple(map(Zone.parse, zone or ())),
        )
        outputs = Outputs(
            output, resume, csv, annotate, blur, evidence, webhook, webhook_picture, spool, webhook_wait, explain
        )
        run = Run(
            sources, reader, settings, outputs, grammar or only_grammar,
            PlateList(plate_list, list_distance) if plate_list else None, every=every, fps=fps, give_up_s=give_up,
            looks=looks,
        )  # fmt: skip
        with suppress(ValueError):  # outside the main thread, as in tests
            signal.signal(signal.SIGTERM, lambda *_: run.stop())
        code = run()
    if code:
        raise typer.Exit(code)
