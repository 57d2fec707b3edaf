"""The last events of the server's own cameras, for every client that listens to them over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

KEPT = 200
"""Events that are remembered: a client that comes, or comes back, gets those that it has not seen."""
MOST_LISTENERS = 64
BEAT_S = 15.0
"""A stream on which nothing happens says so this often, so that no proxy takes it for dead."""


class EventStream:
    """Numbered events, handed to any number of listeners; a slow one skips what is forgotten and holds nobody up."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._last = 0
        self._closed = False
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def full(self) -> bool:
        """Whether no further listener is taken."""
        return self._closed or len(self._waiting) >= MOST_LISTENERS

    def put(self, record: Mapping[str, Any]) -> None:
        """Adds an event; may be called from any thread."""
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
        with self._lock:
            self._last += 1
            self._kept.append((self._last, text))
        self._wake()

    def close(self) -> None:
        """Ends all streams when they have given what there is."""
        self._closed = True
        self._wake()

    def after(self, number: int) -> list[tuple[int, str]]:
        """The events behind a number, with theirs."""
        with self._lock:
            return [one for one in self._kept if one[0] > number]

    async def listen(self, behind: int | None = None, recent: int = 0) -> AsyncIterator[str]:
        """Server-sent events, without an end until the stream is closed.

        Args:
            behind: the number of the last event that the listener has; one of an earlier run stands for 0. None begins
                with so many `recent` ones.
        """
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        with self._lock:
            self._waiting[changed] = loop
            number = max(0, self._last - recent) if behind is None else behind if behind <= self._last else 0
        yield ": events of alpr\n\n"
        try:
            while True:
                changed.clear()
                closed = self._closed
                for last, text in self.after(number):
                    number = last
                    yield f"id: {number}\ndata: {text}\n\n"
                if closed:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), BEAT_S)
                except TimeoutError:
                    yield ": nothing new\n\n"
        finally:
            with self._lock:
                self._waiting.pop(changed, None)

    def _wake(self) -> None:
        with self._lock:
            for changed, loop in self._waiting.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(changed.set)
