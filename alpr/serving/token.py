"""The token that HTTP requests must bring."""

from __future__ import annotations

from pathlib import Path

from alpr.files import read_regular

LEAST_TOKEN = 16
"""Characters of a token."""


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        ValueError: no such file, or one that holds no token; the sentence names it.
    """
    try:
        token = read_regular(path, 4096).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no ASCII text"
        raise ValueError(f"The token file {path} cannot be read: {why}.") from error
    if len(token) < LEAST_TOKEN or len(token.split()) != 1:
        raise ValueError(
            f"The token file {path} holds no token; expected one word of {LEAST_TOKEN} or more characters."
        )
    return token
