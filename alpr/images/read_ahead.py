"""Work done ahead in threads, its results in order: the next images are decoded while the networks run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterable[T], work: Callable[[T], R], workers: int) -> Iterator[tuple[T, Callable[[], R]]]:
    """Every item, in order, with a function that gives the result of its work or raises what the work raised.

    Threads begin at most twice `workers` items early, so that few results stand in memory. They help where the work
    leaves Python alone, as OpenCV's decoders and files do. Whoever stops early waits for the work that has begun.

    Args:
        workers: threads; with 0 the work is done when its result is asked for.
    """
    if workers < 1:
        for item in items:
            yield item, partial(work, item)
        return
    rest = iter(items)
    with ThreadPoolExecutor(workers, "ahead") as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        try:
            while True:
                for item in islice(rest, 2 * workers + 1 - len(waiting)):
                    waiting.append((item, pool.submit(work, item)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                yield item, future.result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
