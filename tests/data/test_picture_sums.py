"""Pictures that changed under the same names are noticed."""

from __future__ import annotations

from pathlib import Path

from alpr.data.manifest import Manifest
from alpr.data.picture_sums import changed_pictures, picture_sums
from alpr.images.tar_members import member_path


def test_pictures_are_counted_once_and_summed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"123")
    (tmp_path / "s.tar").write_bytes(bytes(1024))
    names = ["a.png", "a.png", member_path("s.tar", 512, 7, "b.png"), "missing.png"]
    manifest = Manifest.of(tmp_path, names)
    before = {"t.csv": picture_sums(manifest)}
    assert before == {"t.csv": {"pictures": 2, "bytes": 10}}
    assert changed_pictures(before, {"t.csv": picture_sums(manifest)}) == []
    hashed = {"t.csv": picture_sums(Manifest.of(tmp_path, names[:2]), hashed=True)}
    (tmp_path / "a.png").write_bytes(b"124")  # as large, so that only the hash tells
    again = Manifest.of(tmp_path, names[:2])
    (sentence,) = changed_pictures(hashed, {"t.csv": picture_sums(again, hashed=True)})
    assert sentence.startswith("t.csv: sha256 were ")
    assert changed_pictures(hashed, {"t.csv": picture_sums(again)}) == []
    (tmp_path / "missing.png").write_bytes(b"1")
    assert changed_pictures(before, {"t.csv": picture_sums(manifest)}) == [
        "t.csv: pictures were 2 and are 3",
        "t.csv: bytes were 10 and are 11",
    ]
    assert changed_pictures({}, before) == []
