"""A strict reader of plain values, as JSON and YAML give them: a wrong one is refused by its key and its line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import accumulate
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""
MOST_PX = 16384
"""Of a side of a network's input; a card that asks for more would only fill the memory."""
MOST_BRACKETS = 50
"""Open at once. A pack has three."""
MOST_VALUES = 20_000
"""With every alias written out: a few lines of aliases of aliases stand for more than any memory holds."""
T = TypeVar("T")
_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


class Fault(ValueError):
    """What is wrong with a value, and where it stands: who reads the file adds its name and the line."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def expect(holds: bool, key: str, found: object, expected: str) -> None:
    """Refuses a value that does not hold.

    Raises:
        ValueError: the key, what was found and what is expected.
    """
    if not holds:
        raise ValueError(f"{key} is {short(found)}; expected {expected}.")


def different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of which no key is given twice: one reader would take the first, another the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {short(key)} is given twice")
        found[key] = value
    return found


def strict_json(text: str | bytes) -> Any:
    """Plain values from JSON in which no key is given twice and every number is finite.

    Raises:
        ValueError: anything else. RecursionError: lists within lists without end.
    """
    if isinstance(text, bytes):
        text = text.decode()
    return json.loads(text, object_pairs_hook=different_keys, parse_constant=_finite, parse_float=_finite)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is no finite number")
    return value


def read_as(
    kind: type[T],
    value: Any,
    place: Place = (),
    whole: str = "the file",
    complete: Container[type[Any]] = (),
    loose: Container[type[Any]] = (),
) -> T:
    """A dataclass from a mapping of plain values, checked by the types of its fields, those inside it likewise.

    A whole number passes as a number, a list as a tuple or a named tuple; nothing else is converted, and true is no
    number.

    Args:
        place: where the mapping stands.
        whole: what the outermost mapping is called.
        complete: dataclasses of which every key must be given, also those with a default.
        loose: dataclasses beside whose keys others may stand; they are passed over.

    Raises:
        Fault: an unknown, missing or wrong entry, or one that the dataclass itself refuses.
    """
    if not isinstance(value, Mapping):
        raise Fault(place, f"{dotted(place) or whole} is {short(value)}; expected a mapping.")
    types = _types(kind)
    if kind in loose:
        value = {key: entry for key, entry in value.items() if key in types}
    check_keys(value, kind, place, kind in complete)
    asked = _Asked(complete, loose)
    given = {key: _checked(types[key], entry, (*place, key), asked) for key, entry in value.items()}
    try:
        return kind(**given)
    except Fault as fault:  # it names its own keys, below this place
        raise Fault((*place, *fault.place), f"{dotted(place, '.')}{fault}") from fault
    except ValueError as error:
        raise Fault(place, f"{dotted(place, '.')}{error}") from error


def check_keys(value: Mapping[Any, Any], kind: type[Any], place: Place, complete: bool = False) -> None:
    """Refuses keys that a dataclass does not have, and the lack of those it needs.

    Raises:
        Fault: such keys.
    """
    asked: Any = kind  # to mypy a class cannot be hashed
    known = _needed(asked)
    unknown = [key for key in value if key not in known]
    missing = [key for key, needed in known.items() if (needed or complete) and key not in value]
    for what, wrong in (("unknown", unknown), ("missing", missing)):
        if wrong:
            named = ", ".join(dotted((*place, str(key))) for key in sorted(map(str, wrong)))
            where = (*place, str(wrong[0])) if what == "unknown" else place
            raise Fault(where, f"{what} {named}; expected the keys {', '.join(known)}.")


class _Asked(NamedTuple):
    complete: Container[type[Any]]
    loose: Container[type[Any]]


# What follows is asked of the same few types for every plate of 100,000.
_types: Callable[[Any], dict[str, Any]] = cache(get_type_hints)
_origin: Callable[[Any], Any] = cache(get_origin)
_inner: Callable[[Any], tuple[Any, ...]] = cache(get_args)


@cache
def _all_floats(kind: Any) -> bool:
    """Whether a tuple's type holds numbers alone."""
    return set(_inner(kind)) <= {float, ...}


