"""Both forms of the UDP protocol, without a socket: loss, doubling, reordering, and what strangers send."""

from __future__ import annotations

import json
import random
import struct
import zlib
from itertools import zip_longest

import cv2
import numpy as np
import pytest
from serving_parts import jpeg, png

from alpr.serving.datagrams import MOST_SENDERS, QUIET_S, Datagrams
from alpr.serving.frames import Ended, Outcome
from alpr.serving.new_form import HEADER_BYTES, MOST_UNDER_WAY, answer, cut
from alpr.serving.queue import FrameQueue, Limits
from alpr.serving.sending import old_datagrams
from alpr.serving.whole import Whole, disorder

HERE = ("10.0.0.1", 5000)
NOISE = np.random.default_rng(1).integers(0, 256, 100_000, np.uint8).tobytes()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def datagrams(**limits: int) -> Datagrams:
    return Datagrams(FrameQueue(Limits(**limits)), timeout_s=2.0, clock=Clock())


def fed(to: Datagrams, parts: list[bytes], at: tuple[str, int] = HERE) -> list[Whole]:
    return [whole for part in parts if (whole := to.take(part, at)) is not None]


def lost(of: Datagrams) -> int:
    return of.queue.tally.outcomes()["unreadable"]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1472, 1476, 2948, 50_000])
@pytest.mark.parametrize("form", ["old", "new"])
def test_a_frame_of_any_size_arrives(size: int, form: str) -> None:
    to, file = datagrams(), NOISE[:size]
    for i in range(2):
        sent = list(old_datagrams(file) if form == "old" else cut(file, 1, i))
        (whole,) = fed(to, sent)
        assert whole.data == file and whole.held.bytes >= size and (whole.check is None) == (form == "new")
        whole.held.release()
    assert to.queue.memory.held == 0 and lost(to) == 0


def test_the_old_form_is_that_of_the_published_clients() -> None:
    assert next(old_datagrams(b"x" * 3000)) == struct.pack("<I", 3000)
    assert [len(d) for d in old_datagrams(b"x" * 3000)] == [4, 1472, 1472, 56]


def test_two_senders_do_not_mix() -> None:
    to, one, other = datagrams(), NOISE[:4000], NOISE[4000:8000]
    a, b = list(old_datagrams(one)), list(cut(other, 1, 1))
    wholes = []
    for x, y in zip_longest(a, b, fillvalue=b""):
        wholes += fed(to, [x]) + fed(to, [y], ("10.0.0.1", 5001))
    assert sorted(whole.data for whole in wholes) == sorted([one, other])


def test_an_unfinished_old_frame_ends_at_the_next_one_or_in_time() -> None:
    to = datagrams()
    assert not fed(to, list(old_datagrams(NOISE[:9000]))[:-1]) and lost(to) == 0
    assert len(fed(to, list(old_datagrams(NOISE[:3000])))) == 1 and lost(to) == 1
    fed(to, list(old_datagrams(NOISE[:9000]))[:-1])
    to.clock.now = 1.9  # type: ignore[attr-defined]
    to.sweep()
    assert lost(to) == 1
    to.clock.now = 2.1  # type: ignore[attr-defined]
    to.sweep()
    assert lost(to) == 2 and to.queue.memory.held == 3000, "only the whole frame holds memory"


def test_the_old_form_drops_copies_but_not_parts_that_repeat_themselves() -> None:
    to, file = datagrams(), NOISE[:20_000]
    doubled = [part for part in old_datagrams(file) for _ in range(2)][1:]
    (whole,) = fed(to, doubled)
    assert whole.data == file
    black = NOISE[:1472] + bytes(1472 * 3) + NOISE[2000:3000]
    assert fed(to, list(old_datagrams(black)))[0].data == black


def test_a_loss_and_a_copy_do_not_make_a_whole() -> None:
    parts = list(old_datagrams(NOISE[: 1472 * 6]))
    parts[3] = parts[2]
    to = datagrams()
    assert not fed(to, parts)


def test_an_old_short_part_in_the_middle_is_disorder() -> None:
    parts = list(old_datagrams(NOISE[:4000]))
    to = datagrams()
    assert not fed(to, [parts[0], parts[3], parts[1], parts[2]]) and lost(to) == 1


