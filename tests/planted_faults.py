"""A clean fabricated data set, and 200 faults of every kind planted into a copy of it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from alpr.data.columns import BOX_COLUMNS, COLUMNS, CORNER_COLUMNS
from alpr.images.prepare import read_image
from alpr.plates.country import CountryPack

SIZE = (120, 160)
FULL_WIDTH = str.maketrans(
    "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", "０１２３４５６７８９ＡＢＣＤＥＦＧＨＪＫＬＭＮＰＱＲＳＴＵＶＷＸＹＺ"
)
LOOKALIKE = {"A": "А", "B": "В", "C": "С", "E": "Е", "H": "Н", "K": "К", "M": "М", "P": "Р", "T": "Т", "X": "Х"}


class Planted(NamedTuple):
    """A fault: the rule that must find it, at one of these row numbers."""

    rule: str
    rows: frozenset[int]


Row = dict[str, str]


@dataclass
class Copy:
    """A table that is being spoilt. Entry i of `rows` is row i + 2 of the file."""

    folder: Path
    rows: list[Row]
    rng: np.random.Generator
    free: list[int]
    planted: list[Planted] = field(default_factory=list)

    def take(self, fits: Callable[[Row], bool] = lambda row: True) -> int:
        """A row without a fault so far that fits; the next fault gets another."""
        return self.free.pop(next(k for k, i in enumerate(self.free) if fits(self.rows[i])))

    def spoil(self, rule: str, **cells: str) -> None:
        """Plants new cells into a fresh row."""
        i = self.take()
        self.rows[i].update(cells)
        self.planted.append(Planted(rule, frozenset({i + 2})))

    def append(self, rule: str, like: int, **cells: str) -> None:
        """Plants a further row that is like another but for some cells."""
        self.rows.append({**self.rows[like], **cells})
        self.planted.append(Planted(rule, frozenset({like + 2, len(self.rows) + 1})))


def corners_of(row: Row) -> np.ndarray:
    return np.array([float(row[c]) for c in CORNER_COLUMNS]).reshape(4, 2)


def place(corners: np.ndarray, box: np.ndarray | None = None) -> Row:
    """The cells of corners and of their hull, or of another box."""
    hull = np.concatenate([corners.min(axis=0), corners.max(axis=0)]) if box is None else box
    numbers = [*hull.tolist(), *corners.ravel().tolist()]
    return {name: f"{v:g}" for name, v in zip((*BOX_COLUMNS, *CORNER_COLUMNS), numbers, strict=True)}


def fabricate(folder: Path, pack: CountryPack, n: int = 460, seed: int = 5) -> list[Row]:
    """Small pictures with one plate each, all layouts and symbols, and nothing wrong; writes `clean.csv`."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    patterns = list(dict.fromkeys(layout.forms[0] for layout in pack.layouts))
    rows: list[Row] = []
    texts: set[str] = set()
    for i in range(n):
        text = ""
        while not text or text in texts:
            pattern = patterns[i // 2 % len(patterns) if i % 2 else 0]  # half of them the usual kind
            places = [pack.classes[key] for key in pattern]
            text = "".join(
                symbols[(i // 4 if k == 0 else rng.integers(99)) % len(symbols)] for k, symbols in enumerate(places)
            )
        texts.add(text)
        x, y, tilt = rng.uniform(20, 70), rng.uniform(30, 80), rng.uniform(-4, 4)
        corners = np.array([[x, y], [x + 60, y + tilt], [x + 60, y + 19 + tilt], [x, y + 19]]).round(1)
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.fillConvexPoly(picture, corners.round().astype(np.int32), (180, 90, 40))
        cv2.imwrite(str(folder / "images" / f"{i:04d}.jpg"), picture)
        row = dict.fromkeys(COLUMNS, "")
        split = "val" if i % 5 == 0 else "train"
        rows.append(
            row | {"image": f"images/{i:04d}.jpg", "text": text, "country": "CN", "split": split} | place(corners)
        )
    write(folder / "clean.csv", rows)
    return rows


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows([[*row.values()] for row in rows])


def plant(folder: Path, rows: list[Row], seed: int = 9) -> list[Planted]:
    """Spoils a fabricated set in place: 200 faults by turns of every kind; writes `spoilt.csv`."""
    rng = np.random.default_rng(seed)
    copy = Copy(folder, [dict(row) for row in rows], rng, rng.permutation(len(rows)).tolist())
    kinds = [*CELLS, *FILES, *REPEATS]
    for k in range(200):
        kinds[k % len(kinds)](copy)
    write(folder / "spoilt.csv", copy.rows)
    return copy.planted


def _moved(rule: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Copy], None]:
    def kind(copy: Copy) -> None:
        i = copy.take()
        copy.rows[i].update(place(change(corners_of(copy.rows[i]))))
        copy.planted.append(Planted(rule, frozenset({i + 2})))

    return kind


def _boxed(rule: str, box: Callable[[np.ndarray], list[float]], corners: bool = True) -> Callable[[Copy], None]:
    def kind(copy: Copy) -> None:
        i = copy.take()
        row = copy.rows[i]
        row.update(place(corners_of(row), np.array(box(corners_of(row)))))
        if not corners:
            row.update(dict.fromkeys(CORNER_COLUMNS, ""))
        copy.planted.append(Planted(rule, frozenset({i + 2})))

    return kind


def _text(
    rule: str, change: Callable[[str], str], fits: Callable[[str], bool] = lambda t: True
) -> Callable[[Copy], None]:
    def kind(copy: Copy) -> None:
        i = copy.take(lambda row: fits(row["text"]))
        copy.rows[i]["text"] = change(copy.rows[i]["text"])
        copy.planted.append(Planted(rule, frozenset({i + 2})))

    return kind


def _lookalike(text: str) -> str:
    letter = next(c for c in text if c in LOOKALIKE)
    return text.replace(letter, LOOKALIKE[letter], 1)


CELLS: tuple[Callable[[Copy], None], ...] = (
    lambda copy: copy.spoil("number-invalid", x1="nan"),
    lambda copy: copy.spoil("number-invalid", br_y="twelve"),
    lambda copy: copy.spoil("row-rejected", tl_x=""),
    lambda copy: copy.spoil("row-rejected", image=""),
    _moved("corners-crossed", lambda c: c[[1, 0, 2, 3]]),
    _moved("corners-crossed", lambda c: np.stack([c[0], c[1], (c[0] + c[1]) / 2, c[3]])),
    _moved("corners-anticlockwise", lambda c: c[[0, 3, 2, 1]]),
    _moved("corners-start", lambda c: np.roll(c, 2, axis=0)),
    _moved("corners-start", lambda c: np.roll(c, 1, axis=0)),
    _moved("corners-outside", lambda c: c + np.array([120 - c[:, 0].min(), 0])),
    _moved("plate-small", lambda c: (c - c[0]) * 0.25 + c[0]),
    _boxed("box-not-hull", lambda c: [*(c.min(axis=0) - 7), *c.max(axis=0)]),
    _boxed("box-empty", lambda c: [*c.min(axis=0), *c.min(axis=0)]),
    _boxed("box-outside", lambda c: [-9, *c.min(axis=0)[1:], *c.max(axis=0)], corners=False),
    _boxed("box-whole-image", lambda c: [0, 0, SIZE[1], SIZE[0]], corners=False),
    _boxed("plate-aspect", lambda c: [5, 50, 155, 60], corners=False),
    _text("text-form", str.lower, lambda t: t.upper() != t.lower()),
    _text("text-form", lambda t: t.translate(FULL_WIDTH)),
    _text("text-form", lambda t: f"{t[:2]}·{t[2:]}"),
    _text("text-form", lambda t: f"{t[:2]} {t[2:]}"),
    _text("text-lookalike", _lookalike, lambda t: any(c in LOOKALIKE for c in t)),
    _text("text-confused", lambda t: t[:3] + t[3:].replace("0", "O", 1), lambda t: "0" in t[3:]),
    _text("text-confused", lambda t: t[:3] + t[3:].replace("1", "I", 1), lambda t: "1" in t[3:]),
    _text("text-alphabet", lambda t: f"{t[:3]}#{t[4:]}"),
    _text("text-length", lambda t: t[:5]),
    _text("text-grammar", lambda t: t[1:] + t[0], lambda t: "学" not in t and "警" not in t),
)  # fmt: skip


def _file(rule: str, change: Callable[[Path], object]) -> Callable[[Copy], None]:
    def kind(copy: Copy) -> None:
        i = copy.take()
        change(copy.folder / copy.rows[i]["image"])
        copy.planted.append(Planted(rule, frozenset({i + 2})))

    return kind


def _deep(copy: Copy) -> None:
    i = copy.take()
    path = copy.folder / copy.rows[i]["image"]
    deep = path.with_name(f"deep_{path.stem}.png")
    cv2.imwrite(str(deep), read_image(path).astype(np.uint16) << 8)
    copy.rows[i]["image"] = f"images/{deep.name}"
    copy.planted.append(Planted("image-16-bit", frozenset({i + 2})))


FILES: tuple[Callable[[Copy], None], ...] = (
    _file("image-unreadable", Path.unlink),
    _file("image-unreadable", lambda p: p.write_bytes(p.read_bytes()[:900])),
    _file("image-unreadable", lambda p: p.write_text("<html>not found</html>")),
    _file("image-tiny", lambda p: cv2.imwrite(str(p), np.full((1, 1, 3), 90, np.uint8))),
    _file("image-grey", lambda p: cv2.imwrite(str(p), cv2.cvtColor(read_image(p), cv2.COLOR_BGR2GRAY))),
    _file("image-blank", lambda p: cv2.imwrite(str(p), np.full((*SIZE, 3), (9, 8, 7), np.uint8))),
    _deep,
)


def _other(split: str) -> str:
    return "val" if split == "train" else "train"


def _leak_text(copy: Copy) -> None:
    i = copy.take()
    j = copy.take(lambda row: row["split"] != copy.rows[i]["split"])
    copy.rows[j]["text"] = copy.rows[i]["text"]
    copy.planted.append(Planted("leak-text", frozenset({i + 2, j + 2})))


def _leak_image(copy: Copy) -> None:
    i = copy.take()
    copy.append("leak-image", i, split=_other(copy.rows[i]["split"]))


def _copied(rule: str, other_split: bool, again: bool) -> Callable[[Copy], None]:
    """A copy of an image under another name, as it is or written again darker and with more loss."""

    def kind(copy: Copy) -> None:
        i = copy.take()
        row = copy.rows[i]
        path = copy.folder / row["image"]
        twin = path.with_name(f"twin_{path.name}")
        if again:
            cv2.imwrite(str(twin), (read_image(path) * 0.9).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 70])
        else:
            shutil.copy(path, twin)
        split = _other(row["split"]) if other_split else row["split"]
        copy.append(rule, i, image=f"images/{twin.name}", split=split)

    return kind


def _other_folder(copy: Copy) -> None:
    i = copy.take()
    path = copy.folder / copy.rows[i]["image"]
    (copy.folder / "again").mkdir(exist_ok=True)
    cv2.imwrite(str(copy.folder / "again" / path.name), read_image(path), [cv2.IMWRITE_JPEG_QUALITY, 60])
    copy.append("duplicate-name", i, image=f"again/{path.name}")


def _other_label(copy: Copy) -> None:
    i = copy.take(lambda row: len(row["text"]) == 7 and row["text"][-1] in "345")
    copy.append("labelled-twice", i, text=copy.rows[i]["text"][:-1] + "6")


def _other_corners(copy: Copy) -> None:
    i = copy.take()
    copy.append("labelled-twice", i, **place(corners_of(copy.rows[i]) + np.array([9, 3])))


REPEATS: tuple[Callable[[Copy], None], ...] = (
    _leak_text,
    _leak_image,
    _copied("leak-image", other_split=True, again=False),
    _copied("leak-near", other_split=True, again=True),
    _copied("duplicate-image", other_split=False, again=False),
    _copied("near-duplicate", other_split=False, again=True),
    lambda copy: copy.append("duplicate-row", copy.take()),
    _other_folder,
    _other_label,
    _other_corners,
)
