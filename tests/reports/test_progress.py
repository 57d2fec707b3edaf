"""The progress bar: count and rate, on the console it is given."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from alpr.reports.progress import progress_bar


@pytest.mark.parametrize(("done", "seconds", "rate"), [(3, 2.0, "1.5 plates/s"), (5000, 2.0, "2,500 plates/s")])
def test_a_bar_says_how_many_and_how_fast(done: int, seconds: float, rate: str) -> None:
    drawn, clock = io.StringIO(), [0.0]
    with progress_bar("plates", Console(file=drawn, width=120)) as bar:
        bar.get_time = lambda: clock[0]
        task = bar.add_task("Reading", total=9000)
        clock[0] = seconds
        bar.advance(task, done)
    assert f"{done}/9000" in drawn.getvalue() and rate in drawn.getvalue() and "Reading" in drawn.getvalue()


def test_a_bar_that_is_not_shown_draws_nothing() -> None:
    drawn = io.StringIO()
    with progress_bar("plates", Console(file=drawn), shown=False) as bar:
        bar.advance(bar.add_task("Reading", total=3))
    assert not drawn.getvalue()
