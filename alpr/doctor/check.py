"""A whole check of tables: examined, compared with readings where a bundle is given, mended, and written as pages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from alpr.doctor.alike_texts import alike_findings
from alpr.doctor.decisions import decided
from alpr.doctor.examination import Settings, examine, ordered
from alpr.doctor.findings import Finding
from alpr.doctor.folds import Folds, fold_findings
from alpr.doctor.images import FactsCache, open_images
from alpr.doctor.mending import write_mended
from alpr.doctor.page import print_findings, write_json, write_page
from alpr.doctor.second_opinion import consult
from alpr.doctor.table import read_rows
from alpr.plates.country import PACKS, CountryPack
from alpr.reader.reader import Reader


@dataclass(frozen=True)
class Asked:
    """What is checked, and what is written.

    Attributes:
        manifests: tables, checked together.
        country: the pack for every row, a code or a YAML file; None for each row's own.
        bundle: the folder of a bundle whose readings are compared with the labels.
        fix: where a mended copy goes; of one manifest.
        output: the page with pictures.
        json: all findings for machines.
        images: whether images are opened.
        facts: what was found in images; None for beside the page.
        workers: processes that open images.
        folds: how labels are judged by readers of the table's other plates; None for not at all.
        corrections: what a person decided about labels, see `alpr.doctor.decisions`.
    """

    manifests: Sequence[Path]
    country: str | None = None
    bundle: Path | None = None
    fix: Path | None = None
    output: Path | None = None
    json: Path | None = None
    images: bool = True
    facts: Path | None = None
    workers: int = 2
    folds: Folds | None = None
    corrections: Path | None = None


def check(asked: Asked, console: Console) -> list[Finding]:
    """The findings, after everything that was asked for has been written."""
    started = time.perf_counter()
    check_outputs(asked)
    packs, country = country_packs(asked.country)
    reader = Reader(asked.bundle) if asked.bundle else None
    table = read_rows(asked.manifests)
    facts_file = asked.facts or (asked.output and asked.output.with_suffix(".facts.jsonl"))
    cache = FactsCache(facts_file if asked.images else None)
    paths = table.images
    facts = open_images(paths, cache, asked.workers) if asked.images else {}
    found: list[Finding] = []
    readings: dict[int, tuple[str, float]] = {}
    if asked.folds is not None:
        found, readings = fold_findings(table, facts, packs, country, asked.folds, cache, console)
    found += examine(table, Settings(packs, country), facts)
    found += alike_findings(table, facts, asked.workers)
    if reader is not None:
        contradictions, read = consult(reader, table, cache, country=country)
        found += contradictions
        readings |= read
    found = ordered(found)
    if asked.corrections:
        after = decided(table, found, asked.corrections)
        found = after.findings
        console.print(after.sentence)
    counts = {"rows": table.rows, "images": len(paths), "images opened": len(facts)}
    print_findings(found, console)
    if asked.output:
        write_page(table, found, counts, asked.output, pictures=asked.images, readings=readings)
        console.print(str(asked.output))
    if asked.json:
        write_json(found, counts, asked.json)
    if asked.fix:
        changes = write_mended(asked.manifests[0], asked.fix, found)
        dropped = sum(c.column == "row" for c in changes)
        console.print(f"{asked.fix}: {dropped:,} rows dropped, {len(changes) - dropped:,} cells changed.")
    console.print(f"{table.rows:,} rows of {len(paths):,} images in {time.perf_counter() - started:.1f} s")
    return found


def check_outputs(asked: Asked) -> None:
    """Raises ValueError where an output would overwrite a manifest, or where two outputs are one file."""
    sources = {path.resolve() for path in asked.manifests}
    outputs = [path.resolve() for path in (asked.fix, asked.output, asked.json, asked.facts) if path]
    for output in outputs:
        if output in sources:
            raise ValueError(f"{output} is a manifest that is checked; it is never written to. Name another file.")
        if outputs.count(output) > 1:
            raise ValueError(f"{output} is named for two outputs; expected a file each.")
    if asked.fix and len(sources) > 1:
        raise ValueError(f"--fix mends one manifest at a time; {len(sources)} were given.")
    if asked.bundle and not asked.images:
        raise ValueError("--bundle has to open the images; --no-images forbids it.")
    if asked.folds and not asked.images:
        raise ValueError("--folds has to open the images; --no-images forbids it.")


def country_packs(chosen: str | None) -> tuple[dict[str, CountryPack], str | None]:
    """All packs by code, and the code to take for every row. Raises ValueError for one that does not exist."""
    packs = {pack.code: pack for pack in map(CountryPack.read, sorted(PACKS.glob("*.yaml")))}
    if chosen is None:
        return packs, None
    pack = CountryPack.find(chosen)
    return packs | {pack.code: pack}, pack.code
