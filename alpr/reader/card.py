"""The model card: everything that must travel with a bundle's weight files, as `card.json`."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from alpr.detection.settings import DetectorSettings
from alpr.files import file_sha256
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.plates.values import Entry, different_keys, short
from alpr.recognition.settings import RecogniserSettings

FORMAT = 1
CARD_FILE = "card.json"
MOST_BYTES = 4_000_000
"""Of a card; those of the shipped bundles have less than 100,000."""
PRECISIONS = ("fp32", "fp16", "int8")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CardError(ValueError):
    """A card, or a file it vouches for, that cannot be trusted; the sentence names the file and the key."""


@dataclass(frozen=True)
class WeightFile:
    """A file of the bundle: its plain name and the SHA-256 of its bytes, in hexadecimal."""

    file: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> WeightFile:
        """The entry for a file that exists.

        Raises:
            OSError: a file that cannot be read.
        """
        return cls(path.name, file_sha256(path))


@dataclass(frozen=True)
class DataSource:
    """What the weights were trained on: a manifest, a glyph bank, or plates that were rendered in training.

    Attributes:
        sha256: of the file, or of the country pack of rendered plates.
        origin: the repository that it comes from, or the program that drew it; "" in older cards.
        photographs: whose photographs these are, as far as the origin says it.
        made_from: what rendered plates and glyphs were made from: packs, typefaces, sets of photographs.
    """

    name: str
    sha256: str
    licence: str
    origin: str = ""
    photographs: str = ""
    made_from: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is not known is left out."""
        return {key: value for key, value in asdict(self).items() if value or key in _SOURCE_KEYS}


