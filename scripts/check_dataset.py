"""Checks manifests and their images for what spoils a training; exit code 0 clean, 1 findings, 2 wrong usage.

python scripts/check_dataset.py mine.csv --output report.html --fix mine.clean.csv
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from alpr.data.columns import ManifestError
from alpr.doctor.examination import Settings, examine, ordered
from alpr.doctor.findings import Finding, Severity
from alpr.doctor.images import FactsCache, open_images
from alpr.doctor.mending import write_mended
from alpr.doctor.page import print_findings, write_json, write_page
from alpr.doctor.second_opinion import consult
from alpr.doctor.table import read_rows
from alpr.plates.country import PACKS, CountryPack
from alpr.reader.reader import Reader


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST", help="CSV tables, checked together")
    parser.add_argument(
        "--country", metavar="XX", help="the pack for every row: a code, or a YAML file (each row's own)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="a bundle whose readings are compared with the labels"
    )
    parser.add_argument(
        "--fix", type=Path, metavar="OUT", help="write a cleaned copy, and OUT.changes.csv; one manifest"
    )
    parser.add_argument("--output", type=Path, metavar="HTML", help="write a report with pictures")
    parser.add_argument("--json", type=Path, metavar="JSON", help="write all findings for machines")
    parser.add_argument("--images", action=argparse.BooleanOptionalAction, default=True, help="open the images (yes)")
    parser.add_argument("--facts", type=Path, metavar="FILE", help="remember opened images here (beside the report)")
    parser.add_argument("--num_workers", type=int, default=2, help="processes that open images (2)")
    parser.add_argument("--fail-on", choices=[s.name.lower() for s in Severity], default="error", help="(error)")
    return parser.parse_args()


def main() -> int:
    """Runs the command; the exit code: 0 clean, 1 findings of the severity, 2 wrong usage, 130 interrupted."""
    arguments = parse_arguments()
    console = Console(highlight=False, soft_wrap=True)
    try:
        found = check(arguments, console)
    except (ManifestError, OSError, RuntimeError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Interrupted. Images that were opened are remembered in the file of facts, if there is one.")
        return 130
    return int(any(f.severity >= Severity[arguments.fail_on.upper()] for f in found))


def check(arguments: argparse.Namespace, console: Console) -> list[Finding]:
    """The findings, after everything that was asked for has been written."""
    started = time.perf_counter()
    check_outputs(arguments)
    packs, country = country_packs(arguments.country)
    reader = Reader(arguments.model) if arguments.model else None
    table = read_rows(arguments.manifests)
    facts_file = arguments.facts or (arguments.output and arguments.output.with_suffix(".facts.jsonl"))
    cache = FactsCache(facts_file if arguments.images else None)
    paths = table.images
    facts = open_images(paths, cache, arguments.num_workers) if arguments.images else {}
    found = examine(table, Settings(packs, country), facts)
    readings = {}
    if reader is not None:
        contradictions, readings = consult(reader, table, cache, country=country)
        found += contradictions
    found = ordered(found)
    counts = {"rows": table.rows, "images": len(paths), "images opened": len(facts)}
    print_findings(found, console)
    if arguments.output:
        write_page(table, found, counts, arguments.output, pictures=arguments.images, readings=readings)
        console.print(str(arguments.output))
    if arguments.json:
        write_json(found, counts, arguments.json)
    if arguments.fix:
        changes = write_mended(arguments.manifests[0], arguments.fix, found)
        dropped = sum(c.column == "row" for c in changes)
        console.print(f"{arguments.fix}: {dropped:,} rows dropped, {len(changes) - dropped:,} cells changed.")
    console.print(f"{table.rows:,} rows of {len(paths):,} images in {time.perf_counter() - started:.1f} s")
    return found


def check_outputs(arguments: argparse.Namespace) -> None:
    """Raises ValueError where an output would overwrite a manifest, or where two outputs are one file."""
    sources = {path.resolve() for path in arguments.manifests}
    outputs = [path.resolve() for path in (arguments.fix, arguments.output, arguments.json, arguments.facts) if path]
    for output in outputs:
        if output in sources:
            raise ValueError(f"{output} is a manifest that is checked; it is never written to. Name another file.")
        if outputs.count(output) > 1:
            raise ValueError(f"{output} is named for two outputs; expected a file each.")
    if arguments.fix and len(sources) > 1:
        raise ValueError(f"--fix mends one manifest at a time; {len(sources)} were given.")
    if arguments.model and not arguments.images:
        raise ValueError("--model has to open the images; --no-images forbids it.")


def country_packs(chosen: str | None) -> tuple[dict[str, CountryPack], str | None]:
    """All packs by code, and the code to take for every row. Raises ValueError for one that does not exist."""
    packs = {pack.code: pack for pack in map(CountryPack.read, sorted(PACKS.glob("*.yaml")))}
    if chosen is None:
        return packs, None
    pack = CountryPack.find(chosen)
    return packs | {pack.code: pack}, pack.code


if __name__ == "__main__":
    sys.exit(main())
