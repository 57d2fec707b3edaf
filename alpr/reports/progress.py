"""One progress bar: how many are done, how many in a second, and how long the rest takes."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        # Over the whole run: results arrive in bursts, which make the momentary rate jump.
        elapsed = task.finished_time if task.finished else task.elapsed
        rate = task.completed / elapsed if elapsed else 0.0
        text = f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s" if rate else ""
        return Text(text, style="progress.data.speed")


def progress_bar(unit: str, console: Console | None = None, *, shown: bool = True) -> Progress:
    """A progress bar with count, rate and time left.

    Args:
        unit: what is counted, in the plural.
        console: where it is drawn; None for stdout.
    """
    # What is printed on stdout meanwhile goes above a bar on stdout; rich would send it after a bar to stderr.
    above = console is None or not console.stderr
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
        console=console,
        disable=not shown,
        redirect_stdout=above,
        redirect_stderr=above,
    )
