"""Symbols <-> class ids. Id 0 is the padding of the slots and the blank of CTC; it can never be printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

PAD = 0


@dataclass(frozen=True)
class Charset:
    """An alphabet of K printable symbols with ids 1..K.

    Raises:
        ValueError: an empty alphabet, a symbol of more than one code point, white space, a control
            character, or a symbol given twice.
    """

    symbols: str
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.symbols:
            raise ValueError("The alphabet is empty; expected at least one symbol.")
        twice = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
        if twice:
            raise ValueError(f"The alphabet holds {', '.join(map(repr, twice))} more than once: {self.symbols!r}.")
        if any(s.isspace() for s in self.symbols):
            raise ValueError(f"The alphabet holds white space, which no plate prints: {self.symbols!r}.")
        unprintable = [s for s in self.symbols if not s.isprintable()]
        if unprintable:
            raise ValueError(f"The alphabet holds {', '.join(map(repr, unprintable))}, which no plate prints.")
        object.__setattr__(self, "_ids", {s: i for i, s in enumerate(self.symbols, start=1)})

    def __len__(self) -> int:
        """The number of classes: K symbols and the padding."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without padding.

        Raises:
            ValueError: a character outside the alphabet; the sentence names it and the text.
        """
        unknown = sorted({c for c in text if c not in self._ids})
        if unknown:
            raise ValueError(
                f"The text {text!r} holds {', '.join(map(repr, unknown))}, which the alphabet of "
                f"{len(self.symbols)} symbols does not have: {self.symbols}"
            )
        return [self._ids[c] for c in text]

    def encode_padded(self, text: str, slots: int, *, empty: bool = False) -> list[int]:
        """The ids of a text, filled with PAD up to `slots`.

        Args:
            empty: whether the text may be empty, as that of a crop without a plate is.

        Raises:
            ValueError: an empty text, one longer than the slots, or one with an unknown character.
        """
        least = 0 if empty else 1
        if not least <= len(text) <= slots:
            raise ValueError(f"The text {text!r} has {len(text)} characters; expected {least} to {slots}.")
        ids = self.encode(text)
        return ids + [PAD] * (slots - len(ids))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; PAD prints nothing.

        Raises:
            ValueError: an id outside 0..K.
        """
        listed: Sequence[int] = [int(i) for i in ids]
        wrong = [i for i in listed if not 0 <= i <= len(self.symbols)]
        if wrong:
            raise ValueError(f"Class ids {wrong} are outside 0..{len(self.symbols)}.")
        return "".join(self.symbols[i - 1] for i in listed if i != PAD)


def replaced(text: str, replace: Mapping[str, object]) -> str:
    """A text with characters put in place of others, such as {"O": "0"} where labels mix the two.

    Raises:
        ValueError: a key that is not one character.
    """
    wrong = [key for key in replace if len(str(key)) != 1]
    if wrong:
        raise ValueError(f"replace holds {wrong[0]!r}; expected single characters, such as {{O: '0'}}.")
    return text.translate({ord(str(old)): str(new) for old, new in replace.items()})
