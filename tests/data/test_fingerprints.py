"""Perceptual hashes and groups of near duplicates."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from oracles import near_groups

from alpr.data import fingerprints
from alpr.data.fingerprints import bits_apart, fingerprint, members, near_duplicates, perceptual_hash
from alpr.images.prepare import UnreadableImage


def picture(seed: int, size: tuple[int, int] = (360, 480)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def test_the_same_picture_keeps_its_hash_and_another_does_not(tmp_path: Path) -> None:
    image = picture(0)
    changed = {
        "quality": (image, [cv2.IMWRITE_JPEG_QUALITY, 40]),
        "scale": (cv2.resize(image, (300, 225), interpolation=cv2.INTER_AREA), []),
        "light": (cv2.convertScaleAbs(image, alpha=0.8, beta=20), []),
    }
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    first = fingerprint(tmp_path / "a.jpg")
    for name, (other, options) in changed.items():
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), other, options)
        found = fingerprint(tmp_path / f"{name}.jpg")
        assert (first.perceptual ^ found.perceptual).bit_count() <= 4, name
        assert found.sha256 != first.sha256
    for seed in range(1, 40):
        cv2.imwrite(str(tmp_path / "b.jpg"), picture(seed))
        assert (first.perceptual ^ fingerprint(tmp_path / "b.jpg").perceptual).bit_count() > 12
    # A crop of 96x32 would be 12x4 at an eighth: it is decoded whole.
    cv2.imwrite(str(tmp_path / "small.png"), picture(0, (32, 96)))
    grey = cv2.imread(str(tmp_path / "small.png"), cv2.IMREAD_GRAYSCALE)
    assert fingerprint(tmp_path / "small.png").perceptual == perceptual_hash(grey)


def test_a_file_without_a_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    for name, says in (("empty.jpg", "is empty"), ("text.jpg", "no image"), ("none.jpg", "cannot be read")):
        with pytest.raises(UnreadableImage, match=f"{name} .*{says}"):
            fingerprint(tmp_path / name)


def test_distances_are_those_of_counted_bits() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 2**64, (2, 500), dtype=np.uint64)
    assert bits_apart(a, b).tolist() == [(x ^ y).bit_count() for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert bits_apart(np.uint64(0), np.uint64(2**64 - 1)) == 64


def clustered(n: int, seed: int) -> np.ndarray:
    """Hashes of which many are a few bits from another, some equal, in chains."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**64, n, dtype=np.uint64)
    for i in range(1, n):
        if rng.random() < 0.6:
            bits = rng.choice(64, rng.integers(0, 12), replace=False).tolist()
            values[i] = int(values[rng.integers(0, i)]) ^ sum(1 << b for b in bits)
    return values


@pytest.mark.parametrize("distance", [0, 1, 3, 4, 6, 7, 8, 11])
def test_groups_are_those_of_comparing_all_with_all(distance: int) -> None:
    for seed in range(3):
        hashes = clustered(250, seed)
        groups = near_duplicates(hashes, distance)
        assert groups.tolist() == near_groups(hashes.tolist(), distance)
    assert len(members(groups)) > 3 and all(len({groups[i] for i in m}) == 1 for m in members(groups))


def test_no_hash_and_a_distance_that_compares_everything() -> None:
    assert near_duplicates(np.empty(0, np.uint64)).tolist() == []
    with pytest.raises(ValueError, match="A distance of 16 bits; expected 0 to 15"):
        near_duplicates([1, 2], 16)


def test_of_a_hundred_thousand_hashes_few_pairs_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        compared.append(len(a))
        return bits_apart(a, b)

    monkeypatch.setattr(fingerprints, "bits_apart", counted)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    hashes[60_000:] = hashes[:40_000] ^ np.uint64(0b10011)
    hashes[-5_000:] = hashes[7]  # as black images have
    groups = near_duplicates(hashes, 6)
    assert 40_000 < sum(compared) < 100_000**2 / 500  # all with all would be half of the square
    assert (groups[60_000:95_000] == np.arange(35_000)).all() and (groups[-5_000:] == 7).all()
