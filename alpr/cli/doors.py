"""Doors: scripts that call a verb, with the options they had before there was one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from alpr.cli.main import main


def door(verb: str, about: str, several: Sequence[str] = ()) -> None:
    """Calls a verb with the script's command line.

    Args:
        verb: such as "data ccpd".
        about: the script's description, printed before the verb's help.
        several: options that take as many values as follow; the verb takes the option again for each.
    """
    words = sys.argv[1:]
    if "--help" in words or "-h" in words:
        print(about.strip(), end="\n\n", flush=True)
        words = ["--help"]
    main([*verb.split(), *_again(words, several)])


def _again(words: Sequence[str], several: Sequence[str]) -> list[str]:
    spelled: list[str] = []
    option, values = "", 0
    for word in words:
        if word.startswith("--"):
            option, values = word if word in several else "", 0
        elif option:
            values += 1
            if values > 1:
                spelled.append(option)
        spelled.append(word)
    return spelled
