"""Scoring for `alpr evaluate`: which rows the protocols want, and their reports written in every form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from alpr.data.ccpd import split_of_subset
from alpr.data.ccpd_folders import manifest_of_names, read_list
from alpr.data.corrections import Correction
from alpr.data.manifest import Manifest
from alpr.data.overlap import Overlap, Part, overlap_of, parts_of_files, parts_of_manifest
from alpr.data.several_tables import join_manifests, read_manifest
from alpr.evaluation.page import protocol_page
from alpr.evaluation.protocols.grids import grids_of, overlap_grids, score_grids
from alpr.evaluation.protocols.matching import selected_rows
from alpr.evaluation.protocols.report import ProtocolReport, protocol_report, write_values
from alpr.evaluation.protocols.rules import Protocol
from alpr.evaluation.tables import as_latex, as_markdown, as_text
from alpr.files import write_atomically
from alpr.reader.predictions import Predicted

TRAIN = "train"


@dataclass(frozen=True, eq=False)
class Scoring:
    """What predictions are scored by.

    Attributes:
        manifest: all labelled rows that were given, of whatever split.
        splits: only rows of these splits count; None for all that a protocol counts.
        trained: the texts of the plates that training has seen; None where no training row is known.
        overlap: of the parts of the data; None where there is one only.
    """

    protocols: tuple[Protocol, ...]
    manifest: Manifest
    splits: tuple[str, ...] | None
    trained: frozenset[str] | None
    overlap: Overlap | None
    corrections: tuple[Correction, ...]

    @property
    def counted(self) -> Manifest:
        """The rows of the splits."""
        return self.manifest if self.splits is None else self.manifest.select(splits=self.splits)

    def wanted(self) -> Manifest:
        """The rows that any of the protocols counts.

        Raises:
            ValueError: a protocol that counts none.
        """
        counted = self.counted
        rows = {row for p in self.protocols for row in selected_rows(p, counted, self.trained).rows}
        return counted.take(sorted(rows))

    def reports(
        self,
        predictions: Sequence[Predicted],
        *,
        model: Mapping[str, str],
        manifests: Mapping[str, str],
        made_with: Mapping[str, Any],
        clock: str,
    ) -> list[ProtocolReport]:
        """The predictions scored under each protocol.

        Raises:
            ValueError: predictions that do not fit the images.
        """
        return [
            replace(
                protocol_report(
                    protocol,
                    self.counted,
                    predictions,
                    trained=self.trained,
                    overlap=self.overlap,
                    corrections=self.corrections,
                    model=model,
                    manifests=manifests,
                    clock=clock,
                ),
                made_with=made_with,
            )
            for protocol in self.protocols
        ]


def scoring_of(
    protocols: Sequence[str],
    labels: Sequence[Path],
    *,
    images: Path | None = None,
    train: Sequence[Path] = (),
    splits: Sequence[str] | None = None,
    corrections: Sequence[Correction] = (),
) -> Scoring:
    """The protocols and labels of an evaluation.

    Args:
        protocols: names in `configs/protocol`, or files.
        labels: tables (.csv), and official lists (.txt).
        images: the folder that the entries of lists are relative to; by default the one above the list's folder.
        train: tables or lists of the training images; of a table that has splits the rows `train`.

    Raises:
        ValueError: a protocol or a file that cannot be used.
    """
    manifest = labels_of(labels, images)
    trained = _training_part(manifest, train)
    parts = [part for part in parts_of_manifest(manifest) if part.name != TRAIN]
    if trained is not None:
        parts.insert(0, trained)
    return Scoring(
        tuple(Protocol.read(name) for name in protocols),
        manifest,
        None if splits is None else tuple(splits),
        None if trained is None else trained.plates,
        overlap_of(parts) if len(parts) > 1 else None,
        tuple(corrections),
    )


def labels_of(paths: Sequence[Path], images: Path | None = None) -> Manifest:
    """The labels of tables and of official lists, whose names are labels; no image is opened.

    Raises:
        ManifestError: a file that cannot be read or used.
    """
    tables = [path for path in paths if path.suffix.lower() != ".txt"]
    manifests = [read_manifest(tables)] if tables else []
    for path in (path for path in paths if path.suffix.lower() == ".txt"):
        names = list(dict.fromkeys(read_list(path)))
        subsets = [name.split("/")[-2] if "/" in name else path.stem for name in names]
        of_list = path.stem if path.stem in ("train", "val", "test") else ""
        splits = [of_list or split_of_subset(subset) for subset in subsets]
        manifests.append(manifest_of_names(images or path.absolute().parent.parent, names, splits, subsets))
    return join_manifests(manifests)


def _training_part(manifest: Manifest, train: Sequence[Path]) -> Part | None:
    """All that training has seen: the manifest's rows `train`, and the files that were named."""
    found = [part for part in parts_of_manifest(manifest) if part.name == TRAIN]
    for path in train:
        parts = parts_of_files([path])
        found += [part for part in parts if part.name == TRAIN] or parts
    if not found:
        return None
    return Part(
        TRAIN,
        sum(part.entries for part in found),
        frozenset[str]().union(*(part.images for part in found)),
        frozenset[str]().union(*(part.plates for part in found)),
        sum(part.unlabelled for part in found),
    )


def write_protocol(report: ProtocolReport, manifest: Manifest, folder: Path, shown: int) -> None:
    """Writes a report as NAME.txt, .md, .tex, .json and .html.

    Args:
        shown: the most missed plates of each cause on the page; 0 for no page.

    Raises:
        NotWritten: a full disk, or a folder that may not be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grids, name = grids_of(report), report.protocol.name
    for suffix, text in (("txt", as_text(grids)), ("md", as_markdown(grids)), ("tex", as_latex(grids))):
        write_atomically(folder / f"{name}.{suffix}", [text.encode()])
    write_values(report, folder / f"{name}.json")
    if shown:
        protocol_page(report, manifest, shown).write(folder / f"{name}.html")


def print_overlap(scoring: Scoring, console: Console) -> None:
    """Prints what the parts of the data share."""
    console.print(as_text(overlap_grids(scoring.overlap)), markup=False, highlight=False, soft_wrap=True)


def print_protocols(reports: Sequence[ProtocolReport], console: Console) -> None:
    """Prints the tables of each protocol."""
    for report in reports:
        console.print(as_text(score_grids(report)), markup=False, highlight=False, soft_wrap=True)
