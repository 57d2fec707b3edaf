"""`alpr data list`: the paths of many images, to be read in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alpr.cli.options import complaints, stop


def list_images(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Folders, globs, tar files or images.")],
    output: Annotated[Path, typer.Option("--output", metavar="LIST", help="The list, a path a line.")],
) -> None:
    """List the images of folders and tar files, a path a line, for `alpr predict --files-from`.

    A member of a tar file gets a path by which it is read in one step: TAR/OFFSET+BYTES/NAME.
    """
    from alpr.files import write_atomically
    from alpr.reader.many_images import PassedOver, collect_images

    passed_over = PassedOver()
    with complaints():
        images = [str(item.path) for item in collect_images(inputs, passed_over)]
        broken = next((image for image in images if "\n" in image or "\r" in image), None)
        if broken is not None:
            raise ValueError(f"The name {broken!r} holds the end of a line; a list cannot hold it.")
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, (f"{image}\n".encode(errors="surrogateescape") for image in images))
    for sentence in passed_over.sentences():
        typer.echo(sentence, err=True)
    typer.echo(f"{output}: {len(images):,} images")
    if passed_over.folders or passed_over.tars:
        stop("The list is not whole.", 1)
