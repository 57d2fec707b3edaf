"""An ONNX file as bytes, without the package onnx: whether it would make its reader open other files.

An ONNX tensor may lie in another file, named by a path inside the model (`TensorProto.external_data`). The hash of a
bundle's card does not vouch for such a file. Source: onnx.proto3 of onnx/onnx; the numbers are its field numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

_INNER = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""The messages that can hold a tensor: which field of which one holds what."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 64


class MalformedOnnx(ValueError):
    """Bytes that are no message of protocol buffers."""


def names_other_files(data: bytes) -> bool:
    """Whether a tensor of the model lies in another file.

    Raises:
        MalformedOnnx: a file that cannot be walked through.
    """
    if b"location" not in data:  # the key of such a tensor's path; spares the walk
        return False
    return _external(memoryview(data), "model", 0)


def _external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise MalformedOnnx("its graphs are nested too deep")
    for number, value in _fields(message):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)):
            return True
        inner = _INNER[kind].get(number)
        if inner is not None and isinstance(value, memoryview) and _external(value, inner, depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: their numbers, and their whole numbers or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise MalformedOnnx(f"it is no ONNX file: byte {at} begins a field of the unknown kind {wire}")
        if at + size > len(message):
            raise MalformedOnnx("it is no ONNX file: a field reaches behind its end")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise MalformedOnnx("it is no ONNX file: it ends in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedOnnx("it is no ONNX file: a number has more than ten bytes")
