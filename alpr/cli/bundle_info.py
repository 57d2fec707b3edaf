"""What a bundle says of itself to whoever deploys it: accuracy, thresholds, the smallest plate, licences, files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alpr.evaluation.by_width import LEAST_PLATES, SHARE, Readable, ReadableWidths, readable_from
from alpr.evaluation.intervals import stored_interval
from alpr.evaluation.scored import times_scored
from alpr.reader.card import DataSource, ModelCard

FIGURES: Mapping[str, str] = {
    "found_50": "found (IoU > 0.5)",
    "found_70": "found (IoU > 0.7)",
    "end_to_end_50": "found and every character right",
    "read_on_crops": "every character of a ready-made crop right",
}
"""The figures of a report that are shown, by their names there."""


@dataclass(frozen=True)
class FileInfo:
    """A file that the card vouches for; its hash was compared."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Accuracy:
    """A measured share of plates with its 95 % interval."""

    name: str
    value: float
    low: float
    high: float
    plates: int


@dataclass(frozen=True)
class Thresholds:
    """The scores to choose from.

    Attributes:
        detection: a plate is given from this score on; a lower one finds more, and more that is none.
        reading_99, reading_999: the lowest score above which that share of readings was right on held-back plates;
            None where none is known.
    """

    detection: float
    reading_99: float | None
    reading_999: float | None
    credible_from: float | None
    credible_text: float
    crops_below: float


@dataclass(frozen=True)
class Lineage:
    """A training run behind the bundle."""

    name: str
    seed: int | None


@dataclass(frozen=True)
class BundleInfo:
    """A verified bundle, described.

    Attributes:
        layouts: the kinds of plates of the country pack.
        input_px, middle_px, fine_px: the long side at which plates are looked for, and where in doubt again.
        crop_px: (height, width) of the recogniser's input.
        measured_on: the manifests of the figures. measured: empty where the card holds no figures.
        scored: how often at least their split had been scored when the card was written, or by this project; None where
            nobody counted.
        readable: None where it was not measured.
        data: what the weights were trained on, with licences.
    """

    name: str
    folder: str
    created: str
    alpr: str
    commit: str | None
    country: str
    country_name: str
    alphabet: str
    layouts: tuple[str, ...]
    countries: tuple[str, ...]
    companions: tuple[str, ...]
    most_characters: int
    input_px: int
    middle_px: int | None
    fine_px: int | None
    crop_px: tuple[int, int]
    precision: str
    files: tuple[FileInfo, ...]
    thresholds: Thresholds
    measured_on: tuple[str, ...]
    scored: int | None
    measured: tuple[Accuracy, ...]
    readable: ReadableWidths | None
    data: tuple[DataSource, ...]
    training: tuple[Lineage, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def bundle_info(folder: Path) -> BundleInfo:
    """Describes a bundle whose files are what its card says.

    Raises:
        CardError: no bundle there, a card that cannot be trusted, or a file with another hash.
    """
    card = ModelCard.read(folder)
    card.verify(folder)
    named = (*card.files.values(), *(one.file for one in card.companions), *card.other_files)
    files = [entry for entry in named if (folder / entry.file).exists()]
    metrics = card.metrics
    manifests = metrics.get("manifests")
    return BundleInfo(
        name=card.name,
        folder=str(folder),
        created=card.created,
        alpr=card.alpr,
        commit=card.commit,
        country=card.country.code,
        country_name=card.country.name,
        alphabet=card.alphabet,
        layouts=tuple(layout.name for layout in card.country.layouts),
        countries=card.recogniser.countries,
        companions=tuple(
            f"plates of {', '.join(one.countries)} by the recogniser of {one.name}: up to {one.recogniser.slots} "
            f"characters of {one.alphabet}"
            for one in card.companions
        ),
        most_characters=card.recogniser.slots,
        input_px=card.detector.input_px,
        middle_px=card.detector.middle_px,
        fine_px=card.detector.fine_px,
        crop_px=card.recogniser.size,
        precision=card.precision,
        files=tuple(FileInfo(f.file, (folder / f.file).stat().st_size, f.sha256) for f in files),
        thresholds=Thresholds(
            card.detector.score_threshold,
            card.recogniser.threshold_99,
            card.recogniser.threshold_999,
            card.detector.credible_from,
            card.detector.credible_text,
            card.detector.crops_below,
        ),
        measured_on=tuple(manifests) if isinstance(manifests, Mapping) else (),
        scored=_scored(metrics),
        measured=tuple(_accuracies(metrics.get("figures"))),
        readable=readable_from(metrics),
        data=card.data,
        training=tuple(Lineage(run.name, run.seed) for run in card.training),
    )


def bundle_lines(folders: Sequence[Path]) -> list[str]:
    """A line for each bundle: its name, country, precision and the megabytes of its networks.

    Raises:
        CardError: a card that cannot be trusted.
    """
    lines = []
    for folder in folders:
        card = ModelCard.read(folder)
        networks = (*card.files.values(), *(one.file for one in card.companions))
        megabytes = sum((folder / entry.file).stat().st_size for entry in networks) / 1e6
        what = f"{card.country.name} ({card.country.code}), {card.precision}, {megabytes:.1f} MB"
        lines.append(f"{folder.name:<12} {what}: {folder}")
    return lines


def _scored(metrics: Mapping[str, Any]) -> int | None:
    manifests, own = metrics.get("manifests"), metrics.get("scored")
    known = times_scored(manifests) if isinstance(manifests, Mapping) else None
    counts = [count for count in (known, own) if type(count) is int]
    return max(counts, default=None)


def _times(count: int | None) -> str:
    """A count in words."""
    if count is None:
        return "nobody knows how often"
    return f"at least {count} time{'s' * (count != 1)}"


def _accuracies(figures: Any) -> Iterator[Accuracy]:
    for figure in figures if isinstance(figures, list) else ():
        try:
            name, value, plates = str(figure["name"]), float(figure["value"]), int(figure["plates"])
            low, high = stored_interval(figure)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):  # a card's metrics are free in form
            continue
        if name in FIGURES and plates > 0:
            yield Accuracy(name, value, low, high, plates)


