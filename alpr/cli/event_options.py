"""Options of events, which `alpr watch` and `alpr serve --watch` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Evidence = Annotated[
    Path | None, typer.Option("--evidence", metavar="DIR", help="Write each event's best frame and crop.")
]
Every = Annotated[int, typer.Option("--every", metavar="N", min=1, help="Read every N-th frame.")]
MinWidth = Annotated[float, typer.Option("--min-width", metavar="PX", min=0, help="Do not read narrower plates.")]
Zones = Annotated[
    list[str] | None,
    typer.Option("--zone", metavar="ZONE", help="[SOURCE/]NAME=x,y x,y x,y: read inside alone. Repeatable."),
]
Quiet = Annotated[
    float, typer.Option("--quiet", metavar="S", min=0, help="A text again within S seconds is no new event.")
]
After = Annotated[
    float | None,
    typer.Option("--after", metavar="S", min=0, help="Events S seconds after the first sighting; corrected later."),
]
PlateLists = Annotated[
    list[Path] | None,
    typer.Option("--list", metavar="CSV", help="Known plates: text,list,distance,until,note. Repeatable."),
]
ListDistance = Annotated[
    int, typer.Option("--list-distance", metavar="N", min=0, help="Edits allowed, where a line names none.")
]
WebhookPicture = Annotated[bool, typer.Option("--webhook-picture", help="Events with their crop, as base64 JPEG.")]
