"""From images to readings, over any two callables: ONNX Runtime sessions here, torch modules in evaluation.

from alpr import Reader
reader = Reader()                  # the default bundle
for plate in reader("car.jpg"):
    print(plate.reading.text, plate.reading.score, plate.detection.corners)
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, overload

from alpr.detection.detect import Detector, Found
from alpr.files import packaged
from alpr.images.photograph import Photograph, read_photograph
from alpr.images.prepare import Source
from alpr.plates.records import ImageArray, PlateReading, Reading
from alpr.reader.card import CARD_FILE, ModelCard
from alpr.reader.loose_crops import read_crops
from alpr.reader.sessions import OnnxDetector, OnnxRecogniser
from alpr.recognition.decode import Decoding
from alpr.recognition.grammar import Grammar
from alpr.recognition.read import Recogniser

IMAGES_AT_ONCE = 8
"""Images that stand in memory together."""


class StageTimes(NamedTuple):
    """Milliseconds spent on one image: file to pixels, pixels to corners, corners to text.

    Decoding again counts where more pixels are needed.
    """

    decode: float
    detect: float
    read: float


class TimedReading(NamedTuple):
    """The plates of one image in its own px, the image, where the time went, and how often it was looked at."""

    photograph: Photograph
    plates: list[PlateReading]
    ms: StageTimes
    looks: int = 1


class Reader:
    """Reads the plates in images with an exported bundle.

    Args:
        bundle: a bundle's folder, or the name of one that travels with the package, such as "world"; by default the
            one that the text file `default` in `model_bin` names.
        threads: threads per network; by default one per core this process may use.
        providers: ONNX Runtime execution providers, best first; by default the CPU's alone.
        input_px: the long side at which the detector looks, once, in place of the card's looks.
        threshold: plates with a lower score are left out, 0..1, and all others count: in place of the card's threshold
            and of its scores of credible plates.
        grammar: whether a text that fits no layout of the country gives way to the most probable one that does.
        min_score: readings with a lower score are flagged, `certain` False: a number from 0 to 1, or "99" or "99.9" for
            the card's threshold of that precision in per cent. By default nothing is said: `certain` is None.

    Attributes:
        detector, recogniser: the two halves.
        card: the bundle's card; None for a reader made from parts.
        providers: the execution providers in use.

    Raises:
        ValueError: no bundle there, a card or file that cannot be trusted, a provider that is not available, an
            input size that is no multiple of the card's, or a precision for which the card has no threshold.
    """

    detector: Detector
    recogniser: Recogniser
    card: ModelCard | None
    providers: tuple[str, ...]
    _made_by: tuple[Path, dict[str, Any]] | None

    def __init__(
        self,
        bundle: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        input_px: int | None = None,
        threshold: float | None = None,
        grammar: bool = False,
        min_score: float | str | None = None,
    ) -> None:
        options = {
            "threads": threads,
            "providers": providers,
            "input_px": input_px,
            "threshold": threshold,
            "grammar": grammar,
            "min_score": min_score,
        }
        folder = find_bundle(bundle)
        card = ModelCard.read(folder)
        card.verify(folder, others=False)
        if isinstance(min_score, str):
            min_score = card.recogniser.min_score(min_score)
        rules = Grammar(card.country, card.charset) if grammar else None
        detector = OnnxDetector(folder / card.detector_file.file, threads, providers)
        recogniser = OnnxRecogniser(
            folder / card.recogniser_file.file, card.recogniser, len(card.charset), threads, providers
        )
        self.detector = Detector(detector, card.detector)
        if input_px is not None:
            self.detector = self.detector.at(input_px)
        if threshold is not None:
            self.detector = self.detector.down_to(threshold, card.detector.max_plates)
        decoding = Decoding(rules, min_score)
        others = _companions(card, folder, threads, providers, options)
        self.recogniser = Recogniser(recogniser, card.recogniser, card.charset, decoding, others)
        self.card = card
        self.providers = detector.providers
        self._made_by = (folder.resolve(), options)

    @classmethod
    def from_parts(cls, detector: Detector, recogniser: Recogniser) -> Reader:
        """A reader over two halves that need not be ONNX, such as torch modules in evaluation."""
        reader = cls.__new__(cls)
        reader.detector, reader.recogniser = detector, recogniser
        reader.card, reader.providers, reader._made_by = None, (), None
        return reader

    def __reduce__(self) -> tuple[Any, ...]:
        """A reader is pickled as its bundle's folder and its options: the other process opens the bundle again."""
        if self._made_by is None:
            raise TypeError("A reader made from parts cannot be pickled; make it in the process that reads.")
        return _made_again, self._made_by

    # A str is a sequence of str to the type checker; it never reaches the second form.
    @overload
    def __call__(self, image: Source) -> list[PlateReading]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, image: Sequence[Source]) -> list[list[PlateReading]]: ...
    def __call__(self, image: Source | Sequence[Source]) -> list[PlateReading] | list[list[PlateReading]]:
        """The plates of one image, best score first; of a list of images, one such list each.

        A list is read in batches; paths in it are opened a few at a time.

        Raises:
            UnreadableImage: an image that cannot be read; the sentence names it.
        """
        if not isinstance(image, Sequence) or isinstance(image, str | bytes | bytearray | memoryview):
            return self._read_images([self.open(image)])[0]
        result: list[list[PlateReading]] = []
        for start in range(0, len(image), IMAGES_AT_ONCE):
            result += self._read_images([self.open(source) for source in image[start : start + IMAGES_AT_ONCE]])
        return result

    def stream(self, frames: Iterable[Source], *, batch: int = 4) -> Iterator[list[PlateReading]]:
        """The plates of each frame of an iterator, which may be endless, in order.

        Up to `batch` frames are taken at once and read together; no frame is taken before its batch is asked for. A
        live camera wants 1, and so does a source that fills one array again and again.

        Raises:
            ValueError: a batch below 1, at once.
            UnreadableImage: a frame that cannot be read, such as None, after the readings of those before it. What
                the iterator itself raises comes then, too.
        """
        if batch < 1:
            raise ValueError(f"The batch is {batch}; expected at least 1.")
        return self._streamed(iter(frames), batch)

    def _streamed(self, frames: Iterator[Source], batch: int) -> Iterator[list[PlateReading]]:
        while True:
            images: list[Photograph] = []
            try:
                for source in islice(frames, batch):
                    images.append(self.open(source))
            except Exception:  # whatever a camera's library raises
                yield from self._read_images(images)
                raise
            if not images:
                return
            yield from self._read_images(images)

    def read_crops(self, crops: Sequence[ImageArray], *, as_is: bool = False) -> list[Reading]:
        """The readings of ready-made crops (H, W, 3) uint8 BGR of any size, each of one upright plate.

        Args:
            as_is: read them as they are; else the plate is looked for inside a crop whose reading is in doubt, where
                the card says so (`crops_below`), and the reading with the higher score stays.
        """
        return self.recogniser.read(crops) if as_is else read_crops(self.detector, self.recogniser, crops)

    def open(self, image: Source, *, whole: bool = False) -> Photograph:
        """An image as this reader looks at it.

        Args:
            whole: decode every pixel, also of a JPEG much larger than the detector looks at.

        Raises:
            UnreadableImage: an image that cannot be read; the sentence names it.
        """
        return read_photograph(image, math.inf if whole else self.detector.settings.first_px)

    def read_timed(self, image: Source | Photograph) -> TimedReading:
        """The plates of one image with the time of every stage.

        Raises:
            UnreadableImage: an image that cannot be read; the sentence names it.
        """
        started = perf_counter()
        photograph = image if isinstance(image, Photograph) else self.open(image)
        decode = 1000 * (perf_counter() - started)
        (read,) = self.read_opened([photograph])
        return read._replace(ms=read.ms._replace(decode=decode))

    def read_opened(self, photographs: Sequence[Photograph]) -> list[TimedReading]:
        """The plates of images that are open, which are read together; each has its share of the time of every stage.

        Raises:
            UnreadableImage: no memory for the pixels of one of them.
        """
        if not photographs:
            return []
        times = [perf_counter()]
        found = self.detector.to_be_read().look(photographs)
        times.append(perf_counter())
        plates = self._read(photographs, found)
        times.append(perf_counter())
        ms = StageTimes(0.0, *(1000 * (end - start) / len(photographs) for start, end in pairwise(times)))
        return [
            TimedReading(photograph, read, ms, one.looks)
            for photograph, read, one in zip(photographs, plates, found, strict=True)
        ]

    def _read_images(self, photographs: Sequence[Photograph]) -> list[list[PlateReading]]:
        return self._read(photographs, self.detector.to_be_read().look(photographs))

    def _read(self, photographs: Sequence[Photograph], found: Sequence[Found]) -> list[list[PlateReading]]:
        corners = [[plate.corners for plate in one.plates] for one in found]
        readings = self.recogniser.read_scenes(photographs, corners, self.detector.settings.closest_px)
        read = [list(map(PlateReading, one.plates, texts)) for one, texts in zip(found, readings, strict=True)]
        return [self.detector.kept(plates) for plates in read]


