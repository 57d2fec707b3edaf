"""Image bombs: what claims too much is refused before a byte of it is allocated."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_runs import ENVIRONMENT

from alpr.images.header import MAX_SCANS, declared_size, refusal
from alpr.images.prepare import UnreadableImage, read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def png(width: int, height: int, packed: bytes = b"") -> bytes:
    """A grey PNG with a given claim and given packed rows."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, PICTURE, options)[1].tobytes()


def bombs() -> dict[str, bytes]:
    """Files of a few KB that claim 60,000 x 60,000 px or the most their format can."""
    jpeg = bytearray(encoded(".jpg"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 60000, 60000)
    bmp = bytearray(encoded(".bmp"))
    bmp[18:26] = struct.pack("<ii", 60000, -60000)
    lossy, lossless = (bytearray(encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, q)) for q in (80, 101))
    lossy[26:30] = struct.pack("<HH", 16383, 16383)
    lossless[21:25] = struct.pack("<I", 16383 | 16383 << 14)
    extended = b"RIFF\0\0\1\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\x5f\xea\0" * 2 + bytes(400)
    return {
        "png": png(60000, 60000, zlib.compress(bytes(4_000_000), 9)),
        "jpg": bytes(jpeg),
        "bmp": bytes(bmp),
        "webp": bytes(lossy),
        "lossless.webp": bytes(lossless),
        "animated.webp": extended,
        "tiff": tiff({256: 60000, 257: 60000}),
        "tiles.tiff": tiff({256: 10, 257: 10, 322: 60000, 323: 60000}),
        "big.tiff": tiff({256: 1 << 40, 257: 1}, big=True),
    }


def tiff(tags: dict[int, int], big: bool = False) -> bytes:
    """A directory without a picture."""
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    entry, kind, count = ("<HHQQ", 16, "<Q") if big else ("<HHII", 4, "<H")
    return head + struct.pack(count, len(tags)) + b"".join(struct.pack(entry, t, kind, 1, v) for t, v in tags.items())


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_with_its_size(name: str) -> None:
    with pytest.raises(UnreadableImage, match=r"claims \d+x\d+ px"):
        read_image(bombs()[name], name)


def test_what_is_within_the_limit_but_packed_too_tightly_is_refused() -> None:
    packed = png(14000, 14000, zlib.compress(bytes(14000), 9))
    with pytest.raises(
        UnreadableImage, match=r"claims 14000x14000 px in \d+ bytes; no photograph is packed so tightly"
    ):
        read_image(packed)
    assert refusal(png(4000, 5000)) is None  # such a flat picture may be real


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bombs()["png"])
    assert path.stat().st_size < 10_000
    code = (
        "import resource, sys; from alpr.images.prepare import UnreadableImage, read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_image(sys.argv[1])\n"
        "except UnreadableImage as e: print(e)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], env=ENVIRONMENT, capture_output=True, text=True)
    sentence, grown = done.stdout.splitlines()
    assert sentence == f"{path} claims 60000x60000 px; at most 200000000 px are read."
    assert int(grown) < 4_000  # KB


def test_a_png_chunk_that_claims_more_than_the_file_holds_is_refused() -> None:
    """OpenCV allocates the claim before it looks; found by fuzzing."""
    data = bytearray(encoded(".png"))
    at = data.index(b"IDAT")
    data[at - 4 : at] = struct.pack(">I", 0x40000000)
    with pytest.raises(UnreadableImage, match="truncated PNG"):
        read_image(bytes(data))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    start = data.index(b"\xff\xda")
    scan = data[start : data.index(b"\xff", start + 12)]
    assert refusal(data) is None
    with pytest.raises(UnreadableImage, match=f"more than {MAX_SCANS} scans"):
        read_image(data[:start] + scan * MAX_SCANS + data[start:])


def test_a_tiff_directory_at_no_possible_place_is_refused() -> None:
    """Found by fuzzing."""
    with pytest.raises(UnreadableImage, match="in the middle of its header"):
        read_image(struct.pack("<2sHHHQ", b"II", 43, 8, 0, (1 << 64) - 1) + bytes(40))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_the_claim_is_the_picture(suffix: str) -> None:
    data = encoded(suffix)
    assert declared_size(data) == (40, 60) == read_image(data).shape[:2]
    assert all(declared_size(data[:length]) in (None, (40, 60)) for length in range(60))


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tiff"])
def test_of_several_pictures_the_first_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"several{suffix}"
    if suffix == ".tiff":
        path.write_bytes(cv2.imencodemulti(suffix, [PICTURE, PICTURE[::-1]])[1].tobytes())
    else:
        animation = cv2.Animation()
        animation.frames, animation.durations = [PICTURE, PICTURE[::-1].copy()], [100, 100]
        assert cv2.imwriteanimation(str(path), animation)
    found = read_image(path)
    assert found.shape == PICTURE.shape and np.abs(found.astype(int) - PICTURE).mean() < 60


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(30), b"P6\n9 9\n255\n" + bytes(243), b"\0\0\0\x0cjP  " + bytes(40)])
def test_other_formats_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="expected JPEG, PNG, BMP, WebP or TIFF"):
        read_image(data)
