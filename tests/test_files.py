"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from alpr.files import NotWritten, whole_file, write_atomically


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    write_atomically(path, [b"old"])
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), whole_file(path) as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["weights.bin"]


def test_a_block_that_ends_gives_its_file_the_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    with whole_file(path) as temporary:
        assert temporary.parent == tmp_path and not path.exists()
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == ["weights.bin"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match=r"there.weights\.bin was not written: No such file or directory"):
        write_atomically(tmp_path / "there" / "weights.bin", [b"x"])
