"""What is there more than once: plates and images in several splits, images labelled twice, copies and near copies."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from alpr.data.fingerprints import bits_apart, join, members, near_duplicates
from alpr.data.photographs import SAME_PLACE
from alpr.doctor.findings import DROP, Finding, finding
from alpr.doctor.images import ImageFacts
from alpr.doctor.table import DoctorTable
from alpr.plates.geometry import box_iou, corner_box, plate_height
from alpr.plates.identity import identity

SAME_CORNERS = 0.15
"""Corners nearer than this share of the plate's height are the same label."""

OTHER_TEXT_BITS = 2
"""Images whose plates have different texts are near duplicates only up to this many bits of their hashes."""


def split_findings(table: DoctorTable, facts: dict[str, ImageFacts] | None = None) -> list[Finding]:
    """Leaks between splits and repeated rows; exact and near copies of images where they were opened."""
    facts = facts or {}
    content = {path: fact.sha256 for path, fact in facts.items() if fact.sha256}
    same = [content.get(path, path) or None for path in table.paths]
    found = _leaked_texts(table)
    for rows in _groups(same):
        found += _leak(table, rows, "leak-image", "The image or an exact copy")
        found += _labelled_again(table, rows)
        found += _copies(table, rows)
    for rows in _groups(path or None for path in table.paths):
        found += _contradicted(table, rows)
        found += _in_tables(table, rows)
    return found + _same_names(table, same) + _near(table, facts)


