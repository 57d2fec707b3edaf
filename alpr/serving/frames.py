"""A frame that somebody sent, how it ended, and how much memory all frames may hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from alpr.images.header import declared_size
from alpr.plates.records import ImageArray, Reading
from alpr.reader.reader import TimedReading


class Outcome(Enum):
    """How a frame ends: in exactly one of these ways."""

    READ = "read"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    LATE = "too late"


class Kind(Enum):
    """What a frame shows: a scene to find plates in, or one ready-made crop."""

    SCENE = "scene"
    CROP = "crop"


@dataclass(frozen=True)
class Ended:
    """How a frame ended.

    Attributes:
        error: why it was not read; "" where it was.
        record: the JSON object of `alpr predict` or `alpr read`, or one with `image` and `error`.
        read: what was read in a scene.
        reading: what was read in a crop.
        share: whether it was refused because its own client has too much under way, not all together.
    """

    outcome: Outcome
    record: dict[str, Any]
    error: str = ""
    read: TimedReading | None = None
    reading: Reading | None = None
    share: bool = False


@dataclass(eq=False)
class Frame:
    """One image of one client on its way to be read.

    Attributes:
        client: who sent it; shares and counts are by this name.
        name: what the record calls it.
        data: the bytes of a file, or pixels (H, W, 3) uint8 BGR, as a live source has them.
        ended: is called once, from any thread, with the frame and how it ended; it must not block for long.
        check: of the bytes, before they are decoded: a sentence's rest where they must not be read, such as of a
            protocol that may have mixed up their parts.
        held: the memory its bytes hold; it is given back when the frame ends.
        own: whether it is of a source of the server's own, which has one frame under way at most: there is a place for
            it also where strangers fill the queue.
        one_look: whether the detector looks at it once only.
        arrived: seconds of the monotonic clock.
        over: whether it has ended.
    """

    client: str
    name: str
    data: bytes | ImageArray
    ended: Callable[[Frame, Ended], None]
    kind: Kind = Kind.SCENE
    check: Callable[[bytes], str | None] | None = None
    held: Held | None = None
    own: bool = False
    one_look: bool = False
    arrived: float = field(default_factory=time.monotonic)
    over: bool = False

    @property
    def pixels(self) -> int:
        """How many pixels it has, or its header claims; 0 where that is unknown."""
        if not isinstance(self.data, bytes):
            return int(self.data.shape[0] * self.data.shape[1])
        size = declared_size(self.data)
        return 0 if size is None else size.height * size.width


class Memory:
    """The bytes that all frames together may hold, from the first received until the frame ended.

    Args:
        most: bytes of all clients together; one client may hold half of them.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._by_client: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, client: str, count: int) -> bool:
        """Reserves bytes; False where that would be too many."""
        with self._lock:
            own = self._by_client.get(client, 0) + count
            if self.held + count > self.most or own > self.most // 2:
                return False
            self.held += count
            self._by_client[client] = own
            return True

    def give(self, client: str, count: int) -> None:
        """Gives reserved bytes back."""
        with self._lock:
            self.held -= count
            own = self._by_client.pop(client, 0) - count
            if own > 0:
                self._by_client[client] = own


class Held:
    """The bytes that one frame holds of `Memory`."""

    __slots__ = ("_memory", "bytes", "client")

    def __init__(self, memory: Memory, client: str) -> None:
        self._memory = memory
        self.client = client
        self.bytes = 0

    def grow(self, count: int) -> bool:
        """Reserves more; False where there is no more."""
        if not self._memory.take(self.client, count):
            return False
        self.bytes += count
        return True

    def split(self, count: int) -> Held:
        """A part of what is held, which is released by itself."""
        part = Held(self._memory, self.client)
        part.bytes = min(count, self.bytes)
        self.bytes -= part.bytes
        return part

    def release(self) -> None:
        """Gives all back; once is enough, twice does no harm."""
        count, self.bytes = self.bytes, 0
        if count:
            self._memory.give(self.client, count)
