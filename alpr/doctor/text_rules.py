"""Texts: their form, their alphabet, their grammar, and O and 0 mixed up; with a country pack, or by the set itself."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import product
from statistics import median
from typing import NamedTuple

from alpr.doctor.findings import Finding, finding
from alpr.doctor.table import DoctorTable
from alpr.plates.country import CountryPack
from alpr.plates.identity import formed, invisible, latin
from alpr.plates.layout import Layout

PAIRS = (("O", "0"), ("I", "1"))
SWAPS = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
RARE = 20
"""A layout with fewer examples than this is rare."""
_SURE = 10
"""So many times more frequent a form must be to count as the right one; and so often it must occur."""


class Verdict(NamedTuple):
    """What is wrong with one text: rules with sentences, and the text that mending would write."""

    faults: tuple[tuple[str, str], ...]
    mended: str


def text_findings(table: DoctorTable, packs: Mapping[str, CountryPack], override: str | None = None) -> list[Finding]:
    """What is wrong with the texts.

    Args:
        packs: by country code.
        override: the code of the pack to take for every row.
    """
    found = []
    verdicts: dict[tuple[str, str], Verdict] = {}
    plain: defaultdict[str, list[int]] = defaultdict(list)  # rows of countries without a pack
    known: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for i, text in enumerate(table.text):
        if not text.strip() or not table.is_plate(i):
            continue
        country = override or table.country[i]
        pack = packs.get(country)
        verdict = verdicts.get((country, text))
        if verdict is None:
            verdict = verdicts[country, text] = judge(text, pack)
        if pack is None:
            plain[country].append(i)
        else:
            known[country][verdict.mended] += 1
        mending = (("text", verdict.mended),) if verdict.mended != text else ()
        found += [finding(table, i, rule, message, mending) for rule, message in verdict.faults]
    for country, rows in sorted(plain.items()):
        name = f"country {country}" if country else "rows without a country"
        message = f"No country pack for {name} ({len(rows):,} texts): alphabet and grammar were not checked."
        found.append(Finding("country-unknown", message))
        found += _mixed(table, country, rows)
    for country, texts in sorted(known.items()):
        found += [Finding("kind-missing", f"{country}: {message}") for message in _missing(packs[country], texts)]
    return found


def judge(text: str, pack: CountryPack | None) -> Verdict:
    """What is wrong with a text, by its country's pack or, without one, by what holds for all plates."""
    faults: list[tuple[str, str]] = []
    form = formed(text, pack.alphabet if pack else "")
    if form != text.strip():
        unseen = sorted({unicodedata.name(c, f"U+{ord(c):04X}").lower() for c in text if invisible(c)})
        holding = f", which holds marks that nobody sees ({', '.join(unseen)})," if unseen else ""
        faults.append(("text-form", f"The text {text!r}{holding} is written {form!r} by the table's convention."))
    plain = latin(form, pack.alphabet if pack else None)
    if plain != form:
        strange = ", ".join(f"{c!r} ({unicodedata.name(c, '?').title()})" for c in form if c not in plain)
        faults.append(("text-lookalike", f"The text {text!r} holds {strange}."))
    if pack is None or pack.layout_of(plain):
        return Verdict(tuple(faults), plain if faults else text)
    swapped = [s for s in swaps_of(plain) if pack.layout_of(s)]
    if len(swapped) == 1:
        at = next(i for i, (a, b) in enumerate(zip(plain, swapped[0], strict=True)) if a != b)
        message = f"The text {plain!r} has {plain[at]!r} at position {at + 1}, where only {swapped[0][at]!r} can stand."
        return Verdict((*faults, ("text-confused", message)), swapped[0])
    unknown = sorted(set(plain) - set(pack.alphabet))
    lengths = sorted({len(form) for layout in pack.layouts for form in layout.forms})
    if unknown:
        strange = ", ".join(map(repr, unknown))
        faults.append(("text-alphabet", f"The text {text!r} holds {strange}, which {pack.name} does not print."))
    if len(plain) not in lengths:
        expected = " or ".join(map(str, lengths))
        faults.append(("text-length", f"The text {text!r} has {len(plain)} characters; {pack.name} has {expected}."))
    elif not unknown:
        patterns = ", ".join(
            dict.fromkeys(x.pattern for x in pack.layouts if any(len(form) == len(plain) for form in x.forms))
        )
        faults.append(("text-grammar", f"The text {text!r} fits none of {pack.name}'s layouts {patterns}."))
    return Verdict(tuple(faults), plain if any(rule in ("text-form", "text-lookalike") for rule, _ in faults) else text)


