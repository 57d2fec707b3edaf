"""What a server counts: how frames ended, by client, and what else happened."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, OrderedDict

from alpr.serving.frames import Outcome

MOST_CLIENTS = 1000
"""Clients that are counted by name; the counts of those that were quiet for longest are joined."""
OTHERS = "others"
BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the histograms, in seconds."""


class Histogram:
    """How many values lie up to each bound, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Tally:
    """Counts of one server; its methods may be called from any thread.

    Attributes:
        offered: frames that were handed to the queue, accepted or not.
        ended: frames by client and outcome, for at most `MOST_CLIENTS` clients and `OTHERS`.
        notes: what else happened, such as a datagram that belongs to no frame.
        waited, took: seconds from a frame's arrival until a thread took it, and from there until it was read.
    """

    def __init__(self) -> None:
        self.offered = 0
        self.plates = 0
        self.ended: OrderedDict[str, Counter[Outcome]] = OrderedDict()
        self.notes: Counter[str] = Counter()
        self.waited = Histogram()
        self.took = Histogram()
        self._lock = threading.Lock()

    def offer(self) -> None:
        """Counts a frame that was handed over."""
        with self._lock:
            self.offered += 1

    def end(self, client: str, outcome: Outcome, plates: int = 0) -> None:
        """Counts how a frame ended."""
        with self._lock:
            self.ended.setdefault(client, Counter())[outcome] += 1
            self.ended.move_to_end(client)
            self.plates += plates
            while len(self.ended) - (OTHERS in self.ended) > MOST_CLIENTS:
                quiet = next(name for name in self.ended if name != OTHERS)
                counts = self.ended.pop(quiet)
                self.ended.setdefault(OTHERS, Counter()).update(counts)

    def note(self, what: str, count: int = 1) -> None:
        """Counts something else."""
        with self._lock:
            self.notes[what] += count

    def time(self, waited: float, took: float) -> None:
        """Adds a frame's seconds."""
        with self._lock:
            self.waited.add(waited)
            self.took.add(took)

    def outcomes(self) -> dict[str, int]:
        """How frames ended, over all clients."""
        with self._lock:
            total: Counter[Outcome] = sum(self.ended.values(), Counter())
        return {outcome.value: total[outcome] for outcome in Outcome}

    def by_client(self) -> dict[str, dict[str, int]]:
        """How frames ended, by client."""
        with self._lock:
            return {
                client: {outcome.value: counts[outcome] for outcome in Outcome} for client, counts in self.ended.items()
            }
