"""Packs tables and their images into WebDataset shards, with a table that trainings read; run again, it goes on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from alpr.data.columns import ManifestError
from alpr.data.manifest import read_manifest
from alpr.data.shards import DEFAULT_MB, damaged, make_shards, read_index


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*", type=Path, metavar="TABLE", help="CSV tables of labelled plates")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder of the shards")
    parser.add_argument("--shard-mb", type=float, default=DEFAULT_MB, help=f"megabytes of a shard ({DEFAULT_MB:g})")
    parser.add_argument("--split", nargs="+", help="only rows of these splits (all)")
    parser.add_argument("--check", action="store_true", help="compare the shards in DIR with their SHA-256")
    arguments = parser.parse_args()
    if bool(arguments.manifests) == arguments.check:
        parser.error("give the tables to pack, or --check and none.")
    return arguments


def main() -> int:
    """Runs the command; the exit code: 0 all well, 1 images left out or shards damaged, 130 interrupted."""
    arguments = parse_arguments()
    console = Console(highlight=False, soft_wrap=True)
    try:
        if arguments.check:
            faults = damaged(arguments.output)
            for fault in faults:
                console.print(fault, style="red")
            console.print(f"{len(read_index(arguments.output))} shards, {len(faults)} damaged.")
            return int(bool(faults))
        manifest = read_manifest(arguments.manifests, splits=arguments.split)
        report = make_shards(manifest, arguments.output, arguments.shard_mb)
    except (ManifestError, OSError) as error:
        console.print(str(error), style="red")
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; finished shards are whole. Run the same command to go on.", style="yellow")
        return 130
    images, size = sum(s.images for s in report.shards), sum(s.bytes for s in report.shards)
    console.print(f"{images:,} images in {len(report.shards)} shards, {size / 1e9:.2f} GB; {report.kept} were there.")
    if report.rejected:
        console.print(f"{report.rejected:,} could not be read; manifest.rejected.csv says why.", style="yellow")
    console.print(str(report.table))
    return int(report.rejected > 0)


if __name__ == "__main__":
    sys.exit(main())
