"""A strict reader of plain values, as JSON and YAML give them: a wrong one is refused by its key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

MOST_PX = 16384
"""Of a side of a network's input; a card that asks for more would only fill the memory."""
T = TypeVar("T")


def expect(holds: bool, key: str, found: object, expected: str) -> None:
    """Refuses a value that does not hold.

    Raises:
        ValueError: the key, what was found and what is expected.
    """
    if not holds:
        raise ValueError(f"{key} is {found!r}; expected {expected}.")


def different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of which no key is given twice: one reader would take the first, another the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {short(key)} is given twice")
        found[key] = value
    return found


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a mapping",
    list: "a list",
}


class Entry:
    """A JSON object that knows where it stands, so that every complaint can name its key.

    Args:
        source: the file, as a complaint names it.
        path: of the keys that lead here, with a dot at its end; "" for the whole.
        whole: what the outermost object is called.
        error: what every complaint is raised as.
    """

    def __init__(self, data: Any, source: str, path: str, whole: str, error: type[ValueError]) -> None:
        if not isinstance(data, dict):
            raise error(f"{source}: {path.rstrip('.') or whole} is {short(data)}; expected a mapping.")
        self.data, self.source, self.path, self._whole, self._error = data, source, path, whole, error

    def only(self, keys: Sequence[str]) -> None:
        """Refuses unknown and missing keys."""
        for wrong, what in ((set(self.data) - set(keys), "unknown"), (set(keys) - set(self.data), "missing")):
            if wrong:
                named = ", ".join(f"{self.path}{key}" for key in sorted(wrong))
                raise self._error(f"{self.source}: {what} {named}; expected the keys {', '.join(keys)}.")

    def take(self, key: str, kind: type[T]) -> T:
        """The value of a key, of exactly this type; a whole number also passes as a number."""
        if key not in self.data:
            raise self._error(f"{self.source}: missing {self.path}{key}; expected {_KINDS[kind]}.")
        value: Any = self.data[key]
        if kind is float and type(value) is int:
            value = float(value)
        # type(), not isinstance: True is an int
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise self._error(f"{self.source}: {self.path}{key} is {short(value)}; expected {_KINDS[kind]}.")
        taken: T = value
        return taken

    def optional(self, key: str, kind: type[T]) -> T | None:
        return None if self.data[key] is None else self.take(key, kind)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.take(key, list)
        if any(type(text) is not str for text in found):
            raise self._error(f"{self.source}: {self.path}{key} is {short(found)}; expected a list of texts.")
        return tuple(found)

    def entry(self, key: str, keys: Sequence[str]) -> Entry:
        return self.inner(self.take(key, dict), f"{key}.", keys)

    def entries(self, key: str, keys: Sequence[str]) -> list[Entry]:
        return [self.inner(value, f"{key}[{i}].", keys) for i, value in enumerate(self.take(key, list))]

    def inner(self, data: Any, path: str, keys: Sequence[str]) -> Entry:
        """An object inside this one, with just these keys."""
        entry = Entry(data, self.source, f"{self.path}{path}", self._whole, self._error)
        entry.only(keys)
        return entry


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
