"""The UDP protocol of the C++ server: 4 bytes little-endian announce a size, the file follows in datagrams.

The published clients send no order, no checksum and no end, and read no answer. Other than in the C++ server a last
datagram of 4 bytes is data, not a size; a doubled datagram is dropped; a frame that gets no more is given up.

Nothing in a JPEG proves that its parts are in order, but a network that reorders datagrams shows it soon: by late
copies, data behind a frame, a short part before a long one, a picture that does not fit its data. From then on, and for
longer each time, only files with checksums are read of that sender.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from alpr.serving.frames import Held, Outcome
from alpr.serving.whole import PNG, Whole, disorder

SIZE_BYTES = 4
DOUBT_S = (60.0, 600.0, 3600.0)
"""For which a sender is doubted after its first, second and each further sign of disorder."""
ODD_FRAMES = 20
"""Two pictures within so many that do not fit their data are a sign; of one in 150 that is wrongly believed."""


class OldForm:
    """One sender of the old form.

    Args:
        most: bytes that a frame may have.
        hold: begins to count the memory of a frame.
        note: counts what happened to a datagram.
        lost: counts a frame that never became whole.
    """

    def __init__(
        self, most: int, hold: Callable[[], Held], note: Callable[..., None], lost: Callable[[Outcome], None]
    ) -> None:
        self.most, self.hold, self.note, self.lost = most, hold, note, lost
        self.frames = 0
        self._held: Held | None = None
        self._doubts, self._odd = 0, -ODD_FRAMES
        self._doubted_until = -1.0
        self._after_whole, self._last = False, b""
        self._now = 0.0
        self._begin(0)

    def _begin(self, size: int) -> None:
        self._size, self._got, self._heard = size, 0, 0.0
        self._parts: list[bytes] = []
        self._seen: set[bytes] = set()

    def take(self, data: bytes, now: float) -> Whole | None:
        """Takes one datagram; gives the frame that it completes."""
        self._now = now
        missing = self._size - self._got
        if len(data) == SIZE_BYTES and missing != SIZE_BYTES:
            self._announced(data, now)
            return None
        if not missing:
            self.note("datagrams without a frame")
            if self._after_whole and data != self._last:  # behind a frame that was given up comes its rest
                self._doubt()
            return None
        self._heard = now
        if data in self._seen:
            self.note("datagrams doubled")
            if data != self._parts[-1]:  # a copy right behind its original came in order
                self._doubt()
            return None
        if len(data) > missing:
            self.note("datagrams beyond the size")
            self._doubt()
            return None
        assert self._held is not None
        if not self._held.grow(len(data)):
            self._end(Outcome.REFUSED)
            return None
        if not _repeats_itself(data):  # black bars make equal parts that are no copies
            self._seen.add(data)
        self._parts.append(data)
        self._got += len(data)
        if self._got < self._size:
            return None
        lengths = [len(part) for part in self._parts]
        if len(set(lengths[:-1])) > 1 or lengths[-1] > lengths[0]:  # all but the last are sent with one length
            self._doubt()
            self._end(Outcome.UNREADABLE)
            return None
        check = _doubtful if now < self._doubted_until else self._check
        whole = Whole(f"#{self.frames}", b"".join(self._parts), self._held, check=check)
        self._held = None
        self._last = self._parts[-1]
        self._begin(0)
        self._after_whole = True
        return whole

    def _check(self, data: bytes) -> str | None:
        why = disorder(data)
        if why is not None:
            if self.frames - self._odd < ODD_FRAMES:
                self._doubt(lasting=False)
            self._odd = self.frames
        return why

    def _doubt(self, *, lasting: bool = True) -> None:
        if self._now < self._doubted_until:
            return
        self.note("senders doubted")
        self._doubted_until = self._now + DOUBT_S[min(self._doubts, len(DOUBT_S) - 1) if lasting else 0]
        self._doubts += lasting

    def _announced(self, data: bytes, now: float) -> None:
        (size,) = struct.unpack("<i", data)
        if not 0 < size <= self.most:
            self.note("sizes refused")
            return
        self.give_up_before(float("inf"))
        self._begin(size)
        self._after_whole = False
        self._heard = now
        self._held = self.hold()
        self.frames += 1

    def give_up_before(self, moment: float) -> None:
        """Counts the frame under way as lost where nothing of it was heard since a moment."""
        if self._size and self._heard < moment:
            self._end(Outcome.UNREADABLE)

    def _end(self, outcome: Outcome) -> None:
        self.note("frames unfinished")
        self.lost(outcome)
        if self._held is not None:
            self._held.release()
            self._held = None
        self._begin(0)


def _doubtful(data: bytes) -> str | None:
    if data.startswith(PNG):
        return disorder(data)
    return "is not read: datagrams of its sender came doubled or in disorder; PNGs and the new form have checksums."


def _repeats_itself(data: bytes) -> bool:
    return len(set(data)) * 8 < len(data)  # compressing would let another thread take this one's turn