def test_exchanged_parts_of_files_are_noticed() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (240, 480, 3), np.uint8)
    for suffix in (".png", ".jpg"):
        file = cv2.imencode(suffix, noise)[1].tobytes()
        parts = list(old_datagrams(file))[1:]
        assert disorder(file) is None
        parts[3], parts[4] = parts[4], parts[3]
        assert disorder(b"".join(parts)) is not None, suffix
    for file in (jpeg(), png(), b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        disorder(file)  # raises nothing
    assert disorder(jpeg()) is None and disorder(png()) is None


def test_strangers_cannot_make_the_old_form_allocate() -> None:
    to = datagrams(image_bytes=10_000)
    for size in (0, 10_001, 2**31 - 1, 2**31, 2**32 - 1):
        fed(to, [struct.pack("<I", size), b"data"])
    assert to.queue.memory.held == 0 and to.queue.tally.notes["sizes refused"] >= 5
    fed(to, [struct.pack("<I", 9000)])
    assert to.queue.memory.held == 0, "what is announced holds nothing"
    assert not fed(to, [bytes(9001)]) and to.queue.tally.notes["datagrams beyond the size"] == 1


def test_memory_that_is_taken_refuses_frames_of_both_forms() -> None:
    to = datagrams(memory_bytes=20_000)
    fed(to, list(old_datagrams(NOISE[:15_000])))
    fed(to, list(cut(NOISE[:15_000], 1, 1)), ("10.0.0.1", 5001))
    assert to.queue.tally.outcomes()["refused"] == 2 and to.queue.memory.held == 0


def test_senders_are_few_and_forgotten() -> None:
    to = datagrams()
    for i in range(MOST_SENDERS + 10):
        fed(to, list(old_datagrams(NOISE[:3000]))[:2], ("10.0.0.1", i))
    assert len(to.senders) == MOST_SENDERS and lost(to) == 10
    to.clock.now = QUIET_S + 1  # type: ignore[attr-defined]
    to.sweep()
    assert not to.senders and to.queue.memory.held == 0


def test_the_first_datagram_chooses_the_form() -> None:
    to = datagrams()
    assert not fed(to, [jpeg()[:1000], b"hello"]) and not to.senders
    assert to.queue.tally.notes["datagrams without a frame"] == 2
    assert len(fed(to, list(cut(NOISE[:5000], 1, 1)))) == 1
    fed(to, list(old_datagrams(NOISE[:5000])))
    assert to.queue.tally.notes["datagrams without a frame"] > 2


def test_the_new_form_survives_order_copies_and_loss() -> None:
    draw, to = random.Random(3), datagrams()
    files = {i: NOISE[i * 100 : i * 100 + 20_000] for i in range(60)}
    line: list[tuple[float, bytes]] = []
    arrived: set[int] = set()
    for i, file in files.items():
        parts = list(cut(file, 7, i))
        kept = [part for part in parts if draw.random() > 0.02]
        arrived |= {i} if len(kept) == len(parts) else set()
        for part in kept + draw.sample(kept, len(kept) // 3):
            line.append((i + draw.random() * 2, part))
    wholes = fed(to, [part for _, part in sorted(line, key=lambda pair: pair[0])])
    assert 10 < len(arrived) < 50
    assert {int(whole.name.split("#")[1]) for whole in wholes} == arrived and len(wholes) == len(arrived)
    assert all(whole.data == files[int(whole.name.split("#")[1])] for whole in wholes)
    to.clock.now = 10.0  # type: ignore[attr-defined]
    to.sweep()
    assert lost(to) == len(files) - len(arrived)
    assert to.queue.tally.notes["datagrams doubled"] > 0 and to.queue.tally.notes["datagrams out of order"] > 0


def test_a_wrong_checksum_is_no_frame() -> None:
    to, parts = datagrams(), list(cut(NOISE[:5000], 1, 1))
    parts[1] = parts[1][:-1] + bytes([parts[1][-1] ^ 1])
    assert not fed(to, parts) and lost(to) == 1 and to.queue.memory.held == 0


def test_headers_that_contradict_themselves_begin_no_frame() -> None:
    head = struct.Struct(">4sBBHIHHII")
    to = datagrams(image_bytes=10_000)
    fed(to, list(cut(b"abc", 1, 1)))
    held = to.queue.memory.held
    for version, part, parts, size, payload in [
        (2, 0, 1, 3, 3), (1, 1, 1, 3, 3), (1, 0, 0, 3, 3), (1, 0, 1, 4, 3), (1, 0, 2, 3, 3), (1, 0, 9, 10_001, 1200),
        (1, 0, 65535, 65535 * 1400, 1400), (1, 3, 4, 100, 101), (1, 2, 3, 10, 3), (1, 0, 1, 0, 0),
    ]:  # fmt: skip
        fed(to, [head.pack(b"ALPR", version, 0, 1, 9, part, parts, size, 0) + bytes(payload)])
    assert to.queue.memory.held == held and to.queue.tally.notes["headers refused"] == 9


def test_one_sender_has_few_frames_under_way() -> None:
    to = datagrams()
    for i in range(MOST_UNDER_WAY + 3):
        fed(to, list(cut(NOISE[:5000], 1, i))[:2])
    assert lost(to) == 3
    assert to.queue.memory.held < MOST_UNDER_WAY * 2 * 1600


def test_skipped_numbers_are_counted() -> None:
    to = datagrams()
    for i in (0, 1, 5, 6):
        fed(to, list(cut(b"abc", 1, i)))
    assert to.queue.tally.notes["frame numbers skipped"] == 3


def test_an_answer_is_never_larger_than_what_was_received() -> None:
    plates = [{"text": "AB1", "text_score": 0.9, "corners": [[1.0, 2.0]] * 4} for _ in range(30)]
    ended = Ended(Outcome.READ, {"plates": plates})
    told = {"stream": 1, "frame": 2}
    sizes = [len(answer(told, ended, most) or b"") for most in range(0, 4000, 7)]
    assert all(size <= most for size, most in zip(sizes, range(0, 4000, 7), strict=True))
    assert len(set(sizes)) == 5 and sizes[0] == 0
    assert json.loads(answer(told, ended, 4000) or b"") == {**told, "outcome": "read", "plates": plates}
    (whole,) = fed(datagrams(), list(cut(b"abc", 1, 2)))
    assert whole.reply == (told, HEADER_BYTES + 3)
    (silent,) = fed(datagrams(), list(cut(b"abc", 1, 2, answer=False)))
    assert silent.reply is None


@pytest.mark.parametrize("seed", range(4))
def test_no_datagram_breaks_the_receiver(seed: int) -> None:
    draw, to = random.Random(seed), datagrams(image_bytes=50_000, memory_bytes=200_000)
    whole = list(cut(NOISE[:5000], 1, 1)) + list(old_datagrams(NOISE[:5000]))
    for _ in range(3000):
        part = bytearray(draw.choice(whole))
        kind = draw.randrange(4)
        if kind == 0:
            part = bytearray(draw.randbytes(draw.choice([0, 1, 4, 24, 25, 1472, 2000])))
        elif kind == 1 and part:
            part[draw.randrange(min(30, len(part)))] = draw.randrange(256)
        elif kind == 2:
            part = part[: draw.randrange(len(part) + 1)]
        for frame in fed(to, [bytes(part)], ("10.0.0.1", draw.randrange(30))):
            assert zlib.crc32(frame.data) or frame.data == b""
            frame.held.release()
        to.clock.now += 0.01  # type: ignore[attr-defined]
        if draw.random() < 0.05:
            to.sweep()
        assert to.queue.memory.held <= 200_000
    to.close()
    assert to.queue.memory.held == 0


def trusted(wholes: list[Whole]) -> list[bool]:
    """Whether each frame would be read."""
    return [whole.check is None or whole.check(whole.data) is None for whole in wholes]


def swapped(parts: list[bytes]) -> list[bytes]:
    return [*parts[:3], parts[4], parts[3], *parts[5:]]


def test_a_sender_whose_datagrams_come_in_disorder_is_doubted() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (240, 480, 3), np.uint8)
    file = cv2.imencode(".jpg", noise)[1].tobytes()
    in_order, lossless = list(old_datagrams(file)), list(old_datagrams(png()))
    signs = {
        "a copy that comes late": [*in_order[:5], in_order[2], *in_order[5:]],
        "a copy behind the frame": [*in_order, in_order[2]],
        "a short part before a long one": [*in_order[:4], in_order[-1], *in_order[4:-1]],
    }
    for name, parts in signs.items():
        to = datagrams()
        assert trusted(fed(to, in_order)) == [True], name
        fed(to, parts)
        assert trusted(fed(to, in_order)) == [False] and trusted(fed(to, lossless)) == [True], name
        to.clock.now += 61  # type: ignore[attr-defined]
        assert trusted(fed(to, in_order)) == [True], name
        fed(to, parts)
        to.clock.now += 61  # type: ignore[attr-defined]
        assert trusted(fed(to, in_order)) == [False], f"{name}, again"
        assert trusted(fed(to, in_order, ("10.0.0.1", 5001))) == [True], "another sender is not doubted"
    to = datagrams()
    assert trusted(fed(to, swapped(in_order))) == [False] and trusted(fed(to, in_order)) == [True]
    assert trusted(fed(to, swapped(in_order))) == [False] == trusted(fed(to, in_order))


def test_a_loss_and_a_copy_right_behind_its_original_are_no_disorder() -> None:
    parts = list(old_datagrams(jpeg()))
    to = datagrams()
    fed(to, [*parts[:3], *parts[4:]])
    assert trusted(fed(to, [*parts[:3], parts[2], *parts[3:], parts[-1]])) == [True]
    assert trusted(fed(to, parts)) == [True]
