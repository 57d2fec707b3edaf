"""Which classes of a data set are plates, by the words of their names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from enum import Enum
from typing import NamedTuple

from alpr.data.columns import ManifestError

_PLATE = re.compile(
    r"(?:(?:licen[cs]e|lic|number|num|registration|reg|car|vehicle|auto|front|rear)*plates?(?:number|no)?"
    r"|placas?|matriculas?|patentes?|chapas?|\w*kennzeichen|\w*nummernschild(?:er)?|plaques?|targ(?:a|he)"
    r"|plakas?|kenteken(?:plaat)?|tablica|\w*车牌\w*|\w*車牌\w*|\w*ナンバープレート\w*|\w*번호판\w*)"
)
_WHOLE_NAMES = {"lp", "lpr", "anpr", "alpr", "license", "licence"}
"""Names that are plates only where they stand alone."""
_NEGATIONS = {
    *("no", "not", "non", "without", "w/o", "sans", "pas", "aucune", "ohne", "kein", "keine", "keinen", "sin"),
    *("sem", "senza", "nessuna", "bez", "brak", "zonder", "geen"),
}
_BESIDE = {
    *("license", "licence", "lic", "number", "num", "no", "nr", "registration", "reg", "vehicle", "car", "auto", "kfz"),
    *(
        "truck",
        "bus",
        "motorcycle",
        "motorbike",
        "moto",
        "front",
        "rear",
        "back",
        "a",
        "the",
        "of",
        "de",
        "d",
        "do",
        "da",
    ),
    *("del", "di", "der", "la", "le", "immatriculation", "rejestracyjna", "veiculo", "vehiculo", "carro", "coche"),
    *("vehicule", "voiture", "region", "area", "box", "bbox", "class", "object", "lp", "anpr", "alpr", "detection"),
    *("white", "yellow", "blue", "green", "red", "black", "private", "commercial", "single", "double", "row", "line"),
}
"""Words beside which a plate word still means plates; with others, such as `holder`, it is not sure."""
_ABSENT = {"missing", "absent", "lacking", "plateless", "noplate", "background"}
_WITH = {"with", "mit", "con", "com", "avec", "having"}
_PARTS = re.compile(
    r"char(?:acter)?s?|letters?|digits?|symbols?|glyphs?|zeichen|buchstaben?|ziffern?|caract?eres?|letras?|digitos?|lettres?"
)
_PARTS_HAN = re.compile("字符|字母|数字|文字")
_NEGATIONS_HAN = re.compile("[无無没沒非]")
_SAYS_NOTHING = re.compile(r"|class|object|obj|item|label|region|roi|rect|box|bbox|default|instance|shape")


class Meaning(Enum):
    """What a class's name says."""

    PLATE = "plate"
    NO_PLATE = "no plate"
    UNSURE = "perhaps a plate"
    SHOWS_PLATE = "something that shows a plate, or a part of one"
    OTHER = "something else"
    NOTHING = "nothing"


def meaning(label: str) -> Meaning:
    """What a class's name says, by its whole words in a few languages; case and accents do not count.

    A plate word behind a negation is no plate, and neither are the characters of a plate, or a car with one.
    """
    words = _words(label)
    at = next((i for i, word in enumerate(words) if _PLATE.fullmatch(word)), None)
    if at is None:
        if "".join(words) in _WHOLE_NAMES:
            return Meaning.PLATE
        if set(words) & _ABSENT:
            return Meaning.NO_PLATE
        return Meaning.NOTHING if _SAYS_NOTHING.fullmatch("".join(words)) else Meaning.OTHER
    before = set(words[:at])
    if before & _NEGATIONS or set(words) & _ABSENT or _NEGATIONS_HAN.search(words[at]):
        return Meaning.NO_PLATE
    if before & _WITH or any(map(_PARTS.fullmatch, words)) or _PARTS_HAN.search(words[at]):
        return Meaning.SHOWS_PLATE
    sure = all(_PLATE.fullmatch(word) or word in _BESIDE or len(word) == 2 for word in words)  # two: a country
    return Meaning.PLATE if sure else Meaning.UNSURE


def means_plate(label: str) -> bool:
    """Whether a class's name says that it is plates."""
    return meaning(label) is Meaning.PLATE


def _words(label: str) -> list[str]:
    parted = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])", " ", label)
    decomposed = unicodedata.normalize("NFKD", parted)
    # Hangul is composed again: its letters are no accents.
    folded = unicodedata.normalize("NFC", "".join(c for c in decomposed if not _is_accent(c))).lower()
    return re.findall(r"w/o|[^\W\d_]+", folded)


def _is_accent(character: str) -> bool:
    return "\u0300" <= character <= "\u036f"


def plain(name: str) -> str:
    """A name without case, accents and all that is neither letter nor digit."""
    decomposed = unicodedata.normalize("NFKD", name)
    return re.sub(r"[\W_]+", "", "".join(c for c in decomposed if not _is_accent(c)).lower())


class Chosen(NamedTuple):
    """The classes of a data set.

    Attributes:
        plates: classes that are plates.
        showing: classes whose images show a plate that they do not place.
        notes: sentences on what was taken and what was left out.
    """

    plates: set[str]
    showing: set[str]
    notes: list[str]


def choose(found: Counter[str], named: Sequence[str], known: Collection[str], root: object) -> Chosen:
    """Which of the classes found are plates.

    Args:
        found: how many labels each class has.
        named: the classes that the user named; none to go by the names.
        known: classes that the format defines to be plates; none where it defines none.
        root: the data set, for the message.

    Raises:
        ManifestError: no class is known to be plates, or several may be; the sentence lists them.
    """
    meanings = {label: meaning(label) for label in found}
    if named:
        asked = {plain(name) or name for name in named}
        plates = {label for label in found if (plain(label) or label) in asked}
    else:
        by_name = {label for label, says in meanings.items() if says in (Meaning.PLATE, Meaning.UNSURE)}
        plates = set(found) & set(known) if known else by_name
        if not plates and not known and [*meanings.values()] == [Meaning.NOTHING]:
            plates = set(found)
            notes = [f"The only class, {next(iter(found))!r}, was taken for the plates."]
            return Chosen(plates, set(), notes)
    if not plates:
        asked_for = f"; asked for {', '.join(named)}" if named else ""
        raise ManifestError(
            f"No class of {root} is known to be plates; found {_listed(found)}{asked_for}. Name them with --classes."
        )
    taken = Counter({label: n for label, n in found.items() if label in plates})
    unsure = any(meanings[label] is Meaning.UNSURE for label in plates)
    if not named and not known and (unsure or len({plain(label) for label in plates}) > 1):
        raise ManifestError(
            f"It is not certain which classes of {root} are plates: these may be, {_listed(taken)}; "
            "name those that are with --classes."
        )
    rest = Counter({label: n for label, n in found.items() if label not in plates})
    notes = [f"Taken for plates: {_listed(taken)}."]
    notes += [f"Left out as no plates: {_listed(rest)}."] if rest else []
    showing = {label for label in rest if meanings[label] is Meaning.SHOWS_PLATE}
    return Chosen(plates, set() if named else showing, notes)


def _listed(found: Counter[str], most: int = 12) -> str:
    listed = ", ".join(f"{label} ({n:,})" for label, n in found.most_common(most))
    return f"{listed} and {len(found) - most} more classes" if len(found) > most else listed
