"""Where the records of a run go: lines on stdout, or a file that appears whole when the run has ended."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from alpr.files import whole_file, write_atomically
from alpr.reader.parquet import records_of, write_parquet

try:
    import fcntl
except ImportError:  # Windows: nothing keeps a second run from the same part file there
    fcntl = None  # type: ignore[assignment]

_CORNERS = tuple(f"{corner}_{axis}" for corner in ("tl", "tr", "br", "bl") for axis in "xy")
_BOX = ("x1", "y1", "x2", "y2")
_READING = ("text", "text_score", "characters")
PLATE_COLUMNS = ("image", "width", "height", "plate", *_READING, "score", *_BOX, *_CORNERS, "damaged", "error")
"""The CSV's columns: a row is a plate, numbered from 1; an image without plates has one row without a number."""
CROP_COLUMNS = ("image", *_READING, "damaged", "error")


class Results:
    """Where the records go: lines on stdout, or a file that appears whole when the run has ended.

    Args:
        path: the file; None for stdout.
        form: "jsonl", "csv", "parquet" (JSON lines until the run ends), or "texts" for the plates' texts alone, one to
            a line; those that are flagged as not certain are left out.
        columns: the CSV's columns.
    """

    def __init__(self, path: Path | None, form: str, columns: Sequence[str]) -> None:
        self.path, self.form, self.columns = path, form, columns
        self.written = 0
        self._stream: TextIO = sys.stdout
        # A device or a pipe (/dev/null, /dev/stdout) is written to as it is: a rename would take its place.
        special = path is not None and path.exists() and not path.is_file() and not path.is_dir()
        self._part = None if path is None else path if special else path.with_name(f"{path.name}.part")

    def open(self, *, resume: bool = False) -> None:
        """Makes the file's folder and opens the part file beside it.

        Args:
            resume: keep the whole lines of a part file that an interrupted run left, or those of a finished file, see
                `kept`; not of CSV.

        Raises:
            OSError: a place that cannot be written, or one that another run is writing.
        """
        encoding = "utf-8"
        if self._part is not None:
            if self.path is not None and self.path.is_dir():
                raise IsADirectoryError(f"The output {self.path} is a folder; expected a file.")
            self._part.parent.mkdir(parents=True, exist_ok=True)
            encoding = "utf-8-sig" if self.form == "csv" else "utf-8"  # Excel takes a CSV without the mark for Latin-1
            if self._part == self.path:
                file: BinaryIO = self._part.open("wb")
            else:
                if resume:
                    self._take_up()
                file = _opened_alone(self._part)
                file.truncate(_whole_lines(file) if resume else 0)
            self._stream = TextIOWrapper(file, encoding, errors="backslashreplace", newline="")
        if self.form == "csv":
            self._rows([dict(zip(self.columns, self.columns, strict=True))])

    def finished(self) -> Iterator[dict[str, Any]]:
        """The records of the file that a run has finished; none where a part file stands, of one that has not."""
        if self._part != self.path and self.path is not None and self.path.is_file() and not self._unfinished():
            yield from records_of(self.path)

    def _unfinished(self) -> bool:
        return self._part is not None and self._part.is_file()

    def _take_up(self) -> None:
        """Makes a finished file the part file that a run goes on with."""
        if self._part is not None and self.path is not None and self.path.is_file() and not self._unfinished():
            if self.form == "parquet":
                lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records_of(self.path))
                write_atomically(self._part, (line.encode(errors="backslashreplace") for line in lines))
            else:
                self.path.replace(self._part)

    def kept(self) -> Iterator[dict[str, Any]]:
        """The records that stand in the part file already."""
        if self._part is not None and self._part != self.path:
            yield from records_of(self._part)

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes one image's record."""
        if self.form == "csv":
            self._rows(_csv_rows(record))
        elif self.form == "texts":
            self._stream.writelines(f"{text}\n" for text in _texts(record))
        else:
            self._stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        # Whoever reads a pipe sees each image when it is done; a killed run has lost the one that it was reading.
        self._stream.flush()
        self.written += 1

    def close(self) -> None:
        """Gives the file its name."""
        if self._part is not None and self.path is not None:
            self._stream.flush()
            if fcntl is None:
                self._stream.close()  # Windows renames no open file
            if self.form == "parquet" and self._part != self.path:
                with whole_file(self.path) as temporary:
                    write_parquet(records_of(self._part), temporary)
                self._part.unlink()
            elif self._part != self.path:
                self._part.replace(self.path)
            self._stream.close()  # only now may another run have the name of the part file

    def keep(self) -> str:
        """Closes the part file and gives the sentence that says where it is."""
        if self._part is None or self._part == self.path:
            return ""
        with suppress(OSError):  # a full disk: the last block is lost, the rest stays
            self._stream.close()
        return f" What was read is in {self._part}."

    def _rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        plain = [{key: _no_formula(value) for key, value in row.items()} for row in rows]
        csv.DictWriter(self._stream, self.columns, lineterminator="\n").writerows(plain)


class BusyOutput(OSError):
    """A file that another run is writing; the sentence names it."""


def _opened_alone(part: Path) -> BinaryIO:
    """A part file, locked until it is closed."""
    while True:
        file = part.open("a+b")
        if fcntl is None:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise BusyOutput(f"Another run is writing {part}; choose another output, or wait for it.") from None
        except OSError:  # a file system without locks
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        file.close()  # the other run has given it its name in this moment


def _whole_lines(file: BinaryIO) -> int:
    """The bytes of the records that were written to their end."""
    file.seek(0)
    whole = 0
    for line in file:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not (line.endswith(b"\n") and isinstance(record, dict) and isinstance(record.get("image"), str)):
            break
        whole += len(line)
    return whole


def _no_formula(value: Any) -> Any:
    """A cell that a spreadsheet takes for text: it runs what begins with one of these."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _texts(record: Mapping[str, Any]) -> Iterator[str]:
    for plate in record.get("plates", [record]):  # a crop has no plates
        if plate.get("text") and plate.get("certain") is not False:
            yield plate["text"]


def _csv_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    shared = {key: value for key, value in record.items() if key not in {"plates", "ms"}}
    if "plates" not in record:  # a crop, or an error
        return [shared | _joined(shared)]
    rows = []
    for number, plate in enumerate(record["plates"], start=1):
        row = shared | {"plate": number} | {key: plate[key] for key in plate if key not in {"box", "corners"}}
        row |= _joined(plate) | dict(zip(_BOX, plate["box"], strict=True))
        row |= dict(zip(_CORNERS, [v for point in plate["corners"] for v in point], strict=True))
        rows.append(row)
    return rows or [shared]


def _joined(values: Mapping[str, Any]) -> dict[str, str]:
    """What is a list in JSON, as one cell."""
    lists = {
        "characters": values.get("characters"),
        "alternatives": [v for pair in values.get("alternatives", ()) for v in pair.values()],
    }
    return {key: " ".join(map(str, lists[key] or ())) for key in lists if key in values}
