"""Which images are the same: a hash of the file, a perceptual hash of the picture, and groups of near duplicates."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from alpr.images.header import refusal
from alpr.images.prepare import UnreadableImage
from alpr.images.tar_members import read_bytes
from alpr.plates.records import ImageArray

NEAR_BITS = 4
"""Photographs whose hashes differ in at most this many of 64 bits are taken for the same picture.

Measured on CCPD2020: copies at half the size, at JPEG quality 50 or 20 % darker all lie within 4 bits, 95 % of them
within 2. Of 1,294 scenes one pair is the same photograph (0 bits); at 4 bits two pairs of like cars join it, at 6 bits
thirteen groups. In sets of many thousand like scenes 2 is the better choice.
"""
_SIDE = 32
_BANDS = 4
_PAIRS_AT_ONCE = 1 << 21

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

_LOWEST = sorted(((u, v) for u in range(11) for v in range(11) if u + v), key=lambda c: (c[0] + c[1], c))[:64]
_ROWS, _COLUMNS = np.array(_LOWEST).T


class Fingerprint(NamedTuple):
    """What an image file is known by: the SHA-256 of its bytes, and 64 bits that follow the picture."""

    sha256: str
    perceptual: int


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """The fingerprint of an image file, at an eighth of its size where it is large: about ten times faster.

    Raises:
        UnreadableImage: a file that is missing, empty, or no image that OpenCV can decode.
    """
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UnreadableImage(f"{path} cannot be read: {error.strerror or error}.") from error
    return Fingerprint(hashlib.sha256(data).hexdigest(), perceptual_hash(_small_grey(data, str(path))))


def try_fingerprint(path: str) -> Fingerprint | str:
    """The fingerprint of an image file, or the sentence that says why there is none; for many images at once."""
    try:
        return fingerprint(path)
    except UnreadableImage as error:
        return str(error)


def _small_grey(data: bytes, name: str) -> ImageArray:
    if not data:
        raise UnreadableImage(f"{name} is empty.")
    reason = refusal(data)
    if reason is not None:
        raise UnreadableImage(f"{name} {reason}")
    encoded = np.frombuffer(data, np.uint8)
    try:
        grey = cv2.imdecode(encoded, cv2.IMREAD_REDUCED_GRAYSCALE_8)
        if grey is not None and min(grey.shape) < _SIDE:
            grey = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise UnreadableImage(f"{name} cannot be decoded: {error.err}.") from error
    if grey is None:
        raise UnreadableImage(f"{name} is no image that OpenCV can decode (it starts with {data[:8]!r}).")
    return np.asarray(grey, dtype=np.uint8)


def perceptual_hash(grey: ImageArray) -> int:
    """64 bits of a grey picture (H, W) uint8: which of its 64 lowest frequencies lie above their median.

    Scale, compression, brightness and contrast change few bits; a crop or a turn changes many. The frequencies are
    those of the 32x32 cosine transform without the mean (after the pHash of Zauner, 2010).
    """
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    frequencies = cv2.dct(small)[_ROWS, _COLUMNS]
    return int.from_bytes(np.packbits(frequencies > np.median(frequencies)).tobytes(), "big")


def bits_apart(a: Hashes, b: Hashes) -> npt.NDArray[np.uint8]:
    """The Hamming distance of hashes, entry by entry, 0..64; shapes broadcast."""
    # Counting within ever wider fields; numpy.bitwise_count came only with NumPy 2.
    x = np.asarray(a, np.uint64) ^ np.asarray(b, np.uint64)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    with np.errstate(over="ignore"):
        return np.asarray((x * np.uint64(0x0101010101010101)) >> np.uint64(56), dtype=np.uint8)


def near_duplicates(hashes: npt.ArrayLike, distance: int = NEAR_BITS) -> Indices:
    """The group of every hash: (N,) -> (N,), each group named by its first member.

    Hashes at most `distance` bits apart are in one group, and so are those that a chain of such pairs joins.
    Only pairs that are close in one of four 16-bit bands are compared, which misses none (multi-index hashing; Norouzi,
    Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012).

    Raises:
        ValueError: a distance below 0 or above 15, where nearly everything would be compared with everything.
    """
    if not 0 <= distance < 4 * _BANDS:
        raise ValueError(f"A distance of {distance} bits; expected 0 to {4 * _BANDS - 1} of 64.")
    values, first, position = np.unique(np.asarray(hashes, np.uint64), return_index=True, return_inverse=True)
    joined = np.arange(len(values))
    if distance:
        for band in range(_BANDS):
            for a, b in _candidates(_band(values, band), distance // _BANDS):
                apart = joined[a] != joined[b]
                a, b = a[apart], b[apart]
                near = bits_apart(values[a], values[b]) <= distance
                joined = join(joined, a[near], b[near])
    named = np.full(len(values), len(position), np.int64)
    np.minimum.at(named, joined, first)
    return np.asarray(named[joined][position.reshape(-1)], np.int64)


def join(groups: Indices, a: Indices, b: Indices) -> Indices:
    """Groups (N,) after each pair of entries a[k], b[k] was joined; a group is named by its smallest name so far.

    A name is the index of an entry that bears it.
    """
    groups = groups.copy()
    while True:
        low = np.minimum(groups[a], groups[b])
        high = np.maximum(groups[a], groups[b])
        if (low == high).all():
            return groups
        np.minimum.at(groups, high, low)
        while (groups[groups] != groups).any():
            groups = groups[groups]


def members(groups: Indices, least: int = 2) -> list[list[int]]:
    """The entries of every group that has at least so many, in the order of their first entries."""
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    chosen = counts >= least
    listed = [order[s : s + c].tolist() for s, c in zip(starts[chosen], counts[chosen], strict=True)]
    return sorted(listed)


def _band(values: Hashes, band: int) -> Indices:
    """Every fourth bit, 16 in all: neighbouring frequencies are alike, so that a run of bits would tell less."""
    bits = np.zeros(len(values), np.int64)
    for i in range(16):
        bits |= ((values >> np.uint64(_BANDS * i + band)) & np.uint64(1)).astype(np.int64) << i
    return bits


def _candidates(keys: Indices, radius: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of entries whose 16-bit keys differ in at most `radius` bits, each once, some at a time."""
    order = np.argsort(keys, kind="stable")
    counts = np.bincount(keys, minlength=1 << 16)
    starts = np.cumsum(counts) - counts
    for mask in (sum(1 << b for b in bits) for r in range(radius + 1) for bits in combinations(range(16), r)):
        theirs = keys ^ mask
        # Of two different keys the smaller looks for the larger; of equal ones each entry for those behind it.
        wanted = np.where(theirs > keys, counts[theirs], 0)
        from_here = starts[theirs]
        if mask == 0:
            place = np.empty(len(keys), np.int64)
            place[order] = np.arange(len(keys))
            from_here = place + 1
            wanted = starts[keys] + counts[keys] - from_here
        yield from _pairs(order, from_here, wanted)


def _pairs(order: Indices, from_here: Indices, wanted: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Entry i with order[from_here[i]], and so on, wanted[i] of them."""
    asking = np.flatnonzero(wanted)
    ends = np.cumsum(wanted[asking])
    begin = 0
    while begin < len(asking):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
        some = asking[begin:end]
        n = wanted[some]
        offset = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        yield np.repeat(some, n), order[np.repeat(from_here[some], n) + offset]
        begin = end