@dataclass(frozen=True)
class TrainingRun:
    """The run that made a network: its name, its seed and its resolved config as plain values.

    Attributes:
        started_from: the trainings whose weights it began with, the last one first: `name`, `sha256` of these weights
            and `data`, the SHA-256 of each manifest by its name.
    """

    name: str
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    started_from: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a run that began with nothing has no line of earlier ones."""
        return {key: value for key, value in asdict(self).items() if value or key in _RUN_KEYS}


@dataclass(frozen=True)
class ModelCard:
    """A bundle's card.

    Attributes:
        created: ISO 8601, UTC.
        alpr: the version of this package that wrote the bundle.
        commit: the commit of the source that wrote it; None where it is not known.
        alphabet: the recogniser's symbols in the order of its class ids; it holds the pack's whole alphabet.
        metrics: plain values, as measured.
        reader_file: both networks and all between them as one graph; None where the bundle has none.
        other_files: what else was written with the bundle and is not needed to read, such as weights for a training.
        precision: of the weights: fp32, fp16 or int8; the metrics of a converted bundle are those of the fp32 one,
            but for "conversion".
    """

    name: str
    created: str
    alpr: str
    commit: str | None
    country: CountryPack
    detector: DetectorSettings
    detector_file: WeightFile
    recogniser: RecogniserSettings
    recogniser_file: WeightFile
    alphabet: str
    data: tuple[DataSource, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: tuple[TrainingRun, ...] = ()
    reader_file: WeightFile | None = None
    precision: str = "fp32"
    other_files: tuple[WeightFile, ...] = ()

    @property
    def files(self) -> dict[str, WeightFile]:
        """The bundle's weight files by their key in the card."""
        files = {"detector": self.detector_file, "recogniser": self.recogniser_file}
        return files if self.reader_file is None else {**files, "reader": self.reader_file}

    @property
    def charset(self) -> Charset:
        """The recogniser's symbols and ids."""
        return Charset(self.alphabet)

    def to_dict(self) -> dict[str, Any]:
        """Plain values as they stand in card.json."""
        return {
            "format": FORMAT,
            "name": self.name,
            "created": self.created,
            "alpr": self.alpr,
            "commit": self.commit,
            "country": self.country.to_dict(),
            "detector": {**asdict(self.detector_file), "settings": asdict(self.detector)},
            "recogniser": {
                **asdict(self.recogniser_file),
                "alphabet": self.alphabet,
                "settings": asdict(self.recogniser),
            },
            "data": [source.to_dict() for source in self.data],
            "metrics": dict(self.metrics),
            "training": [run.to_dict() for run in self.training],
            **({} if self.reader_file is None else {"reader": asdict(self.reader_file)}),
            **({} if self.precision == "fp32" else {"precision": self.precision}),
            **({"other_files": [asdict(entry) for entry in self.other_files]} if self.other_files else {}),
        }

    @classmethod
    def from_dict(cls, data: Any, source: str = CARD_FILE) -> ModelCard:
        """A checked card from plain values.

        Raises:
            CardError: a missing, unknown or wrong entry; the sentence names the source, the key and what is expected.
        """
        card = Entry(data, source, "", "the card", CardError)
        version = card.take("format", int)
        if version != FORMAT:
            raise CardError(f"{source}: format is {version}; this version of alpr reads format {FORMAT}.")
        card.only((*_CARD_KEYS, *(key for key in _OPTIONAL_KEYS if key in card.data)))
        detector = card.entry("detector", ("file", "sha256", "settings"))
        recogniser = card.entry("recogniser", ("file", "sha256", "alphabet", "settings"))
        result = cls(
            name=card.take("name", str),
            created=card.take("created", str),
            alpr=card.take("alpr", str),
            commit=card.optional("commit", str),
            country=_country(card),
            detector=_detector_settings(detector),
            detector_file=_weight_file(detector),
            recogniser=_recogniser_settings(recogniser),
            recogniser_file=_weight_file(recogniser),
            alphabet=_alphabet(recogniser),
            data=tuple(map(_data_source, _entries(card, "data", _SOURCE_KEYS, _SOURCE_DEFAULTS))),
            metrics=card.take("metrics", dict),
            training=tuple(map(_training_run, _entries(card, "training", _RUN_KEYS, {"started_from": []}))),
            reader_file=_weight_file(card.entry("reader", ("file", "sha256"))) if "reader" in card.data else None,
            precision=card.take("precision", str) if "precision" in card.data else "fp32",
            other_files=tuple(map(_weight_file, card.entries("other_files", ("file", "sha256"))))
            if "other_files" in card.data
            else (),
        )
        if result.precision not in PRECISIONS:
            raise CardError(f"{source}: precision is {result.precision!r}; expected {', '.join(PRECISIONS)}.")
        lacking = sorted(set(result.country.alphabet) - set(result.alphabet))
        if lacking:
            raise CardError(
                f"{source}: recogniser.alphabet lacks {', '.join(lacking)}, which the country pack "
                f"{result.country.code!r} prints; expected every symbol of {result.country.alphabet!r}."
            )
        for (key, entry), (other, same) in combinations(result.files.items(), 2):
            if entry.file == same.file:
                raise CardError(f"{source}: {key}.file and {other}.file are both {entry.file!r}.")
        return result

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> ModelCard:
        """The checked card of a bundle; the weight files are not opened (see `verify`).

        Raises:
            CardError: no bundle there, no JSON, or a wrong entry.
        """
        path = Path(folder) / CARD_FILE
        try:
            with _regular(path).open("rb") as file:
                text = file.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise CardError(f"{path} has more than {MOST_BYTES} bytes; no card is that long.")
            data = json.loads(text.decode("utf-8"), object_pairs_hook=different_keys)
        except CardError:
            raise
        except OSError as error:
            raise CardError(f"{folder} is no bundle: {CARD_FILE} cannot be read ({error.strerror}).") from error
        except (ValueError, RecursionError) as error:
            raise CardError(f"{path} is no valid JSON: {error}.") from error
        return cls.from_dict(data, str(path))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Writes card.json into an existing folder, whole or not at all, and gives its path.

        Raises:
            CardError: values that could not be read back, such as NaN or an object that JSON does not know.
            OSError: a folder that cannot be written.
        """
        path = Path(folder) / CARD_FILE
        try:
            text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise CardError(f"The card {self.name!r} holds a value that is no plain JSON value: {error}.") from error
        self.from_dict(json.loads(text), f"The card {self.name!r}")
        part = path.with_name(f".{CARD_FILE}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def verify(self, folder: str | os.PathLike[str], *, others: bool = True) -> None:
        """Compares every file in the folder with its hash; of the other files those that are there.

        Args:
            others: False leaves out the other files, which a reader does not open.

        Raises:
            CardError: a name that is no plain file name, a missing network, or another hash than the card's.
        """
        needed = {f"{key}.": entry for key, entry in self.files.items()}
        beside = {f"other_files[{i}].": entry for i, entry in enumerate(self.other_files if others else ())}
        for key, entry in (needed | beside).items():
            _refuse_path(entry.file, f"{Path(folder) / CARD_FILE}: {key}file")
            path = Path(folder) / entry.file
            if key in beside and not path.exists():
                continue
            try:
                found = file_sha256(_regular(path))
            except OSError as error:
                raise CardError(f"{path}, named by {key}file of its card, cannot be read: {error.strerror}.") from error
            if found != entry.sha256:
                raise CardError(f"{path} has SHA-256 {found}; its card's {key}sha256 is {entry.sha256}.")


_SOURCE_KEYS = ("name", "sha256", "licence")
_SOURCE_DEFAULTS: Mapping[str, Any] = {"origin": "", "photographs": "", "made_from": []}
_RUN_KEYS = ("name", "seed", "config")
_OPTIONAL_KEYS = ("reader", "precision", "other_files")
_CARD_KEYS = (
    "format",
    *(
        f.name
        for f in fields(ModelCard)
        if f.name not in {"detector_file", "recogniser_file", "reader_file", "precision", "other_files", "alphabet"}
    ),
)


def _regular(path: Path) -> Path:
    """The path itself; a pipe or a device in a file's place, which would be read for ever, raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
    return path


