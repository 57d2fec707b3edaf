"""Datagrams to frames: what the two forms of the UDP protocol share, and which form a sender speaks.

The form of a sender (address and port) is fixed by its first datagram: 4 bytes begin the old form, `MAGIC` the new one.
Anything else belongs to no frame. No socket is in here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from alpr.serving.frames import Held, Outcome
from alpr.serving.new_form import HEADER_BYTES, MAGIC, NewForm
from alpr.serving.old_form import OldForm
from alpr.serving.queue import FrameQueue
from alpr.serving.whole import Whole

MOST_SENDERS = 1024
"""Senders that are remembered; the one that was quiet for longest is forgotten for a new one."""
QUIET_S = 60.0
"""After which a sender is forgotten, so that its port may speak the other form."""

Address = tuple[str, int]


@dataclass
class Sender:
    """What is known of one address."""

    form: OldForm | NewForm
    heard: float = field(default_factory=time.monotonic)


class Datagrams:
    """The frames of all senders under way.

    Args:
        timeout_s: after which a frame of which nothing more arrives is given up.
    """

    def __init__(self, queue: FrameQueue, timeout_s: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.queue = queue
        self.timeout_s = timeout_s
        self.clock = clock
        self.senders: OrderedDict[Address, Sender] = OrderedDict()

    def take(self, data: bytes, address: Address) -> Whole | None:
        """Takes one datagram; gives the frame that it completes."""
        now = self.clock()
        sender = self.senders.get(address) or self._greeted(data, address)
        if sender is None:
            self.queue.tally.note("datagrams without a frame")
            return None
        sender.heard = now
        self.senders.move_to_end(address)
        return sender.form.take(data, now)

    def _greeted(self, data: bytes, address: Address) -> Sender | None:
        name = f"{address[0]}:{address[1]}"

        def hold() -> Held:
            return Held(self.queue.memory, name)

        def lost(what: Outcome) -> None:
            self.queue.tally.offer()
            self.queue.tally.end(name, what)

        most, note = self.queue.limits.image_bytes, self.queue.tally.note
        form: OldForm | NewForm
        if len(data) == 4:
            form = OldForm(most, hold, note, lost)
        elif len(data) > HEADER_BYTES and data.startswith(MAGIC):
            form = NewForm(most, hold, note, lost)
        else:
            return None
        if len(self.senders) >= MOST_SENDERS:
            self._forget(next(iter(self.senders)))
        sender = self.senders[address] = Sender(form)
        return sender

    def sweep(self) -> None:
        """Gives up frames that have waited too long for their rest, and forgets quiet senders."""
        now = self.clock()
        for address, sender in list(self.senders.items()):
            sender.form.give_up_before(now - self.timeout_s)
            if now - sender.heard > QUIET_S:
                self._forget(address)

    def close(self) -> None:
        """Gives up all frames under way."""
        for address in list(self.senders):
            self._forget(address)

    def _forget(self, address: Address) -> None:
        self.senders.pop(address).form.give_up_before(float("inf"))
