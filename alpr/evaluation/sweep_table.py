"""What a sweep ends with: its runs compared. `configs/train.yaml` names the class for Hydra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alpr.evaluation.run_comparison import Run, differing_keys, grouped, read_runs
from alpr.evaluation.run_comparison_page import run_grids, write_comparison
from alpr.evaluation.tables import as_text

SWEEP_FILES = ("sweep.md", "sweep.html")


class SweepTable:
    """Hydra calls it when the last run of a sweep has ended.

    It is no subclass of Hydra's `Callback`, so that this room needs the base installation alone.
    """

    def __getattr__(self, event: str) -> Any:
        """Hydra asks for every event; the others are let pass."""
        if not event.startswith("on_"):
            raise AttributeError(event)
        return lambda *args, **kwargs: None

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Prints the table and writes it into the folder of the sweep; a run that failed stands in no row."""
        folder = Path(str(config.hydra.sweep.dir))
        try:
            runs = read_runs([folder])
            groups = grouped(runs, swept(runs))
            print(as_text(run_grids(groups)), flush=True)
            for name in SWEEP_FILES:
                write_comparison(groups, folder / name)
        except (ValueError, OSError) as error:
            print(f"There is no table of the sweep: {error}", flush=True)
            return
        print(f"The table: {folder / SWEEP_FILES[0]}, with curves {folder / SWEEP_FILES[1]}", flush=True)


def swept(runs: list[Run]) -> str | None:
    """The settings besides the seed that differ, by which seeds are grouped; None where the seed does not differ."""
    differ = differing_keys(runs)
    others = [key for key in differ if key != "seed"]
    return ",".join(others) if others and "seed" in differ else None
