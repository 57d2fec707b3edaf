"""The new form of the UDP protocol: every datagram says which part of which frame it is.

A datagram is a header of 24 bytes, big-endian, and a part of the file:

    4s  magic "ALPR"        B   version, 1          B   flags: 1 = answer me
    H   stream              I   frame               H   part, from 0     H   number of parts
    I   bytes of the file   I   CRC-32 of the file

All parts but the last have one length. Loss, doubling and reordering are survived where all parts arrive, and counted
where not. An answer is one datagram of JSON that is never larger than what was received of the frame.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from alpr.serving.frames import Ended, Held, Outcome
from alpr.serving.whole import Whole

MAGIC = b"ALPR"
VERSION = 1
ANSWER = 1
DATAGRAM_BYTES = 1472
"""What fits into an Ethernet frame: 1,500 bytes less 20 of IP and 8 of UDP."""
_HEADER = struct.Struct(">4sBBHIHHII")
HEADER_BYTES = _HEADER.size
PART_COST = 120
"""Bytes that Python needs to keep a part, beside the part."""
MOST_UNDER_WAY = 8
"""Frames of one sender that are under way at once."""
MOST_STREAMS = 64
MOST_SKIPPED = 1000
"""Frame numbers that one gap counts for."""
REMEMBERED = 64
"""Whole frames of a sender that are remembered, so that a late copy begins no frame."""


class Header(NamedTuple):
    """What a datagram says of itself."""

    magic: bytes
    version: int
    flags: int
    stream: int
    frame: int
    part: int
    parts: int
    size: int
    crc: int

    @property
    def identity(self) -> tuple[int, ...]:
        """What all datagrams of a frame share."""
        return (self.stream, self.frame, self.parts, self.size, self.crc)

    def fits(self, payload: int) -> bool:
        """Whether the numbers agree with one another and with the bytes behind the header."""
        if self.version != VERSION or self.part >= self.parts or not payload:
            return False
        if self.part < self.parts - 1:
            return (self.parts - 1) * payload < self.size <= self.parts * payload
        before = self.size - payload
        if self.parts == 1:
            return before == 0
        return before >= (self.parts - 1) * payload and before % (self.parts - 1) == 0


class _UnderWay:
    def __init__(self, header: Header, held: Held) -> None:
        self.header, self.held = header, held
        self.parts: dict[int, bytes] = {}
        self.received = 0
        self.heard = 0.0


class NewForm:
    """One sender of the new form; see `OldForm` for the arguments."""

    def __init__(
        self, most: int, hold: Callable[[], Held], note: Callable[..., None], lost: Callable[[Outcome], None]
    ) -> None:
        self.most, self.hold, self.note, self.lost = most, hold, note, lost
        self._under_way: OrderedDict[tuple[int, ...], _UnderWay] = OrderedDict()
        self._over: OrderedDict[tuple[int, ...], None] = OrderedDict()
        self._last: OrderedDict[int, int] = OrderedDict()

    def take(self, data: bytes, now: float) -> Whole | None:
        """Takes one datagram; gives the frame that it completes."""
        if len(data) <= HEADER_BYTES or not data.startswith(MAGIC):
            self.note("datagrams without a frame")
            return None
        header = Header(*_HEADER.unpack_from(data))
        if not header.fits(len(data) - HEADER_BYTES) or not 0 < header.size <= self.most:
            self.note("headers refused")
            return None
        if header.identity in self._over:
            self.note("datagrams doubled")
            return None
        one = self._under_way.get(header.identity) or self._begun(header)
        one.heard = now
        if header.part in one.parts:
            self.note("datagrams doubled")
            return None
        if header.part != len(one.parts):
            self.note("datagrams out of order")
        payload = data[HEADER_BYTES:]
        if not one.held.grow(len(payload) + PART_COST):
            self._end(one, Outcome.REFUSED)
            return None
        one.parts[header.part] = payload
        one.received += len(data)
        return self._whole(one) if len(one.parts) == header.parts else None

    def _begun(self, header: Header) -> _UnderWay:
        if len(self._under_way) >= MOST_UNDER_WAY:
            self._end(next(iter(self._under_way.values())), Outcome.UNREADABLE)
        one = self._under_way[header.identity] = _UnderWay(header, self.hold())
        last = self._last.get(header.stream)
        if last is not None and header.frame > last + 1:
            self.note("frame numbers skipped", min(header.frame - last - 1, MOST_SKIPPED))
        self._last[header.stream] = max(header.frame, last or 0)
        self._last.move_to_end(header.stream)
        if len(self._last) > MOST_STREAMS:
            self._last.popitem(last=False)
        return one

    def _whole(self, one: _UnderWay) -> Whole | None:
        header = one.header
        file = b"".join(one.parts[i] for i in range(header.parts))
        if len(file) != header.size or zlib.crc32(file) != header.crc:
            self.note("checksums wrong")
            self._end(one, Outcome.UNREADABLE)
            return None
        self._forget(one)
        told = {"stream": header.stream, "frame": header.frame}
        reply = (told, min(DATAGRAM_BYTES, one.received)) if header.flags & ANSWER else None
        return Whole(f"{header.stream}#{header.frame}", file, one.held, reply)

    def _forget(self, one: _UnderWay) -> None:
        del self._under_way[one.header.identity]
        self._over[one.header.identity] = None
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)

    def _end(self, one: _UnderWay, outcome: Outcome) -> None:
        self._forget(one)
        self.note("frames unfinished")
        self.lost(outcome)
        one.held.release()

    def give_up_before(self, moment: float) -> None:
        """Counts frames as lost of which nothing was heard since a moment."""
        for one in [one for one in self._under_way.values() if one.heard < moment]:
            self._end(one, Outcome.UNREADABLE)


def cut(file: bytes, stream: int, frame: int, *, answer: bool = True) -> Iterator[bytes]:
    """The datagrams of a file.

    Raises:
        ValueError: an empty file, or one that no 65,535 parts hold.
    """
    step = DATAGRAM_BYTES - HEADER_BYTES
    parts = -(-len(file) // step)
    if not 0 < parts < 1 << 16:
        raise ValueError(f"The file has {len(file)} bytes; expected 1 to {step * ((1 << 16) - 1)}.")
    crc = zlib.crc32(file)
    for part in range(parts):
        payload = file[part * step : (part + 1) * step]
        yield _HEADER.pack(MAGIC, VERSION, ANSWER * answer, stream, frame, part, parts, len(file), crc) + payload


def answer(told: dict[str, int], ended: Ended, most: int) -> bytes | None:
    """The answer to a frame in so many bytes: with corners, else texts alone, else the outcome; None if none fits."""
    plates = ended.record.get("plates", [])
    short = [{"text": plate["text"], "text_score": plate["text_score"]} for plate in plates]
    full = [{**one, "corners": plate["corners"]} for one, plate in zip(short, plates, strict=True)]
    said: dict[str, Any] = {**told, "outcome": ended.outcome.value}
    error = {"error": ended.error} if ended.error else {}
    for more in ({**error, "plates": full}, {**error, "plates": short}, {"plates": len(plates)}, {}):
        text = json.dumps({**said, **more}, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= most:
            return text
    return None
