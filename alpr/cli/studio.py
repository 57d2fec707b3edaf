"""`alpr studio`: look at what a bundle reads, label and correct, in the browser."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alpr.cli.options import BundleOption, complaints, stop

if TYPE_CHECKING:
    from alpr.studio.server import Studio


def studio(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder of images, a table, a video, or a webcam's number.")
    ] = ".",
    bundle: BundleOption = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Where labels are written; else studio.csv beside the images."),
    ] = None,
    country: Annotated[
        str | None,
        typer.Option(
            "--country", metavar="XX", help="The pack that drafts fit, a code or a YAML file; else the bundle's."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads per network; else one per core.")
    ] = None,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="Else a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Look at what a bundle reads, label and correct, in the browser.

    Prints the page's address with a token; only this machine reaches it. Every change is written at once into a table
    of its own: studio.csv in a folder, NAME.studio.csv beside a table NAME.csv, which itself is never written to.
    Needs the extra `studio`.
    """
    import secrets
    import socket

    from alpr.serving.connections import HttpServer
    from alpr.serving.sockets import bound
    from alpr.studio.gate import Gate
    from alpr.studio.server import make_app

    with complaints("Interrupted before it served."):
        opened = _opened(source, bundle, table, country, threads)
        token = secrets.token_urlsafe(24)
        sock = bound(("127.0.0.1", port), socket.SOCK_STREAM)
        place = ("127.0.0.1", int(sock.getsockname()[1]))
        server = HttpServer(Gate(make_app(opened, token), token, place), sock)
    ended = _stopped()
    server.start()
    address = f"http://127.0.0.1:{place[1]}/?token={token}"
    print(address, flush=True)
    if not no_browser and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(address)
    ended.wait()
    opened.close()
    server.stop()


def _opened(source: str, bundle: str | None, table: Path | None, country: str | None, threads: int | None) -> Studio:
    """What the words name, ready to be served."""
    from alpr.plates.country import CountryPack
    from alpr.reader.reader import Reader, find_bundle
    from alpr.studio.film import Film
    from alpr.studio.pictures import Pictures
    from alpr.studio.project import Project, project_table
    from alpr.studio.readings import Readings
    from alpr.studio.server import Studio

    folder = find_bundle(bundle)
    pack = CountryPack.find(country) if country is not None else None
    readings = Readings(lambda: Reader(folder, threads=threads), pack)
    path = Path(source)
    if not path.is_dir() and path.suffix.lower() not in (".csv", ".tsv"):
        if table is not None:
            stop("--table is given with a video; expected a folder or a table, as frames are not labelled.", 2)
        return Studio(source, folder.name, readings, film=Film(source, readings))
    target = table or project_table(path)
    if (
        table is not None
        and not path.is_dir()
        and table.exists()
        and table.samefile(path)
        and project_table(path) != path
    ):
        stop(f"--table {table} is the table that is opened, which is never written over; expected another file.", 2)
    if (path / "run.json").is_file():
        stop(f"{path} is a run's folder; expected a folder of images, a table, a video, or a webcam's number.", 2)
    if not target.parent.is_dir():
        stop(f"--table {target}: there is no folder {target.parent}.", 2)
    project = Project(target, None if path.is_dir() else path, _images(path) if path.is_dir() else ())
    if not project.photos:
        stop(f"{path} names no photograph.", 2)
    for sentence in project.rejected[:3]:
        typer.echo(f"Left out: {sentence}", err=True)
    if len(project.rejected) > 3:
        typer.echo(f"Left out: {len(project.rejected) - 3} more rows.", err=True)
    if not os.access(target.parent, os.W_OK):
        typer.echo(
            f"{target.parent} cannot be written to: no label can be kept. --table FILE names another place.", err=True
        )
    typer.echo(f"{len(project.photos):,} photographs. Labels are written into {target}.", err=True)
    return Studio(str(path), folder.name, readings, project, Pictures(target.parent))


def _images(folder: Path) -> list[Path]:
    from alpr.reader.many_images import InputError, PassedOver, collect_images

    over = PassedOver()
    try:
        found = [item.path for item in collect_images([str(folder)], over)]
    except InputError as error:
        stop(str(error), 2)
    over.suffixes.pop(".csv", None)  # such as the studio's own table
    for sentence in over.sentences():
        typer.echo(sentence, err=True)
    return found


def _stopped() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: event.set())
    return event
