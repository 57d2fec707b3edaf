"""Results as Parquet: the records of `alpr predict`, a row per image, in columns that are the same for every file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from alpr.files import open_regular_text, regular

PARQUET = ".parquet"
ROWS = 10_000
"""Of a group: so many records stand in memory at once."""


def need_parquet() -> None:
    """Looks whether Parquet can be written here.

    Raises:
        ModuleNotFoundError: without pyarrow; the sentence says how to get it.
    """
    if find_spec("pyarrow") is None:
        raise ModuleNotFoundError("Parquet needs pyarrow, which is not here: pip install 'alpr-train[parquet]'.")


def schema() -> Any:
    """The columns; a key that a run does not give is null."""
    import pyarrow as pa

    text, number, numbers = pa.string(), pa.float64(), pa.list_(pa.float64())
    plate = {
        "corners": pa.list_(numbers), "box": numbers, "score": number, "text": text, "text_score": number,
        "characters": numbers, "rule": text, "raw_text": text, "certain": pa.bool_(),
        "alternatives": pa.list_(pa.struct({"text": text, "text_score": number})), "country": text,
        "country_score": number, "kind": text, "kind_score": number, "rows": pa.int32(), "state": text,
    }  # fmt: skip
    stages = dict.fromkeys(("decode", "detect", "read"), number)
    return pa.schema(
        {
            "image": text, "width": pa.int32(), "height": pa.int32(), "damaged": pa.bool_(),
            "plates": pa.list_(pa.struct(plate)), "ms": pa.struct(stages), "error": text,
        }
    )  # fmt: skip


def write_parquet(records: Iterable[dict[str, Any]], path: Path) -> None:
    """Writes records, a group of rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rest, columns = iter(records), schema()
    with pq.ParquetWriter(path, columns, compression="zstd") as writer:
        while rows := list(islice(rest, ROWS)):
            writer.write_table(pa.Table.from_pylist(rows, schema=columns))


def records_of(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines or, where its name ends so, of Parquet.

    Raises:
        OSError: a file that cannot be read.
        ValueError: a line that is no JSON, or a file that is no Parquet.
    """
    if path.suffix == PARQUET:
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(regular(path, sys.maxsize)).iter_batches(ROWS):
            yield from map(_given, batch.to_pylist())
        return
    with open_regular_text(path, sys.maxsize) as file:
        yield from map(json.loads, file)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the record that it was: without the keys that it did not have."""
    record = {key: value for key, value in row.items() if value is not None}
    if "plates" in record:
        record["plates"] = [_plate(plate) for plate in record["plates"]]
    return record


def _plate(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}
