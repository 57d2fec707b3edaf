"""The images of scenes, read ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import ImageArray, Scene


class Opened(NamedTuple):
    """A scene and its image, or why the image cannot be read."""

    scene: Scene
    image: ImageArray | None
    error: str
    ms: float = 0.0  # it took to read the file


def common_folder(images: Sequence[Path]) -> Path:
    """The deepest folder that holds all images, absolute."""
    folders = [image.absolute().parent.parts for image in images]
    first, last = min(folders), max(folders)  # what the two extremes share, all share
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return Path(*first[:shared])


def opened_in_batches(scenes: Sequence[Scene], batch: int, workers: int) -> Iterator[list[Opened]]:
    """The images of scenes, a batch at a time; the next batch is read by threads meanwhile."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            ahead = [pool.submit(_open, scene) for scene in scenes[:batch]]
            for start in range(0, len(scenes), batch):
                futures = ahead
                ahead = [pool.submit(_open, scene) for scene in scenes[start + batch : start + 2 * batch]]
                yield [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def _open(scene: Scene) -> Opened:
    started = perf_counter()
    try:
        return Opened(scene, read_image(scene.image), "", ms_since(started))
    except UnreadableImage as error:
        return Opened(scene, None, str(error))


def ms_since(started: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return 1000 * (perf_counter() - started)
