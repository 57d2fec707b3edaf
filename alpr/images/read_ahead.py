"""Images and other work read ahead in threads, the results in order: the next are decoded while the networks run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeVar

from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.records import ImageArray, Scene

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    items: Iterable[T], work: Callable[[T], R], workers: int, early: int | None = None
) -> Iterator[tuple[T, Callable[[], R]]]:
    """Every item, in order, with a function that gives the result of its work or raises what the work raised.

    Threads help where the work leaves Python alone, as OpenCV's decoders and files do. Whoever stops early waits for
    the work that has begun.

    Args:
        workers: threads; with 0 the work is done when its result is asked for.
        early: items that they may be ahead, so that few results stand in memory; by default twice `workers`.
    """
    early = 2 * workers if early is None else early
    if workers < 1:
        for item in items:
            yield item, partial(work, item)
        return
    rest = iter(items)
    with ThreadPoolExecutor(workers, "ahead") as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        try:
            while True:
                for item in islice(rest, early + 1 - len(waiting)):
                    waiting.append((item, pool.submit(work, item)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                yield item, future.result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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
    opened = ahead(scenes, _open, workers, early=batch)
    while held := [result() for _, result in islice(opened, batch)]:
        yield held


def _open(scene: Scene) -> Opened:
    started = perf_counter()
    try:
        return Opened(scene, read_image(scene.image), "", ms_since(started))
    except UnreadableImage as error:
        return Opened(scene, None, str(error))


def ms_since(started: float) -> float:
    """Milliseconds since a reading of `perf_counter`."""
    return 1000 * (perf_counter() - started)
