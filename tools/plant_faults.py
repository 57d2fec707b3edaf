"""Plants faults in a copy of the checkout, one at a time, and says which of them the tests notice.

    python tools/plant_faults.py                 # all of tools/code_faults.py, about 20 minutes on one core
    python tools/plant_faults.py 10-19 export    # by number, or by a part of the file's name

A fault that survives is a test that is missing. The data sets of `alpr data check` have faults of their own,
tests/planted_faults.py.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PRELOADED = ("torch", "lightning", "numpy", "cv2", "onnx", "onnxruntime", "pytest", "hypothesis", "timm")
"""Imported once, before every fault's tests run in a fork."""


class Fault(NamedTuple):
    """A fault: `old`, which stands in the file exactly once, becomes `new`; the tests that should fail then."""

    what: str
    file: str
    old: str
    new: str
    tests: str  # what pytest takes, parted by spaces


class Outcome(NamedTuple):
    """How a fault ended, and by which test.

    "killed", "survived", or "broken" where no test could run or the test fails without the fault too.
    """

    ending: str
    by: str


def planted(fault: Fault, root: Path = ROOT) -> str:
    """The text of the file with the fault.

    Raises:
        ValueError: the old text does not stand in the file exactly once.
    """
    text = (root / fault.file).read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.file} holds {fault.old!r} {text.count(fault.old)} times; expected once.")
    return text.replace(fault.old, fault.new)


def copy_of_checkout(folder: Path) -> None:
    """The files that git knows or would add; nothing that it ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def settle(copy: Path) -> None:
    """Makes the copy's one commit of what it holds: some tests ask for a commit and a working copy without changes."""
    commands = [["add", "-A"], ["commit", "-q", "--amend", "--no-edit", "--allow-empty"]]
    if not (copy / ".git").exists():
        commands = [["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "A copy"]]
    for command in commands:
        named = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        subprocess.run(["git", "-C", str(copy), *named, *command], check=True)


def outcome_of(copy: Path, fault: Fault) -> Outcome:
    """Plants a fault, runs its tests, and takes the fault out again."""
    place, before = copy / fault.file, (copy / fault.file).read_bytes()
    place.write_text(planted(fault, copy), encoding="utf-8")
    settle(copy)
    try:
        code, said = tested(copy, fault.tests.split())
    finally:
        place.write_bytes(before)
        settle(copy)
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", said, re.MULTILINE)
    if failed is None or code != 1:
        return Outcome("survived" if code == 0 else "broken", said.strip().rpartition("\n")[2])
    name = failed[1].partition("::")[2]
    again = tested(copy, [failed[1]])[0]
    return Outcome("killed", name) if again == 0 else Outcome("broken", f"{name} fails without the fault too")


def tested(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's exit code and output in the copy, from a fork that has imported the libraries already."""
    with tempfile.TemporaryFile() as file:
        child = os.fork()
        if not child:
            code = 3
            try:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                sys.stdout = sys.stderr = os.fdopen(1, "w", encoding="utf-8", errors="replace", closefd=False)
                os.chdir(copy)
                os.environ["PYTHONPATH"] = str(copy)
                sys.path[:] = [str(copy), *(p for p in sys.path if Path(p).resolve() not in (ROOT, ROOT / "tools"))]
                code = int(importlib.import_module("pytest").main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        return code, file.read().decode(errors="replace")


def chosen(faults: Sequence[Fault], words: Sequence[str]) -> list[tuple[int, Fault]]:
    """The faults by numbers ("7", "10-19") and parts of files' names; all of them without a word."""
    found = []
    for number, fault in enumerate(faults, 1):
        spans = [tuple(map(int, word.split("-"))) for word in words if re.fullmatch(r"\d+(-\d+)?", word)]
        names = [word for word in words if not word[0].isdigit()]
        if not words or any(s[0] <= number <= s[-1] for s in spans) or any(name in fault.file for name in names):
            found.append((number, fault))
    return found


def preloaded() -> list[ModuleType]:
    """Imports the libraries, and takes the project out again, which each fork imports from the copy.

    It comes first because it lets torchvision be imported; what it declared for that lives as long as what is returned.
    """
    sys.path.insert(0, str(ROOT))
    for name in ("alpr", *PRELOADED):
        importlib.import_module(name)
    return [sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "alpr"]


def main(words: Sequence[str]) -> int:
    """Prints a line per fault and the totals; 1 where one was not killed."""
    from code_faults import FAULTS

    sys.dont_write_bytecode = True  # two files of one second and one length would share their bytecode
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    kept = preloaded()
    endings = []
    with tempfile.TemporaryDirectory() as folder:
        copy_of_checkout(Path(folder))
        for number, fault in chosen(FAULTS, words):
            outcome = outcome_of(Path(folder), fault)
            endings.append(outcome.ending)
            print(f"| {number} | {fault.file} | {fault.what} | {outcome.ending} | {outcome.by} |", flush=True)
    totals = ", ".join(f"{endings.count(name)} {name}" for name in ("killed", "survived", "broken"))
    print(f"{len(endings)} faults: {totals}")
    del kept
    return int(endings.count("killed") < len(endings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