@cache
def _needed(kind: type[Any]) -> dict[str, bool]:
    """The keys of a dataclass, and whether each has no default."""
    return {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(kind)}


def _checked(kind: Any, value: Any, place: Place, asked: _Asked) -> Any:
    """The value as a field of this type holds it."""
    # type(), not isinstance: True is an int
    if kind is Any or (type(value) is kind and (kind in (str, int, bool) or (kind is float and math.isfinite(value)))):
        return value
    origin, inner = _origin(kind), _inner(kind)
    if origin in (Union, UnionType):  # X | None
        return None if value is None else _checked(inner[0], value, place, asked)
    if is_dataclass(kind):
        return read_as(kind, value, place, complete=asked.complete, loose=asked.loose)  # type: ignore[arg-type]
    if isinstance(kind, type) and issubclass(kind, tuple):  # a named one
        return kind(*_checked(tuple[tuple(_types(kind).values())], value, place, asked))  # type: ignore[misc]
    if origin is tuple:
        several = inner[1:] == (...,)
        if not isinstance(value, list | tuple) or not (several or len(value) == len(inner)):
            wanted = "a list" if several else f"a list of {len(inner)}"
            raise Fault(place, f"{dotted(place)} is {short(value)}; expected {wanted}.")
        if _all_floats(kind) and all(type(v) is float for v in value) and math.isfinite(sum(value)):
            return tuple(value)
        return tuple(_checked(inner[0 if several else i], v, (*place, i), asked) for i, v in enumerate(value))
    if kind is dict or (origin is not None and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise Fault(place, f"{dotted(place)} is {short(value)}; expected a mapping.")
        held = inner[1] if inner else Any
        return {key: _checked(held, entry, (*place, key), asked) for key, entry in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    raise Fault(place, f"{dotted(place)} is {short(value)}; expected {_KINDS[kind]}.")


def dotted(place: Place, end: str = "") -> str:
    """A place as people write it: data[0].name; with `end` behind it where there is any."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return text + end if text else ""


def read_with_lines(text: str) -> tuple[Any, dict[Place, int]]:
    """The values of a YAML document, and the line, from 1, of every key and list item.

    Raises:
        yaml.YAMLError: text that is no YAML.
        ValueError: a key that is given twice, more values than `MOST_VALUES` or nested too deep, or one that is not
            what its tag says.
    """
    lines: dict[Place, int] = {}
    if _deepest(text) > MOST_BRACKETS:  # each level costs the scanner a look at all others
        raise ValueError("its values are nested too deep.")
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, lines
        _walk(root, (), lines)
        return loader.construct_document(root), lines
    except RecursionError as error:
        raise ValueError("its values are nested too deep.") from error
    except (AttributeError, LookupError, TypeError, OverflowError) as error:  # a tag that its value does not fit
        raise ValueError(f"a value is not what its tag says: {error!r}.") from error
    finally:
        loader.dispose()


def _deepest(text: str) -> int:
    """The most brackets and braces that are open at once, those in texts and comments counted too."""
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[{\]}]", text))
    return max(accumulate(steps, lambda depth, step: max(0, depth + step)), default=0)


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(lines) > MOST_VALUES:
        raise ValueError(
            f"line {node.start_mark.line + 1}: there are more than {MOST_VALUES} values, aliases written out."
        )
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                line = key.start_mark.line + 1
                raise ValueError(f"line {line}: the key {key.value!r} is given twice, first in line {lines[inner]}.")
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _walk(item, (*place, i), lines)


def located(source: str, fault: Fault, lines: Mapping[Place, int] | None = None) -> str:
    """The sentence of a fault: the file, the line of the value or of the nearest one around it that is written."""
    found = [fault.place[:end] for end in range(len(fault.place), -1, -1) if lines and fault.place[:end] in lines]
    return f"{source}, line {lines[found[0]]}: {fault}" if lines and found else f"{source}: {fault}"


def short(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
