"""The queue: every frame ends once, clients take turns, and nothing grows without bound."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from serving_parts import Endings, png
from tiny_bundle import scene, write_bundle

from alpr import Reader
from alpr.reader.predictions import image_record
from alpr.serving.frames import Ended, Frame, Held, Kind, Memory, Outcome
from alpr.serving.queue import FrameQueue, Limits
from alpr.serving.tally import MOST_CLIENTS, OTHERS, Tally
from alpr.serving.workers import Workers


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(write_bundle(tmp_path_factory.mktemp("models") / "tiny"), threads=1)


def offer(queue: FrameQueue, client: str, name: str, ended: Endings, data: object = b"x", **more: object) -> bool:
    return queue.offer(Frame(client, name, data, ended, **more))  # type: ignore[arg-type]


def test_clients_take_turns() -> None:
    queue, ended = FrameQueue(Limits(frames=20, batch=3)), Endings()
    for name in ("a1", "a2", "a3", "b1", "c1"):
        assert offer(queue, name[0], name, ended)
    assert [frame.name for frame in queue.take()] == ["a1", "b1", "c1"]
    assert [frame.name for frame in queue.take()] == ["a2", "a3"] and len(queue) == 0


def test_a_full_queue_refuses_and_one_client_gets_half() -> None:
    queue, ended = FrameQueue(Limits(frames=4)), Endings()
    taken = [offer(queue, "a", f"a{i}", ended) for i in range(3)]
    assert taken == [True, True, False] and ended.all[0][1].share
    assert offer(queue, "b", "b", ended) and offer(queue, "c", "c", ended) and not offer(queue, "d", "d", ended)
    assert ended.outcomes == [("a2", "refused"), ("d", "refused")] and not ended.all[1][1].share
    assert queue.tally.by_client()["d"]["refused"] == 1 and queue.tally.offered == 6


def test_what_waited_too_long_is_too_late() -> None:
    queue, ended = FrameQueue(Limits(wait_s=5)), Endings()
    offer(queue, "a", "old", ended, arrived=time.monotonic() - 6)
    offer(queue, "a", "new", ended)
    assert [frame.name for frame in queue.take()] == ["new"]
    assert ended.outcomes == [("old", "too late")]


def test_a_closed_queue_gives_what_it_accepted_and_takes_no_more() -> None:
    queue, ended = FrameQueue(Limits()), Endings()
    offer(queue, "a", "before", ended)
    queue.close()
    assert not offer(queue, "a", "after", ended) and "stopping" in ended.all[0][1].error
    assert [frame.name for frame in queue.take()] == ["before"] and queue.take() == []


def test_a_batch_has_few_pixels() -> None:
    queue, ended = FrameQueue(Limits(batch=8, pixels=250_000)), Endings()
    for i in range(3):
        offer(queue, f"{i}", f"{i}", ended, np.zeros((240, 480, 3), np.uint8))
    assert [len(queue.take()) for _ in range(2)] == [2, 1]


def test_a_frame_waits_for_others_only_while_somebody_reads() -> None:
    queue, ended = FrameQueue(Limits(batch=2, delay_s=1000)), Endings()
    offer(queue, "a", "1", ended)
    assert len(queue.take()) == 1  # nobody else is at work
    offer(queue, "a", "2", ended)
    taken: list[list[Frame]] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    thread.join(0.2)
    assert not taken
    offer(queue, "b", "3", ended)  # now the batch is full
    thread.join(30)
    assert [frame.name for frame in taken[0]] == ["2", "3"]


def test_memory_is_shared_out_and_given_back() -> None:
    memory = Memory(100)
    one, other = Held(memory, "a"), Held(memory, "b")
    assert one.grow(50) and not one.grow(1), "a client has half"
    assert other.grow(50) and not Held(memory, "c").grow(1), "all is taken"
    part = one.split(20)
    one.release()
    assert memory.held == 70 and Held(memory, "c").grow(30)
    part.release()
    part.release()
    other.release()
    assert memory.held == 30 and memory._by_client == {"c": 30}


def test_the_end_of_a_frame_gives_its_memory_back_even_where_telling_fails() -> None:
    queue = FrameQueue(Limits())
    held = Held(queue.memory, "a")
    held.grow(10)

    def broken(frame: Frame, ended: Ended) -> None:
        raise OSError("gone")

    queue.fail(Frame("a", "x", b"1", broken, held=held), Outcome.UNREADABLE, "is bad.")
    assert queue.memory.held == 0 and queue.tally.outcomes()["unreadable"] == 1


def test_clients_are_counted_within_bounds() -> None:
    tally = Tally()
    for i in range(MOST_CLIENTS + 50):
        tally.end(f"{i}", Outcome.READ)
    counts = tally.by_client()
    assert len(counts) == MOST_CLIENTS + 1 and counts[OTHERS]["read"] == 50
    assert tally.outcomes()["read"] == MOST_CLIENTS + 50


def test_threads_read_what_the_reader_reads_and_one_bad_frame_harms_no_other(reader: Reader) -> None:
    queue, ended = FrameQueue(Limits(frames=100, batch=4, pixels=500_000)), Endings()
    workers = Workers(queue, reader, 2)
    texts = ["AB1", "B2", "12", "A"]
    for i, text in enumerate(texts * 3):
        offer(queue, f"{i % 3}", f"good{i}", ended, png(text))
    offer(queue, "z", "empty", ended, b"")
    offer(queue, "z", "text", ended, b"hello, this is no image")
    offer(queue, "z", "cut", ended, png()[:-20])
    offer(queue, "z", "large", ended, np.zeros((1000, 1000, 3), np.uint8))
    offer(queue, "z", "array", ended, scene("A1"))
    offer(queue, "z", "crop", ended, scene("AB12", at=(0, 0), size=(48, 192), plate=192), kind=Kind.CROP)
    workers.start()
    queue.close()
    assert workers.join(60)
    found = dict(ended.all)
    assert len(found) == len(ended.all) == 18
    for i, text in enumerate(texts * 3):
        (alone,) = reader.read_opened([reader.open(png(text))])
        expected = image_record(f"good{i}", alone)
        assert found[f"good{i}"].record | {"ms": 0} == expected | {"ms": 0}
        assert expected["plates"][0]["text"] == text
    for name, why in {"empty": "is empty", "text": "no image", "cut": "truncated", "large": "500000 px"}.items():
        assert found[name].outcome is Outcome.UNREADABLE and found[name].error.startswith(f"{name} ")
        assert why in found[name].error
    assert found["array"].record["plates"][0]["text"] == "A1" and found["crop"].record["text"] == "AB12"
    assert queue.tally.by_client()["z"] == {"read": 2, "refused": 0, "unreadable": 4, "too late": 0}


def test_a_batch_that_fails_is_read_one_by_one(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Reader.read_opened

    def fails(self: Reader, photographs: list) -> list:  # type: ignore[type-arg]
        if len(photographs) > 1 or photographs[0].size == (100, 100):
            raise RuntimeError("the network failed")
        return whole(self, photographs)

    monkeypatch.setattr(Reader, "read_opened", fails)
    queue, ended = FrameQueue(Limits()), Endings()
    offer(queue, "a", "good", ended, scene("A"))
    offer(queue, "a", "bad", ended, np.zeros((100, 100, 3), np.uint8))
    queue.close()
    workers = Workers(queue, reader, 1)
    workers.start()
    assert workers.join(60)
    assert sorted(ended.outcomes) == [("bad", "unreadable"), ("good", "read")]
    assert "RuntimeError" in dict(ended.all)["bad"].error
