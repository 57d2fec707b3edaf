"""Converts a data set: a foreign format into one table, or (with --to) on into another format."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from alpr.data.columns import ManifestError
from alpr.data.importers.formats import FORMATS, export, guess
from alpr.data.importers.labels import Imported, Wanted
from alpr.data.manifest import write_rejected


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Formats: " + "; ".join(f"{name}: {each.title}" for name, each in FORMATS.items()) + ".",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the data set's folder, or its one file of labels")
    parser.add_argument("--from", dest="source_format", choices=FORMATS, help="its format; guessed where it is certain")
    parser.add_argument("--to", choices=FORMATS, default="manifest", help="the format to write (manifest)")
    parser.add_argument(
        "--output", type=Path, required=True, help="the table to write; with --to the folder to write into"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="the photographs, where they are not beside the labels"
    )
    parser.add_argument("--classes", metavar="A,B", help="the classes that are plates (those whose name says so)")
    parser.add_argument("--label-is-text", action="store_true", help="labels are no classes but what the plates print")
    parser.add_argument("--keep-order", action="store_true", help="leave corners in the order in which they are given")
    parser.add_argument("--country", default="", metavar="XX", help="the country of plates that name none, such as CN")
    parser.add_argument(
        "--place-images",
        choices=("link", "copy", "none"),
        default="link",
        help="with --to: how photographs come to where the format expects them (link)",
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first record that cannot be used")
    return parser.parse_args()


def convert(arguments: argparse.Namespace, console: Console) -> None:
    """Reads, writes, and says what was found and what was lost.

    Raises:
        ManifestError: a source that cannot be used.
    """
    started = time.perf_counter()
    name = arguments.source_format or guess(arguments.source)
    wanted = Wanted(
        classes=tuple(part.strip() for part in (arguments.classes or "").split(",") if part.strip()),
        images=arguments.images,
        label_is_text=arguments.label_is_text,
        keep_order=arguments.keep_order,
        country=arguments.country,
        strict=arguments.strict,
    )
    imported = FORMATS[name].read(arguments.source, wanted)
    output: Path = arguments.output
    lost: list[str] = []
    if arguments.to == "manifest":
        output.parent.mkdir(parents=True, exist_ok=True)
        imported.manifest.write(output)
        rejected = output.with_suffix(".rejected.csv")
    else:
        lost = export(imported.manifest, arguments.to, output, arguments.place_images)
        rejected = output / "conversion.rejected.csv"
    write_rejected(imported.manifest.rejected, rejected)
    summarise(imported, name, time.perf_counter() - started, console)
    if lost:
        console.print(f"{arguments.to} could not hold everything:")
    for line in lost:
        console.print(f"  {line}")
    if imported.manifest.rejected:
        console.print(f"What could not be used, with reasons: {rejected}")
    console.print(str(output))


def summarise(imported: Imported, name: str, seconds: float, console: Console) -> None:
    """Prints what was read."""
    manifest = imported.manifest
    scenes = manifest.scenes()
    plates = sum(plate is not None for plate in map(manifest.plate, range(manifest.rows)))
    console.print(
        f"{FORMATS[name].title}: {plates:,} plates in {len(scenes):,} images, "
        f"{manifest.rows - plates:,} of them without a plate; "
        f"{len(manifest.rejected):,} records rejected; {seconds:.1f} s."
    )
    for note in imported.notes:
        console.print(f"  {note}")


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 a source that cannot be used, 130 interrupted."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        convert(parse_arguments(), console)
    except (ManifestError, OSError) as error:
        console.print(str(error), style="red")
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; files written so far are whole.", style="yellow")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