def _entries(card: Entry, key: str, keys: Sequence[str], later: Mapping[str, Any]) -> list[Entry]:
    """The entries of a list with the keys that older cards lack."""
    listed = [{**later, **entry} if isinstance(entry, dict) else entry for entry in card.take(key, list)]
    return [card.inner(entry, f"{key}[{i}].", (*keys, *later)) for i, entry in enumerate(listed)]


def _data_source(entry: Entry) -> DataSource:
    name, sha256, licence = (entry.take(key, str) for key in _SOURCE_KEYS)
    origin, photographs = entry.take("origin", str), entry.take("photographs", str)
    return DataSource(name, sha256, licence, origin, photographs, entry.texts("made_from"))


def _training_run(entry: Entry) -> TrainingRun:
    earlier = [
        entry.inner(value, f"started_from[{i}].", ("name", "sha256", "data"))
        for i, value in enumerate(entry.take("started_from", list))
    ]
    line = tuple(
        {"name": e.take("name", str), "sha256": e.take("sha256", str), "data": e.take("data", dict)} for e in earlier
    )
    return TrainingRun(entry.take("name", str), entry.optional("seed", int), entry.take("config", dict), line)


def _country(card: Entry) -> CountryPack:
    data = card.take("country", dict)
    try:
        return CountryPack.from_dict(data, f"{card.source}: country")
    except (AttributeError, TypeError, ValueError) as error:
        raise CardError(str(error) if isinstance(error, ValueError) else f"{card.source}: country: {error}.") from error


def _detector_settings(detector: Entry) -> DetectorSettings:
    # A card from before the vote, or the second look, was measured without it.
    known = DetectorSettings(corner_vote=None)
    older = {key: getattr(known, key) for key in ("corner_vote", "fine_px", "sure_score", "small_px", "fine_weight")}
    written = {**older, **detector.take("settings", dict)}
    settings = detector.inner(written, "settings.", [f.name for f in fields(DetectorSettings)])
    values = {
        "input_px": settings.take("input_px", int),
        "multiple": settings.take("multiple", int),
        "max_plates": settings.take("max_plates", int),
    }
    score, iou = settings.take("score_threshold", float), settings.take("nms_iou", float)
    vote, fine = settings.optional("corner_vote", float), settings.optional("fine_px", int)
    sure, small = settings.take("sure_score", float), settings.take("small_px", float)
    try:
        return DetectorSettings(
            **values,
            score_threshold=score,
            nms_iou=iou,
            corner_vote=vote,
            fine_px=fine,
            sure_score=sure,
            small_px=small,
            fine_weight=settings.take("fine_weight", float),
        )
    except ValueError as error:
        raise CardError(f"{settings.source}: {settings.path}{error}") from error


def _recogniser_settings(recogniser: Entry) -> RecogniserSettings:
    # A card from before the calibration has no thresholds, one from before the heads has none.
    older: dict[str, Any] = {"threshold_99": None, "threshold_999": None, "countries": [], "kinds": []}
    older["read_again_below"] = 0.0  # every crop was read once
    written = {**older, **recogniser.take("settings", dict)}
    settings = recogniser.inner(written, "settings.", [f.name for f in fields(RecogniserSettings)])
    size = settings.take("size", list)
    if len(size) != 2 or any(type(side) is not int for side in size):
        raise CardError(f"{settings.source}: {settings.path}size is {short(size)}; expected [height, width].")
    try:
        return RecogniserSettings(
            size=(size[0], size[1]),
            margin=settings.take("margin", float),
            slots=settings.take("slots", int),
            temperature=settings.take("temperature", float),
            threshold_99=settings.optional("threshold_99", float),
            threshold_999=settings.optional("threshold_999", float),
            read_again_below=settings.take("read_again_below", float),
            countries=settings.texts("countries"),
            kinds=settings.texts("kinds"),
        )
    except CardError:
        raise
    except ValueError as error:
        raise CardError(f"{settings.source}: {settings.path}{error}") from error


def _weight_file(entry: Entry) -> WeightFile:
    name, sha256 = entry.take("file", str), entry.take("sha256", str)
    _refuse_path(name, f"{entry.source}: {entry.path}file")
    if not _SHA256.fullmatch(sha256):
        raise CardError(f"{entry.source}: {entry.path}sha256 is {short(sha256)}; expected 64 hexadecimal digits.")
    return WeightFile(name, sha256)


def _refuse_path(name: str, where: str) -> None:
    if name in {"", ".", "..", CARD_FILE} or any(c in name for c in "/\\:\0"):
        raise CardError(f"{where} is {name!r}; expected the plain name of a file inside the bundle's folder.")


def _alphabet(recogniser: Entry) -> str:
    alphabet = recogniser.take("alphabet", str)
    try:
        Charset(alphabet)
    except ValueError as error:
        raise CardError(f"{recogniser.source}: {recogniser.path}alphabet: {error}") from error
    return alphabet
