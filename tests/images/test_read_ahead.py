"""Work ahead: in order, bounded, and with every error at its own place."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest

from alpr.images import read_ahead
from alpr.images.prepare import UnreadableImage
from alpr.images.read_ahead import ahead, opened_in_batches
from alpr.plates.records import Scene


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_and_errors_in_their_places(workers: int) -> None:
    def work(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number * number

    found = []
    for number, get in ahead(range(20), work, workers):
        try:
            found.append(get())
        except ValueError as error:
            found.append(str(error))
        assert len(found) == number + 1
    assert found == [n * n if n != 5 else "five" for n in range(20)]


def test_an_endless_iterator_is_taken_a_few_items_at_a_time() -> None:
    taken, running, most = [], threading.Semaphore(100), [0]

    def endless() -> itertools.count[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    stream = ahead(endless(), lambda number: running.acquire() and number, 2)
    for asked, (_, get) in zip(range(50), stream, strict=False):
        get()
        most[0] = max(most[0], len(taken) - asked)
    assert most[0] <= 5 + 1
    stream.close()
    assert threading.active_count() < 20 and len(taken) <= 56


def test_the_work_is_done_by_other_threads_or_by_this_one() -> None:
    names = {w: {get() for _, get in ahead(range(3), lambda _: threading.current_thread().name, w)} for w in (0, 1)}
    assert names[0] == {threading.current_thread().name} and threading.current_thread().name not in names[1]


def test_the_next_batch_is_read_while_one_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    read = [threading.Event() for _ in range(8)]

    def opened(path: Path) -> np.ndarray:
        read[int(path.stem)].set()
        if path.stem == "1":
            raise UnreadableImage("no image")
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(read_ahead, "read_image", opened)
    batches = opened_in_batches([Scene(Path(f"{i}.jpg"), ()) for i in range(8)], 3, 2)
    first = next(batches)
    assert [o.scene.image.stem for o in first] == ["0", "1", "2"] and [o.error for o in first] == ["", "no image", ""]
    assert all(event.wait(5) for event in read[3:6]) and not read[6].is_set()
    assert [len(batch) for batch in batches] == [3, 2]
