"""Try many damaged and hostile inputs on every reader of foreign bytes; see tests/fuzz_targets.py.

python tools/fuzz.py --minutes 5
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic, process_time
from typing import Annotated

import typer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

TESTS = Path(__file__).resolve().parent.parent / "tests"
MOST_SECONDS = 1.0
"""CPU time for one input."""
MOST_MEMORY = 4 << 30
"""Bytes of address space for a process that reads inputs; a reader that asks for more fails."""
ROUND = 100
"""Inputs between two looks at the clock."""


def main(
    minutes: Annotated[float, typer.Option(min=0.0, help="For all targets together.")] = 5.0,
    target: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    seed: Annotated[int, typer.Option(help="Where to begin; another one tries other inputs.")] = 0,
    found: Annotated[Path, typer.Option(help="Where the inputs go that a reader failed on.")] = Path("fuzz_found"),
) -> None:
    """Try inputs on every reader, and end with 1 where one failed; its inputs are kept."""
    sys.path.insert(0, str(TESTS))
    from fuzz_targets import TARGETS

    names = [t.name for t in TARGETS]
    unknown = sorted(set(target or ()) - set(names))
    if unknown:
        typer.echo(f"There is no target {', '.join(unknown)}; expected one of {', '.join(names)}.", err=True)
        raise typer.Exit(2)
    chosen = [name for name in names if not target or name in target]
    failures = 0
    for name in chosen:
        failures += _in_a_process(name, 60 * minutes / len(chosen), seed, found)
    typer.echo(f"{failures} inputs failed." if failures else "No input failed.")
    raise typer.Exit(1 if failures else 0)


def _in_a_process(name: str, seconds: float, seed: int, found: Path) -> int:
    """Fuzzes one target in a process of its own, which may crash; gives the number of failures."""
    context = multiprocessing.get_context("spawn")
    current = found / f".{name}.current"
    found.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=_fuzz, args=(name, seconds, seed, found, current))
    process.start()
    process.join(seconds + 120)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    failed = process.exitcode or 0
    if hangs or failed < 0:
        kept = found / f"{name}-{'hang' if hangs else 'crash'}"
        current.replace(kept)
        typer.echo(f"{name}: the process {'hung' if hangs else f'died of signal {-failed}'}; its input is {kept}.")
        failed = 1
    current.unlink(missing_ok=True)
    if not any(found.iterdir()):
        found.rmdir()
    return min(failed, 100)


def _fuzz(name: str, seconds: float, seed: int, found: Path, current: Path) -> None:
    sys.path.insert(0, str(TESTS))
    from fuzz_targets import TARGETS

    # The decoders' complaints about damaged pictures would fill the screen; failures are printed to stdout.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    target = next(t for t in TARGETS if t.name == name)
    tried, results, slowest, failures = 0, 0, 0.0, set[str]()
    inputs = target.inputs()
    started = monotonic()

    def judge(data: bytes) -> None:
        nonlocal tried, results, slowest
        current.write_bytes(data)
        tried += 1
        begun = process_time()
        try:
            results += target.read(data)
        except BaseException as error:
            _keep(error, traceback.extract_tb(error.__traceback__), data)
        took = process_time() - begun
        slowest = max(slowest, took)
        if took > MOST_SECONDS:
            _keep(TimeoutError(f"{took:.1f} s of CPU time"), [], data)

    def _keep(error: BaseException, trace: list[traceback.FrameSummary], data: bytes) -> None:
        # One input for each place and kind of error; a thousand inputs for one fault help nobody.
        place = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else ""
        kind = f"{type(error).__name__} {place}"
        if kind not in failures:
            failures.add(kind)
            path = found / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"{name}: {kind}: {str(error)[:200]}; the input is {path}", flush=True)

    rounds = 0
    while monotonic() - started < seconds:
        _round(judge, inputs, seed * 1_000_003 + rounds)
        rounds += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}: {tried} inputs in {monotonic() - started:.0f} s, {results} gave a result; the slowest took "
        f"{1000 * slowest:.0f} ms, the process held at most {peak:.0f} MiB; {len(failures)} kinds of failure.",
        flush=True,
    )
    sys.exit(min(len(failures), 100))


def _round(judge: Callable[[bytes], None], inputs: object, seed: int) -> None:
    checks = list(HealthCheck)
    chosen = settings(
        max_examples=ROUND, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=checks
    )
    seeded(seed)(chosen(given(inputs)(judge)))()  # type: ignore[arg-type]


if __name__ == "__main__":
    typer.run(main)
