"""`alpr info`: what a bundle is, and which there are."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from alpr.cli.options import complaints
from alpr.reader.reader import bundle_names, find_bundle


def info(
    bundle: Annotated[
        str | None, typer.Argument(metavar="BUNDLE", help="A bundle's folder or name; else the default one.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the bundles that have a name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Say what a bundle is, and verify its files.

    What it reads and how well, thresholds to choose from, the smallest plate, licences and training runs.
    """
    from alpr.cli.bundle_info import bundle_info, bundle_lines, info_text

    with complaints():
        if listed:
            typer.echo("\n".join(bundle_lines([find_bundle(name) for name in bundle_names()])))
            return
        found = bundle_info(find_bundle(bundle))
    if not as_json:
        typer.echo(info_text(found))
        return
    import onnxruntime

    machine = {"providers": onnxruntime.get_available_providers()}
    typer.echo(json.dumps(found.to_dict() | {"machine": machine}, ensure_ascii=False, allow_nan=False, indent=2))
