"""Events to a web address, each once and in order, also over a kill or a receiver that is down for an hour.

Every event is first a line of a spool file; a thread sends the lines one after the other and writes down how far it is.
What could not be sent stands in the file when the next watch begins. Only a kill between the receiver's answer and that
note sends an event twice: its `Idempotency-Key` is the same then.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from alpr.files import SMALL_BYTES, read_regular, write_atomically

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Between attempts to send; the last one is kept."""
TIMEOUT_S = 15.0
KEPT_KEYS = 2000
"""Lines that were sent are dropped from the spool when there are twice so many; so many are kept to know again."""
MOST_SENT_BYTES = 64_000_000
"""Where others still wait, that is done when the sent ones have so many bytes and half of the file."""
_AGAIN = {408, 425, 429}
"""Refusals that pass."""


class Webhook:
    """A spool file and the thread that sends its lines.

    Args:
        url: http or https; every event is a POST of JSON.
        spool: the file; beside it stand how far it was sent (`.sent`) and what the receiver refused (`.refused`).
        fresh: whether keys of an earlier run are forgotten, as the same file is watched again; what is not sent yet
            stays.
        told: is called with a sentence when the receiver is lost, is back, or refuses an event.
        headers: further ones, such as an authorisation.
        most: events that may wait; None for any number.

    Raises:
        ValueError: another URL, or a spool that is none.
        OSError: a file that cannot be written.
    """

    def __init__(
        self,
        url: str,
        spool: Path,
        *,
        fresh: bool = True,
        told: Callable[[str], object] = lambda sentence: None,
        headers: Mapping[str, str] | None = None,
        pauses_s: tuple[float, ...] = PAUSES_S,
        most: int | None = None,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"The webhook {url!r} is no web address; expected http://... or https://...")
        self.url, self.path, self.told, self.headers = url, spool, told, dict(headers or {})
        self.sent = self.refused = 0
        self._pauses, self._most = pauses_s, most
        self._changed = threading.Condition()
        self._stopping = False
        self._keys: dict[str, None] = {}
        spool.parent.mkdir(parents=True, exist_ok=True)
        self._open(fresh)
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many events are not sent yet."""
        with self._changed:
            return self._waiting

    def put(self, key: str, body: Mapping[str, Any]) -> bool:
        """Puts an event into the spool; False where one with this key stands there already, or too many wait.

        Raises:
            OSError: a disk that takes no more.
        """
        with self._changed:
            if key in self._keys or (self._most is not None and self._waiting >= self._most):
                return False
            line = json.dumps({"key": key, "body": body}, ensure_ascii=False, allow_nan=False) + "\n"
            self._file.write(line.encode())
            self._file.flush()
            self._keys[key] = None
            self._waiting += 1
            self._changed.notify_all()
        return True

    def wait(self, timeout_s: float) -> int:
        """Waits until everything is sent, or so long; gives how many events are left."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._waiting

    def close(self) -> None:
        """Stops sending; what is left stays in the spool."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=TIMEOUT_S + 1)
        self._file.close()

    def _open(self, fresh: bool) -> None:
        """Reads what an earlier run left, drops a line that was cut off, and shortens a long file."""
        self._note = self.path.with_name(f"{self.path.name}.sent")
        self._at = self._read_note()
        lines, whole, longest = [], 0, 0
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n") or (key := _key_of(line)) is None:
                        break
                    lines.append((whole, key))
                    whole += len(line)
                    longest = max(longest, len(line))
            rest = self.path.stat().st_size - whole
            if rest > longest + (1 << 20) or (rest and not lines):
                raise ValueError(f"{self.path} is no spool of events; choose another file, or remove it.")
        unsent = [one for one in lines if one[0] >= self._at]
        sent = [] if fresh else [one for one in lines if one[0] < self._at][-KEPT_KEYS:]
        kept = [*sent, *unsent]
        if len(kept) != len(lines) or not self.path.exists() or whole != self.path.stat().st_size:
            self._rewrite(kept[0][0] if kept else whole, whole, unsent[0][0] if unsent else whole)
        self._keys = dict.fromkeys(key for _, key in kept)
        self._waiting, self._sent_lines = len(unsent), len(sent)
        self._file: BinaryIO = self.path.open("ab")

    def _rewrite(self, start: int, end: int, at: int) -> None:
        """Keeps the bytes from start to end alone, of which those before `at` are sent."""
        # The note goes first to 0: a kill between the two sends lines twice, but loses none.
        self._write_note(0)
        write_atomically(self.path, self._bytes(start, end))
        self._write_note(at - start)

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end and (part := file.read(min(1 << 20, end - start))):
                start += len(part)
                yield part

    def _read_note(self) -> int:
        try:
            return int(read_regular(self._note, SMALL_BYTES))
        except (OSError, ValueError):
            return 0

    def _write_note(self, at: int) -> None:
        write_atomically(self._note, [str(at).encode()], sync=False)
        self._at = at

    def _run(self) -> None:
        tries = 0
        while (line := self._next()) is not None:
            entry = json.loads(line)
            trouble, passes = self._post(entry)
            if trouble is not None and passes:
                pause = self._pauses[min(tries, len(self._pauses) - 1)]
                if tries == 0:
                    self.told(f"{_address(self.url)} took no event ({trouble}); it is tried until it does.")
                tries += 1
                with self._changed:
                    if not self._stopping:
                        self._changed.wait_for(lambda: self._stopping, pause)
                continue
            if tries:
                self.told(f"{_address(self.url)} takes events again.")
            tries = 0
            if trouble is not None:
                self.refused += 1
                self.told(f"{_address(self.url)} refused the event {entry['key']} ({trouble}); it is in {self._bad}.")
                with self._bad.open("ab") as file:
                    file.write(line)
            self._done(len(line), refused=trouble is not None)

    @property
    def _bad(self) -> Path:
        return self.path.with_name(f"{self.path.name}.refused")

    def _next(self) -> bytes | None:
        """The next line to send, once there is one; None when the thread is to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting > 0)
            if self._stopping:
                return None
            at = self._at
        with self.path.open("rb") as file:
            file.seek(at)
            return file.readline()

    def _done(self, length: int, *, refused: bool) -> None:
        with self._changed:
            self._write_note(self._at + length)
            self._waiting -= 1
            self.sent += not refused
            self._sent_lines += 1
            most = 0 if not self._waiting else max(MOST_SENT_BYTES, self._file.tell() // 2)
            if self._sent_lines > 2 * KEPT_KEYS and self._at >= most:
                self._shorten()
            self._changed.notify_all()

    def _shorten(self) -> None:
        """Drops all but the last of the lines that are sent."""
        self._file.close()
        places: deque[int] = deque(maxlen=KEPT_KEYS)
        at, dropped = 0, self._sent_lines - KEPT_KEYS
        with self.path.open("rb") as file:
            while at < self._at:
                places.append(at)
                at += len(file.readline())
        self._rewrite(places[0], self.path.stat().st_size, self._at)
        self._keys = dict.fromkeys(islice(self._keys, dropped, None))
        self._sent_lines = KEPT_KEYS
        self._file = self.path.open("ab")

    def _post(self, entry: Mapping[str, Any]) -> tuple[str | None, bool]:
        """Sends one event: None, or what went wrong and whether that may pass."""
        body = json.dumps(entry["body"], ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8", "User-Agent": "alpr", "Idempotency-Key": entry["key"],
            **self.headers,
        }  # fmt: skip
        request = urllib.request.Request(self.url, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                answer.read(1 << 16)
            return None, True
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}", error.code >= 500 or error.code in _AGAIN
        except (OSError, ValueError) as error:  # no connection, a time-out, an answer that is none
            return str(getattr(error, "reason", error)) or type(error).__name__, True
        except Exception as error:  # http.client's exceptions are no OSErrors
            return type(error).__name__, True


def _key_of(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    key = entry.get("key") if isinstance(entry, dict) else None
    return key if isinstance(key, str) and isinstance(entry.get("body"), dict) else None


def _address(url: str) -> str:
    """A URL without user, password and query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def spool_beside(output: Path | None) -> Path:
    """Where the spool stands by default: beside the events, or in the working folder."""
    return Path("events.spool") if output is None else output.with_name(f"{output.name}.spool")
