"""When two written texts are the same plate: their common form, and letters and digits of other scripts."""

from __future__ import annotations

import re
import unicodedata

SEPARATORS = frozenset("-‐‑‒–—·•‧・∙⋅.,:;_/|*'\"")
LOOKALIKES = {
    **dict(zip("АВЕКМНОРСТУХІЅЈҮԚԜ", "ABEKMHOPCTYXISJYQW", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
}
"""Cyrillic and Greek capitals that print like Latin ones."""

_PLAIN = re.compile(r"[0-9A-Z\u4e00-\u9fff]+")
"""Texts that are their own identity, as nearly all are."""


def identity(text: str) -> str:
    """What a plate is known by: the same for all ways to write it, such as `AB000CD`, `ab-000 cd` and `ＡＢ000ＣＤ`.

    That is its form, with the digits of any script as 0 to 9, and with look-alikes of Latin letters as these where the
    text mixes scripts. It groups texts and is never shown or taught. A text of separators alone is its own.
    """
    if _PLAIN.fullmatch(text):
        return text
    form = "".join(_digit(c) for c in formed(text))
    return latin(form) or text.strip()


def formed(text: str, alphabet: str = "") -> str:
    """A text by the tables' convention: NFKC, capitals, without blanks, separators and marks that nobody sees.

    Args:
        alphabet: symbols that stay as they are.
    """
    known = set(alphabet)
    wide = "".join(c if c in known else unicodedata.normalize("NFKC", c) for c in text)
    kept = "".join(c for c in wide if c in known or not (c.isspace() or c in SEPARATORS or invisible(c)))
    return "".join(c if c in known or len(c.upper()) > 1 else c.upper() for c in kept)


def invisible(character: str) -> bool:
    """Whether a character only formats others: a direction mark, a joiner, a byte order mark (category Cf)."""
    return unicodedata.category(character) == "Cf"


def latin(text: str, alphabet: str | None = None) -> str:
    """A form with look-alikes replaced: what the alphabet lacks or, without one, in a text that mixes scripts.

    A digit of another script looks like the alphabet's digit of its value.
    """
    if alphabet is None:
        scripts = {unicodedata.name(c, "?").split()[0] for c in text if c.isalpha()}
        return "".join(LOOKALIKES.get(c, _digit(c)) for c in text) if "LATIN" in scripts else text
    digits = {_digit(c): c for c in alphabet if c.isdecimal()}
    return "".join(c if c in alphabet else LOOKALIKES.get(c, digits.get(_digit(c), c)) for c in text)


def _digit(character: str) -> str:
    """The digit 0 to 9 that a decimal digit of any script means; any other character as it is."""
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