def _groups(keys: Iterable[Hashable]) -> list[list[int]]:
    """The rows that share a key, where several do; None is no key."""
    rows: defaultdict[Hashable, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        if key is not None:
            rows[key].append(i)
    return [group for group in rows.values() if len(group) > 1]


def _leaked_texts(table: DoctorTable) -> list[Finding]:
    """Plates in several splits; those of two countries are two plates, a row without a country may be any of them."""
    keys = [identity(text) or None if table.is_plate(i) else None for i, text in enumerate(table.text)]
    found = []
    for rows in _groups(keys):
        countries = {table.country[i] for i in rows}
        parts = [rows]
        if "" not in countries:
            parts = [[i for i in rows if table.country[i] == country] for country in sorted(countries)]
        for some in parts:
            texts = " or ".join(map(repr, dict.fromkeys(table.text[i].strip() for i in some)))
            found += _leak(table, some, "leak-text", f"The plate {texts}")
    return found


def _leak(table: DoctorTable, rows: Sequence[int], rule: str, what: str) -> list[Finding]:
    """One finding for rows in more than one split, at the first row of the smallest share."""
    splits = Counter(table.split[i] for i in rows)
    if len(splits) < 2:
        return []
    few = min(splits, key=lambda s: (splits[s], s))
    first = next(i for i in rows if table.split[i] == few)
    other = next(i for i in rows if table.split[i] != few)
    shares = ", ".join(f"{split or 'no split'} {count}" for split, count in sorted(splits.items()))
    return [finding(table, first, rule, f"{what} is in {len(splits)} splits: {shares} rows.", other=other)]


def _labelled_again(table: DoctorTable, rows: Sequence[int]) -> list[Finding]:
    """Rows of one image that mean the same plate as an earlier one."""
    found: list[Finding] = []
    first: list[int] = []
    for i in rows:
        twin = next((j for j in first if _same_place(table, i, j)), None) if table.is_plate(i) else None
        if twin is None:
            first.append(i)
            continue
        difference = _difference(table, i, twin)
        here = f"{table.where(i)} and {table.where(twin)}"
        if difference:
            found.append(finding(table, i, "labelled-twice", f"{here}: {difference}.", other=twin))
        elif table.paths[i] == table.paths[twin]:
            mending = (
                DROP if table.split[i] == table.split[twin] and table.file_index[i] == table.file_index[twin] else ()
            )
            found.append(finding(table, i, "duplicate-row", f"{here} label the same plate.", mending, other=twin))
    return found


def _same_place(table: DoctorTable, a: int, b: int) -> bool:
    if not table.is_plate(b):
        return False
    one, another = table.quad(a), table.quad(b)
    if one is None or another is None:
        return one is None and another is None and bool(table.text[a].strip()) == bool(table.text[b].strip())
    return bool(box_iou(corner_box(one)[None], corner_box(another)[None])[0, 0] > SAME_PLACE)


def _difference(table: DoctorTable, a: int, b: int) -> str:
    texts = table.text[a].strip(), table.text[b].strip()
    if texts[0] and texts[1] and identity(texts[0]) != identity(texts[1]):
        return f"the texts {texts[0]!r} and {texts[1]!r}"
    one, another = table.quad(a), table.quad(b)
    if one is None or another is None:
        return ""
    apart = np.linalg.norm(one - another, axis=1).mean() / max(1e-6, float(plate_height(one)))
    return f"the places differ by {apart:.2f} plate heights" if apart > SAME_CORNERS else ""


def _contradicted(table: DoctorTable, rows: Sequence[int]) -> list[Finding]:
    """Rows that call an image empty beside a row that labels a plate in it."""
    empty = [i for i in rows if table.is_plate(i) and not table.text[i].strip() and table.quad(i) is None]
    plates = [i for i in rows if table.is_plate(i) and i not in empty]
    return [
        finding(
            table, i, "empty-contradicted", f"{table.where(plates[0])} labels a plate in this image.", other=plates[0]
        )
        for i in empty
        if plates
    ]


def _in_tables(table: DoctorTable, rows: Sequence[int]) -> list[Finding]:
    """One finding for an image that several tables list, or one table by several spellings of its path."""
    spelt = {(int(table.file_index[i]), table.image[i]): i for i in reversed(rows)}
    first, *others = sorted(spelt.values())
    if not others:
        return []
    names = ", ".join(f"{table.where(i)} as {table.image[i]}" for i in sorted(spelt.values())[:4])
    message = f"The image is labelled by {names}. Its plates are taken together, one of each place."
    return [finding(table, others[0], "image-in-tables", message, other=first)]


def _copies(table: DoctorTable, rows: Sequence[int]) -> list[Finding]:
    """One finding for every further path of one content."""
    first: dict[str, int] = {}
    for i in rows:
        first.setdefault(table.paths[i], i)
    original, *others = first.values()
    return [
        finding(table, i, "duplicate-image", f"An exact copy of {table.image[original]}.", other=original)
        for i in others
    ]


def _same_names(table: DoctorTable, same: Sequence[str | None]) -> list[Finding]:
    """Files of one name and label in several folders: one photograph listed in several subsets."""
    keys = [
        (os.path.basename(path), identity(table.text[i]), table.numbers[i].tobytes()) if _labelled(table, i) else None  # noqa: PTH119
        for i, path in enumerate(table.paths)
    ]
    found = []
    for rows in _groups(keys):
        seen = {same[rows[0]]: rows[0]}
        for i in rows[1:]:
            if same[i] not in seen:
                message = (
                    f"{table.where(i)} has the file name and the label of {table.where(rows[0])}, in another folder."
                )
                found.append(finding(table, i, "duplicate-name", message, other=rows[0]))
                seen[same[i]] = i
    return found


def _labelled(table: DoctorTable, index: int) -> bool:
    return bool(table.paths[index] and table.text[index].strip()) and table.quad(index) is not None


def _near(table: DoctorTable, facts: dict[str, ImageFacts]) -> list[Finding]:
    """Near copies that are no exact ones: one finding per image of a group, against the nearest earlier one."""
    first: dict[str, int] = {}
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for i, path in enumerate(table.paths):
        content = facts[path].sha256 if path in facts else ""
        if content:
            first.setdefault(content, i)
            splits[content].add(table.split[i])
    rows = [i for i in first.values() if facts[table.paths[i]].perceptual is not None]
    hashes = np.array([facts[table.paths[i]].perceptual for i in rows], np.uint64)
    found = []
    for group in _alike(table, rows, hashes):
        for k, member in enumerate(group[1:], start=1):
            apart = bits_apart(hashes[group[:k]], hashes[member])
            nearest = group[int(apart.argmin())]
            i, other = rows[member], rows[nearest]
            message = f"{int(apart.min())} of 64 bits from {table.image[other]}; {len(group)} images are alike."
            texts = table.text[i].strip(), table.text[other].strip()
            if texts[0] and texts[1] and identity(texts[0]) != identity(texts[1]):
                message += f" One is labelled {texts[0]!r}, the other {texts[1]!r}."
            found.append(finding(table, i, "near-duplicate", message, other=other, score=-float(apart.min())))
        contents = [facts[table.paths[rows[m]]].sha256 for m in group]
        for a, b in combinations(range(len(group)), 2):
            if splits[contents[a]] != splits[contents[b]]:
                found += _leak(table, [rows[group[a]], rows[group[b]]], "leak-near", "A near duplicate")
                break
    return found


def _alike(table: DoctorTable, rows: Sequence[int], hashes: npt.NDArray[np.uint64]) -> Iterator[list[int]]:
    """Groups of entries with near hashes. Cars and plates of one kind look alike: other texts ask for nearer hashes."""
    for group in members(near_duplicates(hashes)) if len(hashes) else []:
        first: dict[str, int] = {}
        alike = [(first.setdefault(identity(table.text[rows[m]]), k), k) for k, m in enumerate(group)]
        a, b = np.array(alike, np.int64).T
        nearer = join(near_duplicates(hashes[group], OTHER_TEXT_BITS), a, b)
        yield from ([group[k] for k in some] for some in members(nearer))
