"""`alpr send`: send images or a video to a server over UDP."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints, stop
from alpr.reader.many_images import progress
from alpr.serving.sending import Sender, frames_of
from alpr.serving.sockets import address

RATE = 5.0
"""Frames a second of images."""


def send(
    source: Annotated[Path, typer.Argument(metavar="FOLDER|VIDEO", help="Images of a folder, or a video's frames.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The server.")],
    old: Annotated[
        bool, typer.Option("--old", help="The form of the C++ server: no checksum, and nobody answers.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", min=0.01, max=1000, help="Frames a second; else the video's, or 5."),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="S", min=0, help="Seconds to wait for the last answers.")
    ] = 10.0,
) -> None:
    """Send images or a video to a server over UDP, at a steady rate.

    Every answer is a JSON line on stdout. The exit code is 1 where a frame got none, or was not read.
    """
    with complaints("Interrupted."):
        frames, found, count = frames_of(source)
        sender = Sender(address(to), rate or found or RATE, old=old, told=_tell)
        with progress(count or 0, "frames", shown=not sys.stdout.isatty() or old) as advance:
            for name, file in frames:
                if not file:
                    typer.echo(f"{name} is empty and was not sent.", err=True)
                    continue
                sender.send(name, file)
                advance()
        sender.wait(wait)
    sent = sender.sent
    if old:
        typer.echo(f"{sent.frames} frames sent in {sent.datagrams} datagrams.", err=True)
        return
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(sent.outcomes.items())) or "none"
    typer.echo(f"{sent.frames} frames sent in {sent.datagrams} datagrams; answers: {outcomes}.", err=True)
    if sent.outcomes.get("read", 0) < sent.frames:
        stop(f"{sent.frames - sent.outcomes.get('read', 0)} frames were not read.", 1)


def _tell(answer: dict[str, object]) -> None:
    print(json.dumps(answer, ensure_ascii=False), flush=True)