def _companions(
    card: ModelCard,
    folder: Path,
    threads: int | None,
    providers: Sequence[str] | None,
    options: Mapping[str, Any],
) -> dict[str, Recogniser]:
    """The further recognisers of a bundle by the codes of their countries."""
    found: dict[str, Recogniser] = {}
    for one in card.companions:
        least = options["min_score"]
        least = one.recogniser.min_score(least) if isinstance(least, str) else least
        rules = Grammar(one.country, one.charset) if options["grammar"] else None
        network = OnnxRecogniser(folder / one.file.file, one.recogniser, len(one.charset), threads, providers)
        reads = Recogniser(network, one.recogniser, one.charset, Decoding(rules, least))
        found |= dict.fromkeys(one.countries, reads)
    return found


def _made_again(folder: Path, options: Mapping[str, Any]) -> Reader:
    return Reader(folder, **options)


def find_bundle(bundle: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a bundle: a path, or the name of one that travels with the package, such as `world`.

    Args:
        bundle: a folder that holds card.json comes before a name; None for the default bundle.

    Raises:
        ValueError: no such bundle; the sentence lists the names that there are.
    """
    if bundle is None:
        return default_bundle()
    given = Path(bundle).expanduser()
    if (given / CARD_FILE).exists():
        return given
    bundles, known = packaged("model_bin"), bundle_names()
    if str(bundle) in known:
        return bundles / str(bundle)
    what = f"{bundle} is no bundle: it has no {CARD_FILE}" if given.is_dir() else f"There is no bundle {str(bundle)!r}"
    raise ValueError(f"{what}; expected a bundle's folder or one of {', '.join(known) or 'none'} in {bundles}.")


def bundle_names() -> list[str]:
    """The names of the bundles that travel with the package."""
    return sorted(card.parent.name for card in packaged("model_bin").glob(f"*/{CARD_FILE}"))


def default_bundle() -> Path:
    """The folder of the default bundle, which the file `default` beside it names.

    Raises:
        ValueError: no file `default`, or one that names no bundle.
    """
    bundles = packaged("model_bin")
    default = bundles / "default"
    if not default.is_file():
        raise ValueError(f"No default bundle: there is no file 'default' in {bundles}; name a bundle's folder.")
    name = default.read_text(encoding="utf-8").strip()
    if not name or name in {".", ".."} or Path(name).name != name:
        raise ValueError(f"{default} holds {name!r}; expected the name of a folder beside it.")
    if not (bundles / name / CARD_FILE).is_file():
        raise ValueError(
            f"The default bundle {name!r}, named by {default}, is not there; "
            f"train and export one, or name a bundle's folder yourself."
        )
    return bundles / name
