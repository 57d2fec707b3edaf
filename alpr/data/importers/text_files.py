"""Text, JSON, XML and tables in the encoding that they declare, bear as a mark, or are said to have."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from alpr.data.columns import ManifestError
from alpr.files import LIST_BYTES, open_regular, read_regular

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's mark does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}
"""Files that declare the smaller set often hold characters of the larger one, which contains it."""
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
_encoding: ContextVar[str] = ContextVar("encoding", default="")


@contextmanager
def encoded_as(name: str) -> Iterator[None]:
    """Within it, files without a mark of their own are read in this encoding; "" for UTF-8.

    Raises:
        ManifestError: an encoding that Python does not know.
    """
    try:
        codecs.lookup(name or "utf-8")
    except LookupError:
        raise ManifestError(
            f"There is no encoding {name!r}; expected one such as utf-8, gbk, shift_jis, cp1252."
        ) from None
    token = _encoding.set(name)
    try:
        yield
    finally:
        _encoding.reset(token)


def read_text(path: Path) -> str:
    """A text file: by its byte order mark, else in the encoding of `encoded_as`, else in UTF-8.

    Raises:
        ManifestError: a file that cannot be read or holds bytes that are no characters.
    """
    return _decoded(path, _bytes(path), _encoding.get() or "utf-8")


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, LIST_BYTES)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}.") from error


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), encoding)
    try:
        # as files opened as text do: all line ends are one
        return re.sub("\r\n?", "\n", data.decode(_WIDER.get(encoding.lower(), encoding)))
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is not in {encoding}: byte {error.start} is no character. "
            "Name its encoding with --encoding, such as gbk, shift_jis or cp1252."
        ) from error
    except LookupError:
        raise ManifestError(
            f"{path} declares the encoding {encoding!r}, which is not known; name it with --encoding."
        ) from None


def read_json(path: Path) -> Any:
    """What a JSON file holds; the last two are kept, since guessing the format opens a file before reading it does.

    Raises:
        ManifestError: a file that cannot be read or is no JSON.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}.") from error
    return _json(path, _encoding.get(), found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=2)
def _json(path: Path, encoding: str, changed: int, size: int) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, ManifestError):
            raise
        raise ManifestError(f"{path} is no JSON: {error}.") from error


def json_of(path: Path) -> Any:
    """What a JSON file holds, or None where it is none."""
    try:
        return read_json(path)
    except ManifestError:
        return None


def read_xml(path: Path) -> Element:
    """The root of an XML file, in the encoding that it declares; `encoded_as` comes before the declaration.

    Raises:
        ManifestError: a file that cannot be read or is no XML.
    """
    data = _bytes(path)
    declared = _DECLARED.match(data)
    text = _decoded(path, data, _encoding.get() or (declared[1].decode() if declared else "utf-8"))
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ManifestError(f"{path} is no XML: {error}.") from error


def first_lines(path: Path, lines: int = 5) -> list[str]:
    """The first lines of a text that are not blank; none where the file is no text."""
    try:
        with open_regular(path, LIST_BYTES) as file:
            data = file.read(1 << 16)
    except OSError:
        return []
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), _encoding.get() or "utf-8")
    text = data.decode(encoding, errors="ignore")
    return [] if "\0" in text else [line for line in text.splitlines() if line.strip()][:lines]


class Row(NamedTuple):
    """A row of a table, by its columns.

    Attributes:
        line: in the file, as a text editor counts.
        fault: why it cannot be used; "" where it can.
    """

    line: int
    cells: dict[str, str]
    fault: str


def header_of(path: Path) -> list[str]:
    """The names of a table's columns, in lower case; none where the file is no text."""
    lines = first_lines(path, 1)
    return _split(lines[0]) if lines else []


def _split(line: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=_separator(line)), [])]


def _separator(line: str) -> str:
    return max(",;\t", key=line.count)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a table by the names of its columns in lower case; separated by commas, semicolons or tabs.

    Raises:
        ManifestError: a file that cannot be read.
    """
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    names = _split(first)
    rows = csv.reader(io.StringIO(text), delimiter=_separator(first))
    next((row for row in rows if row), None)
    before = rows.line_num
    for row in rows:
        line, before = before + 1, rows.line_num
        if not row:
            continue
        fault = "" if len(row) == len(names) else f"the row has {len(row)} cells; the header has {len(names)}"
        yield Row(line, dict(zip(names, map(str.strip, row), strict=False)), fault)
