"""What is fuzzed: for every reader of foreign bytes, how inputs are made and what it may answer.

The property is the same everywhere: a result, or the reader's own documented exception, within a second of CPU time and
bounded memory. `tests/test_fuzz.py` tries a few inputs of each, `tools/fuzz.py` many.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from foreign_labels import LITERAL, lay_out
from hypothesis import strategies as st
from tiny_bundle import write_bundle

from alpr.data.ccpd import CcpdNameError, decode_name, decode_names
from alpr.data.columns import COLUMNS, ManifestError
from alpr.data.importers.formats import FORMATS, guess
from alpr.data.importers.labels import Wanted
from alpr.data.several_tables import read_manifest
from alpr.images.header import MAX_PIXELS
from alpr.images.prepare import UnreadableImage, read_image
from alpr.plates.country import CountryPack
from alpr.reader.card import CARD_FILE, CardError, ModelCard
from alpr.reader.onnx_file import MalformedOnnx, names_other_files

REPOSITORY = Path(__file__).resolve().parent.parent
NAME = b"025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15.jpg"
TABLE = (
    ",".join(COLUMNS) + "\na.jpg,B123,DE,1,2,30,12,1,2,30,2,30,12,1,12,train,\nb.jpg,,,,,,,,,,,,,,,val,note\n"
).encode()


@dataclass(frozen=True)
class Target:
    """A reader, the inputs to try, and a function that reads one of them: whether there was a result."""

    name: str
    inputs: Callable[[], st.SearchStrategy[bytes]]
    read: Callable[[bytes], bool]


@cache
def scratch() -> Path:
    """A folder of this process for the readers that take paths; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[Any] = []


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes], tokens: list[bytes]) -> bytes:
    """A valid input with a few faults: bytes changed, cut, doubled, replaced by a token, or the end lost."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3, 6]))):
        if not data:
            break
        # Headers are short and stand in front: a quarter of the faults go there.
        at = draw(st.integers(0, min(len(data), draw(st.sampled_from([64, *[1 << 30] * 3]))) - 1))
        kind = draw(st.sampled_from(["byte", "bit", "cut", "double", "token", "insert", "end", "extreme", "random"]))
        if kind == "byte":
            data[at] = draw(st.integers(0, 255))
        elif kind == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 64))] * draw(st.integers(1, 8))
        elif kind == "token" and tokens:
            token = draw(st.sampled_from(tokens))
            data[at : at + len(token)] = token
        elif kind == "insert" and tokens:
            data[at:at] = draw(st.sampled_from(tokens))
        elif kind == "end":
            del data[at:]
        elif kind == "extreme":
            number = draw(st.sampled_from([0, 1, 0x7FFF, 0x8000, 0xFFFF, 60000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            order = draw(st.sampled_from("<>"))
            data[at : at + 4] = struct.pack(f"{order}I", number)
        else:
            data[at:at] = draw(st.binary(max_size=16))
    return bytes(data)


@cache
def image_seeds() -> tuple[bytes, ...]:
    """Small files of every format that is read, with the compressions that OpenCV writes."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (5, 7, 3), np.uint8), (60, 40))
    grey16 = picture[..., 0].astype(np.uint16) * 257
    kinds: list[tuple[str, Any, list[int]]] = [
        (".jpg", picture, []),
        (".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", picture[..., 0], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".png", picture, []),
        (".png", picture[..., 0], [cv2.IMWRITE_PNG_BILEVEL, 1]),
        (".png", grey16, []),
        (".png", np.dstack([picture, picture[..., :1]]), []),
        (".bmp", picture, []),
        (".bmp", picture[..., 0], []),
        (".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 80]),
        (".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        *((".tiff", picture, [cv2.IMWRITE_TIFF_COMPRESSION, c]) for c in (1, 5, 8, 32773)),
        (".tiff", grey16, []),
    ]
    seeds = [cv2.imencode(suffix, image, options)[1].tobytes() for suffix, image, options in kinds]
    animation = cv2.Animation()
    animation.frames, animation.durations = [picture, picture[::-1].copy()], [100, 100]
    for suffix in (".webp", ".png"):
        path = scratch() / f"animated{suffix}"
        if cv2.imwriteanimation(str(path), animation):
            seeds.append(path.read_bytes())
    _, pages = cv2.imencodemulti(".tiff", [picture, grey16])
    return (*seeds, pages.tobytes())


_IMAGE_TOKENS = [
    *(b"\xff\xd8", b"\xff\xda", b"\xff\xd9", b"\xff\xc4", b"\xff\xe1\x00\x10Exif\0\0", b"II*\0", b"MM\0*", b"II+\0"),
    *(b"IHDR", b"IDAT", b"IEND", b"acTL\0\0\0\x08", b"fcTL", b"iCCP", b"zTXt", b"eXIf", b"VP8X", b"VP8L", b"ANMF"),
]
_MAGICS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"BM", b"RIFF\x20\0\0\0WEBPVP8 ", b"II*\0\x08\0\0\0",
           b"GIF89a", b"P6\n9 9\n255\n", b"#?RADIANCE\n"]  # fmt: skip


def read_an_image(data: bytes) -> bool:
    try:
        image = read_image(data)
    except UnreadableImage:
        return False
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert 0 < image.shape[0] * image.shape[1] <= MAX_PIXELS
    return True


def read_a_name(data: bytes) -> bool:
    name = data.decode("utf-8", errors="surrogateescape")
    try:
        decode_name(name)
    except CcpdNameError as error:
        assert decode_names([name]).rejected == [(0, str(error))]
        return False
    return decode_names([name]).index == [0]


def read_a_table(data: bytes) -> bool:
    path = scratch() / "table.csv"
    path.write_bytes(data)
    try:
        read_manifest(path)
    except ManifestError:
        return False
    return True


def read_a_card(data: bytes) -> bool:
    (scratch() / CARD_FILE).write_bytes(data)
    try:
        card = ModelCard.read(scratch())
    except CardError:
        return False
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    return True


def read_a_pack(data: bytes) -> bool:
    path = scratch() / "pack.yaml"
    path.write_bytes(data)
    try:
        pack = CountryPack.read(path)
    except ValueError as error:
        assert type(error) is ValueError, error  # not one of a parser's own
        return False
    assert pack.slots >= 1
    return True


def read_an_onnx(data: bytes) -> bool:
    try:
        names_other_files(data)
    except MalformedOnnx:
        return False
    return True


@cache
def card_seed() -> bytes:
    """The card of a bundle, on few lines."""
    folder = write_bundle(scratch() / "tiny")
    return json.dumps(json.loads((folder / CARD_FILE).read_text(encoding="utf-8")), ensure_ascii=False).encode()


@cache
def onnx_seed() -> bytes:
    """A network that mentions the key of a path, or nothing would be walked through."""
    return b"\x12\x08location" + (write_bundle(scratch() / "networks") / "detector.onnx").read_bytes()


@cache
def pack_seeds() -> list[bytes]:
    """Country packs."""
    return [(REPOSITORY / "configs" / "country" / f"{name}.yaml").read_bytes() for name in ("cn", "br")]


LABELS = [case for case in LITERAL if case[1]]
"""Sets that have files of labels; a name holds those of CCPD."""


@cache
def label_seeds() -> list[bytes]:
    """The last label file of every set, behind the set's number and a line end."""
    contents = [next(reversed(files.values())) for _, files, _, _ in LABELS]
    return [f"{number}\n{content}".encode() for number, content in enumerate(contents)]


@cache
def label_folder(number: int) -> Path:
    _, files, images, _ = LABELS[number]
    return lay_out(scratch() / f"labels{number}", files, images)


def read_labels(data: bytes) -> bool:
    """Reads a set whose last file is replaced, as what it is and as what it may look like."""
    first, _, content = data.partition(b"\n")
    number = int(first) % len(LABELS) if first.isdigit() and len(first) < 4 else 0
    folder = label_folder(number)
    kind, files, _, _ = LABELS[number]
    (folder / next(reversed(files))).write_bytes(content)
    read = 0
    for guessed in (False, True):
        try:
            FORMATS[guess(folder) if guessed else kind].read(folder, Wanted())
            read += 1
        except ManifestError:
            continue
    return read > 0


_JSON_TOKENS = [b"null", b"NaN", b"Infinity", b"1e999", b"-1", b"[[[[", b'{"a":', b'"\\ud800"', b"9" * 30, b"true",
                b'"../../etc/passwd"', b'""', b"\xff", b"\0", b"[" * 2000]  # fmt: skip
_YAML_TOKENS = [b"&a ", b"*a", b"<<: ", b"!!int ", b"!!timestamp x", b"!!bool x", b"!!python/object:os.system ",
                b"[[[[[[", b"? ", b"\n- ", b"\t", b"\xff", b"\0", b"9" * 30, b"1:1:1", b"~", b"!!binary x",
                b"[" * 2000]  # fmt: skip
_CSV_TOKENS = [b"\0", b'"', b"\r", b"\n", b",", b";", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"inf", b"1e400", b"|",
               b"image_path,ocr_1", b"9" * 400, b"x" * 140_000]  # fmt: skip
_XML_TOKENS = [b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"</", b"<![CDATA[", b"<a>" * 500, b"<?xml encoding='x'?>"]
_NAME_TOKENS = [b"-", b"_", b"&", b".jpg", b"0", b"99", "皖".encode(), b"\n", b"\0", "٣".encode(), b"9" * 5000]

_TEXT = st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass"))

TARGETS = (
    Target("image", lambda: mutated(list(image_seeds()), _IMAGE_TOKENS), read_an_image),
    Target(
        "image_noise",
        lambda: st.tuples(st.sampled_from(_MAGICS), st.binary(max_size=400)).map(b"".join),
        read_an_image,
    ),
    Target("ccpd_name", lambda: st.one_of(_TEXT, mutated([NAME], _NAME_TOKENS)), read_a_name),
    Target("manifest", lambda: st.one_of(st.binary(max_size=300), mutated([TABLE], _CSV_TOKENS)), read_a_table),
    Target("labels", lambda: mutated(label_seeds(), [*_JSON_TOKENS, *_CSV_TOKENS[:9], *_XML_TOKENS]), read_labels),
    Target("card", lambda: mutated([card_seed()], _JSON_TOKENS), read_a_card),
    Target("country_pack", lambda: mutated(pack_seeds(), _YAML_TOKENS), read_a_pack),
    Target(
        "onnx_file",
        lambda: mutated([onnx_seed()], [b"\xff" * 9, b"\x72\x08location"]),
        read_an_onnx,
    ),
)