def info_text(info: BundleInfo) -> str:
    """The description in lines for people."""
    height, width = info.crop_px
    commit = f", commit {info.commit}" if info.commit else ", commit not known"
    lines = [
        f"{info.name}: {info.country_name} ({info.country}), {info.precision}",
        f"  made        {info.created} by alpr {info.alpr}{commit}",
        f"  reads       up to {info.most_characters} characters of {info.alphabet}",
        f"  layouts     {', '.join(info.layouts)}",
    ]
    for companion in info.companions:
        lines.append(f"  {companion}")
    if info.countries:
        lines.append(f"  tells apart {', '.join(info.countries)}")
    finer = " and ".join(str(px) for px in (info.middle_px, info.fine_px) if px is not None)
    again = f", in doubt again at {finer} px" if finer else ""
    lines.append(
        f"  input       photographs at {info.input_px} px on the long side{again}; plates at {width}x{height} px"
    )
    lines.append("files, hashes verified")
    lines += [f"  {f.file}  {f.bytes / 1e6:.1f} MB  sha256 {f.sha256}" for f in info.files]
    lines.append("expected accuracy" + (f" on {', '.join(info.measured_on)}" if info.measured else ""))
    if info.measured:
        lines.append(f"  these plates were scored {_times(info.scored)} before or with these figures")
    lines += [
        f"  {100 * a.value:5.1f} %  {FIGURES[a.name]} ({100 * a.low:.1f} to {100 * a.high:.1f}, {a.plates} plates)"
        for a in info.measured
    ] or ["  not measured"]
    lines += ["smallest readable plate", *_readable_lines(info.readable)]
    lines += ["thresholds to choose from", *_threshold_lines(info.thresholds)]
    lines.append("trained on")
    for (licence, origin), names in _by_licence(info.data).items():
        lines.append(f"  {', '.join(names)}: {licence or 'no licence stated'}" + f" (from {origin})" * bool(origin))
    if not info.data:
        lines.append("  not stated")
    runs = [run.name if run.seed is None else f"{run.name} (seed {run.seed})" for run in info.training]
    lines.append(f"training runs: {', '.join(runs) or 'not stated'}")
    return "\n".join(lines)


def _by_licence(data: Sequence[DataSource]) -> dict[tuple[str, str], list[str]]:
    """The names of the sources by licence and origin."""
    found: dict[tuple[str, str], list[str]] = {}
    for source in data:
        found.setdefault((source.licence, source.origin), []).append(source.name)
    return found


def _readable_lines(readable: ReadableWidths | None) -> list[str]:
    if readable is None or (readable.image.at is None and readable.input.at is None):
        return ["  not measured"]
    places = (("in the photograph", readable.image), ("in the detector's input", readable.input))
    return [line for place, found in places for line in _readable_line(place, found)]


def _readable_line(place: str, readable: Readable) -> Iterator[str]:
    found = readable.at
    if found is None:
        yield f"  {place}: no width at which {100 * SHARE:.0f} % of at least {LEAST_PLATES} plates were read"
        return
    range_px = f"{found.low_px} px or more" if found.high_px is None else f"{found.low_px} to {found.high_px} px"
    measured = f"{found.read} of {found.plates} plates {range_px} wide were read"
    narrower = "narrower ones were read worse" if readable.narrower else "too few narrower ones were measured"
    yield f"  {found.low_px} px wide {place} ({measured}; {narrower})"


def _threshold_lines(thresholds: Thresholds) -> Iterator[str]:
    score, text = thresholds.credible_from, thresholds.credible_text
    credible = "" if score is None else f", or {score:g} where its text scores {text:g} or more"
    yield f"  detection   {thresholds.detection:g}{credible}"
    if thresholds.crops_below:
        yield f"  crops       looked for inside where the text scores below {thresholds.crops_below:g}"
    for option, score in (("99", thresholds.reading_99), ("99.9", thresholds.reading_999)):
        known = "not known" if score is None else f"score >= {score:.6g}"
        yield f"  --precision {option:<5} {known}"
