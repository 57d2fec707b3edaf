"""One function over many jobs in several processes, with progress; ends cleanly when it is interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2

from alpr.reports.progress import progress_bar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, label: str, unit: str, chunk: int = 32
) -> Iterator[Result]:
    """The function's results, in the order of the jobs, with a progress bar.

    Args:
        function: importable by its name, since the processes start empty (spawn).
        workers: processes; 0 or 1 runs in this process.
        label: what the progress bar says.
        unit: what one job is, in the plural.
        chunk: jobs handed to a process at once.

    Raises:
        RuntimeError: a process that died, for instance for want of memory.
        ValueError: a negative number of workers.
    """
    if workers < 0:
        raise ValueError(f"{workers} processes cannot be started; expected 0 or more.")
    with progress_bar(unit) as progress:
        task = progress.add_task(label, total=len(jobs))
        if workers <= 1:
            for job in jobs:
                yield function(job)
                progress.advance(task)
            return
        for results in spread(function, jobs, workers, chunk):
            progress.advance(task, len(results))
            yield from results


def spread(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, chunk: int) -> Iterator[list[Result]]:
    """As `run_in_processes`, a chunk of results at a time and without a progress bar."""
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_process)
    waiting: deque[Future[list[Result]]] = deque()
    starts = iter(range(0, len(jobs), chunk))
    try:
        # A few chunks ahead of the processes, no more: an interruption then ends within a moment.
        for start in starts:
            waiting.append(pool.submit(_run_chunk, function, jobs[start : start + chunk]))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "A worker process died (killed, or out of memory); fewer of them may get through."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_chunk(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    return [function(job) for job in jobs]


def _prepare_process() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    """Ends this process with its parent: one that was killed outright leaves its pool waiting for ever."""
    parent.join()
    os._exit(1)
