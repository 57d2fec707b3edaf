"""The model card: everything that must travel with a bundle's weight files, as `card.json`."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from alpr.detection.settings import DetectorSettings
from alpr.files import SMALL_BYTES, file_sha256, read_regular, write_atomically
from alpr.plates.charset import Charset
from alpr.plates.country import CountryPack
from alpr.plates.values import Fault, located, read_as, short, strict_json
from alpr.recognition.settings import RecogniserSettings

FORMAT = 1
CARD_FILE = "card.json"
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
class EarlierRun:
    """A training whose weights another began with.

    Attributes:
        sha256: of its weights.
        data: the SHA-256 of each manifest by its name.
    """

    name: str
    sha256: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRun:
    """The run that made a network: its name, its seed and its resolved config as plain values.

    Attributes:
        started_from: the trainings whose weights it began with, the last one first.
    """

    name: str
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    started_from: tuple[EarlierRun, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a run that began with nothing has no line of earlier ones."""
        return {key: value for key, value in asdict(self).items() if value or key in _RUN_KEYS}


@dataclass(frozen=True)
class Companion:
    """A recogniser that reads the plates of some countries in place of the bundle's own, which tells them apart.

    Attributes:
        name: of the bundle that it comes from.
        countries: the codes of the countries whose plates it reads.
        file, recogniser, country, alphabet: as those of the bundle's own recogniser.
    """

    name: str
    countries: tuple[str, ...]
    file: WeightFile
    recogniser: RecogniserSettings
    country: CountryPack
    alphabet: str

    @property
    def charset(self) -> Charset:
        """Its symbols and ids."""
        return Charset(self.alphabet)

    def to_dict(self) -> dict[str, Any]:
        """Plain values as they stand in card.json."""
        named = {"name": self.name, "countries": list(self.countries), **asdict(self.file)}
        settings = asdict(self.recogniser)
        return {**named, "alphabet": self.alphabet, "settings": settings, "country": self.country.to_dict()}


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
        companions: further recognisers, each for the plates of some of the countries that the first one tells apart.
        precision: of the weights: fp32, fp16 or int8; the metrics of a converted bundle are those of the fp32 one,
            but for "conversion".
        fusion_temperature: of texts that are fused from several frames (`video/fusion.py`); None where it is not known.
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
    companions: tuple[Companion, ...] = ()
    fusion_temperature: float | None = None

    @property
    def files(self) -> dict[str, WeightFile]:
        """The bundle's weight files by their key in the card."""
        files = {"detector": self.detector_file, "recogniser": self.recogniser_file}
        return files if self.reader_file is None else {**files, "reader": self.reader_file}

    def _all_files(self) -> list[tuple[str, WeightFile]]:
        """Every file by its place in the card: ("detector.", ...), ("other_files[0].", ...)."""
        others = ((f"other_files[{i}].", entry) for i, entry in enumerate(self.other_files))
        companions = ((f"companions[{i}].", entry.file) for i, entry in enumerate(self.companions))
        return [*((f"{key}.", entry) for key, entry in self.files.items()), *companions, *others]

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
            **({"companions": [entry.to_dict() for entry in self.companions]} if self.companions else {}),
            **({} if self.fusion_temperature is None else {"fusion_temperature": self.fusion_temperature}),
        }

    @classmethod
    def from_dict(cls, data: Any, source: str = CARD_FILE) -> ModelCard:
        """A checked card from plain values.

        Raises:
            CardError: a missing, unknown or wrong entry; the sentence names the source, the key and what is expected.
        """
        version = data.get("format") if isinstance(data, Mapping) else FORMAT
        if type(version) is int and version != FORMAT:
            raise CardError(f"{source}: format is {version}; this version of alpr reads format {FORMAT}.")
        try:
            card = read_as(_Written, _with_later_settings(data), whole="the card", complete=_COMPLETE)
        except Fault as fault:
            raise CardError(located(source, fault)) from fault
        result = cls(
            **{key: getattr(card, key) for key in _AS_WRITTEN},
            country=_country(card.country, source),
            detector=card.detector.settings,
            detector_file=WeightFile(card.detector.file, card.detector.sha256),
            recogniser=card.recogniser.settings,
            recogniser_file=WeightFile(card.recogniser.file, card.recogniser.sha256),
            alphabet=_alphabet(card.recogniser.alphabet, source),
            reader_file=card.reader,
            companions=tuple(_companion(entry, source) for entry in card.companions),
        )
        for key, entry in result._all_files():
            _refuse_path(entry.file, f"{source}: {key}file")
            if not _SHA256.fullmatch(entry.sha256):
                raise CardError(f"{source}: {key}sha256 is {short(entry.sha256)}; expected 64 hexadecimal digits.")
        if result.precision not in PRECISIONS:
            raise CardError(f"{source}: precision is {result.precision!r}; expected {', '.join(PRECISIONS)}.")
        if result.fusion_temperature is not None and not 0 < result.fusion_temperature < math.inf:
            raise CardError(f"{source}: fusion_temperature is {result.fusion_temperature}; expected a number above 0.")
        lacking = sorted(set(result.country.alphabet) - set(result.alphabet))
        if lacking:
            raise CardError(
                f"{source}: recogniser.alphabet lacks {', '.join(lacking)}, which the country pack "
                f"{result.country.code!r} prints; expected every symbol of {result.country.alphabet!r}."
            )
        names = [*result.files.items(), *((f"companions[{i}]", c.file) for i, c in enumerate(result.companions))]
        for (key, entry), (other, same) in combinations(names, 2):
            if entry.file == same.file:
                raise CardError(f"{source}: {key}.file and {other}.file are both {entry.file!r}.")
        result._check_companions(source)
        return result

    def _check_companions(self, source: str) -> None:
        """Each reads crops as the first recogniser makes them, of countries that this one tells apart."""
        own, known = self.recogniser, set(self.recogniser.countries)
        for i, companion in enumerate(self.companions):
            where = f"{source}: companions[{i}]"
            settings = companion.recogniser
            if (settings.size, settings.margin) != (own.size, own.margin):
                raise CardError(
                    f"{where} reads crops of {settings.size} px with a margin of {settings.margin}; expected those of "
                    f"the recogniser, {own.size} and {own.margin}."
                )
            if not companion.countries or not set(companion.countries) <= known:
                raise CardError(
                    f"{where}.countries is {list(companion.countries)}; expected some of those that the recogniser "
                    f"tells apart, {', '.join(sorted(known)) or 'which are none'}."
                )

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> ModelCard:
        """The checked card of a bundle; the weight files are not opened (see `verify`).

        Raises:
            CardError: no bundle there, no JSON, or a wrong entry.
        """
        path = Path(folder) / CARD_FILE
        try:
            data = strict_json(read_regular(path, SMALL_BYTES))
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise CardError(f"{path} has more than {SMALL_BYTES} bytes; no card is that long.") from error
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
        write_atomically(path, [text.encode()])
        return path

    def verify(self, folder: str | os.PathLike[str], *, others: bool = True) -> None:
        """Compares every file in the folder with its hash; of the other files those that are there.

        Args:
            others: False leaves out the other files, which a reader does not open.

        Raises:
            CardError: a name that is no plain file name, a missing network, or another hash than the card's.
        """
        for key, entry in self._all_files():
            beside = key.startswith("other_files")
            if beside and not others:
                continue
            _refuse_path(entry.file, f"{Path(folder) / CARD_FILE}: {key}file")
            path = Path(folder) / entry.file
            if beside and not path.exists():
                continue
            try:
                found = file_sha256(path)
            except OSError as error:
                raise CardError(f"{path}, named by {key}file of its card, cannot be read: {error.strerror}.") from error
            if found != entry.sha256:
                raise CardError(f"{path} has SHA-256 {found}; its card's {key}sha256 is {entry.sha256}.")


