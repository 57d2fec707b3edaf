"""YAML as plain values, with the line on which each of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""
MOST_VALUES = 20_000
"""With every alias written out: a few lines of aliases of aliases stand for more than any memory holds."""


def read_with_lines(text: str) -> tuple[Any, dict[Place, int]]:
    """The values of a YAML document, and the line, from 1, of every key and list item.

    Raises:
        yaml.YAMLError: text that is no YAML.
        ValueError: a key that is given twice, more values than `MOST_VALUES` or nested too deep, or one that is not
            what its tag says.
    """
    lines: dict[Place, int] = {}
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


def line_of(place: Place, lines: Mapping[Place, int]) -> int | None:
    """The line of a value, or of the nearest one around it that is written; None without lines."""
    for end in range(len(place), -1, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return None