def swaps_of(text: str, most: int = 8) -> Iterator[str]:
    """The texts that differ from this one in O and 0, I and 1, in 1 to `most` places."""
    at = [i for i, c in enumerate(text) if c in SWAPS]
    if 0 < len(at) <= 8:
        for choice in product((False, True), repeat=len(at)):
            if 0 < sum(choice) <= most:
                swapped = {i for i, chosen in zip(at, choice, strict=True) if chosen}
                yield "".join(SWAPS[c] if i in swapped else c for i, c in enumerate(text))


def form_of(text: str) -> str:
    """A text's form: A for a letter, 9 for a digit."""
    return "".join("9" if c.isdigit() else "A" if c.isalpha() else c for c in text)


def _mixed(table: DoctorTable, country: str, rows: list[int]) -> list[Finding]:
    """Rows whose form a swap of O and 0, or I and 1, makes a frequent one; the forms are those of all other texts.

    A pair whose letter and digit both occur as often as others do is not mixed up, and not looked at.
    """
    texts = [formed(table.text[i], "") for i in rows]
    counts = Counter("".join(texts))
    letters, digits = _usual(counts)
    suspect = {c for a, b in PAIRS if counts[a] <= letters / 2 or counts[b] <= digits / 2 for c in (a, b)}
    forms = Counter(form_of(text) for text in texts if not set(text) & SWAPS.keys())
    spellings = set(texts)
    found = []
    for i, text in zip(rows, texts, strict=True):
        swaps = [s for s in swaps_of(text, most=2) if all(a == b or a in suspect for a, b in zip(text, s, strict=True))]
        best = max(swaps, key=lambda s: forms[form_of(s)], default=text)
        mine, theirs = forms[form_of(text)], forms[form_of(best)]
        if theirs >= _SURE * max(1, mine):
            message = f"The text {text!r} has the form {form_of(text)} ({mine} sure examples); "
            found.append(finding(table, i, "text-confused", f"{message}{best!r} has {form_of(best)} ({theirs})."))
            continue
        twin = next((s for s in swaps if s in spellings), None)
        if twin is not None:
            found.append(finding(table, i, "text-confused", f"The set holds both {text!r} and {twin!r}."))
    return found + _surplus(country, texts)


def _usual(counts: Counter[str]) -> tuple[float, float]:
    """How often a letter and a digit stand that cannot be confused."""
    return median(counts[c] for c in "ABCDEFGHJKLMNPRSTUVWXYZ"), median(counts[c] for c in "23456789")


def _surplus(country: str, texts: list[str]) -> list[Finding]:
    """O much rarer than other letters while 0 is more frequent than other digits by about as much; I and 1 likewise."""
    counts = Counter("".join(texts))
    found = []
    letters, digits = _usual(counts)
    for letter, digit in PAIRS:
        lacking, surplus = letters - counts[letter], counts[digit] - digits
        for few, many, missing, more in ((letter, digit, lacking, surplus), (digit, letter, -surplus, -lacking)):
            usual = letters if few == letter else digits
            if usual >= 20 and missing > 0.5 * usual and more > 0.5 * missing:
                message = (
                    f"{country or 'No country'}: {few} stands {counts[few]} times where its like stand {usual:.0f} "
                )
                message += f"times, and {many} {counts[many]} times: some {many} are {few}, map one to the other."
                found.append(Finding("symbols-mixed", message))
    return found


def _grammar(layout: Layout) -> str:
    """The pattern without its rows: a text does not tell whether it stood in one or two."""
    return layout.pattern.replace("/", "")


def _missing(pack: CountryPack, texts: Counter[str]) -> Iterator[str]:
    """Layouts with few examples, and the symbols of a place that never stand there."""
    patterns = Counter[str]()
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for text, count in texts.items():
        layout = pack.layout_of(text)
        if layout is not None:
            patterns[_grammar(layout)] += count
            for key, character in zip(layout.form_of(text, pack.classes) or "", text, strict=True):
                seen[key].add(character)
    for pattern in dict.fromkeys(_grammar(layout) for layout in pack.layouts):
        if patterns[pattern] < RARE:
            names = ", ".join(layout.name for layout in pack.layouts if _grammar(layout) == pattern)
            yield f"layout {pattern} ({names}) has {patterns[pattern] or 'no'} examples."
    for key in dict.fromkeys("".join(patterns).replace("?", "")):
        lacking = [c for c in pack.classes[key] if c not in seen[key]]
        if lacking:
            of = f"{len(lacking)} of {len(pack.classes[key])} symbols of class {key}"
            yield f"{of} have no example: {''.join(lacking)}"