@dataclass(frozen=True)
class _WrittenDetector(WeightFile):
    settings: DetectorSettings


@dataclass(frozen=True)
class _WrittenRecogniser(WeightFile):
    alphabet: str
    settings: RecogniserSettings


@dataclass(frozen=True)
class _WrittenCompanion(_WrittenRecogniser):
    name: str
    countries: tuple[str, ...]
    country: dict[str, Any]


@dataclass(frozen=True)
class _Written:
    """A card as it stands in card.json."""

    format: int
    name: str
    created: str
    alpr: str
    commit: str | None
    country: dict[str, Any]
    detector: _WrittenDetector
    recogniser: _WrittenRecogniser
    data: tuple[DataSource, ...]
    metrics: dict[str, Any]
    training: tuple[TrainingRun, ...]
    reader: WeightFile | None = None
    precision: str = "fp32"
    other_files: tuple[WeightFile, ...] = ()
    companions: tuple[_WrittenCompanion, ...] = ()
    fusion_temperature: float | None = None


_AS_WRITTEN = (
    "name", "created", "alpr", "commit", "data", "metrics", "training", "precision", "other_files",
    "fusion_temperature",
)  # fmt: skip
"""What a card in the file holds as `ModelCard` does."""
_COMPLETE = (DetectorSettings, RecogniserSettings, TrainingRun)
_LATER: Mapping[str, Mapping[str, Any]] = {
    # A card from before the vote, a further look or the reading of faint plates was measured without it.
    "detector": {
        key: getattr(DetectorSettings(corner_vote=None), key)
        for key in (
            "corner_vote", "fine_px", "sure_score", "small_px", "fine_weight", "middle_px", "finer_corners",
            "widest_fine", "wide_score", "others_score", "credible_from", "credible_text", "crops_below",
        )
    },
    # One from before the calibration has no thresholds, one from before the heads has none; every crop was read once.
    "recogniser": {
        "threshold_99": None, "threshold_999": None, "countries": [], "kinds": [], "read_again_below": 0.0,
        "row_cuts": [], "unread": [], "unreadable_below": 0.0,
    },
}  # fmt: skip
"""The settings that came later, with the values that older cards were measured with."""


def _with_later_settings(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    whole = dict(data)
    for key, later in _LATER.items():
        entry = whole.get(key)
        if isinstance(entry, Mapping) and isinstance(entry.get("settings"), Mapping):
            whole[key] = {**entry, "settings": {**later, **entry["settings"]}}
    if isinstance(whole.get("companions"), list):
        later = _LATER["recogniser"]
        whole["companions"] = [
            {**one, "settings": {**later, **one["settings"]}}
            if isinstance(one, Mapping) and isinstance(one.get("settings"), Mapping)
            else one
            for one in whole["companions"]
        ]
    if isinstance(whole.get("training"), list):
        whole["training"] = [{"started_from": [], **r} if isinstance(r, Mapping) else r for r in whole["training"]]
    return whole


_SOURCE_KEYS = ("name", "sha256", "licence")
_RUN_KEYS = ("name", "seed", "config")
"""What an entry of a card always has."""


def _companion(written: _WrittenCompanion, source: str) -> Companion:
    file = WeightFile(written.file, written.sha256)
    country, alphabet = _country(written.country, source), _alphabet(written.alphabet, source)
    return Companion(written.name, written.countries, file, written.settings, country, alphabet)


def _country(data: Mapping[str, Any], source: str) -> CountryPack:
    try:
        return CountryPack.from_dict(data, f"{source}: country")
    except (AttributeError, TypeError, ValueError) as error:
        raise CardError(str(error) if isinstance(error, ValueError) else f"{source}: country: {error}.") from error


def _alphabet(symbols: str, source: str) -> str:
    try:
        Charset(symbols)
    except ValueError as error:
        raise CardError(f"{source}: recogniser.alphabet: {error}") from error
    return symbols


def _refuse_path(name: str, where: str) -> None:
    if name in {"", ".", "..", CARD_FILE} or any(c in name for c in "/\\:\0"):
        raise CardError(f"{where} is {name!r}; expected the plain name of a file inside the bundle's folder.")
