"""`alpr export`: two runs to a bundle, or a run of another network to its own files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from alpr.cli.overrides import OverridesArgument, choices, listed, through_hydra, wants_help

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """\
alpr export [OVERRIDES]: export a detector and a recogniser as an ONNX bundle; parity holds or no file is written.

  alpr export detector=runs/DETECTOR recogniser=runs/RECOGNISER output=model_bin/NAME
  alpr export output=model_bin/NAME reader=true      a bundle that exists gets its reader.onnx
  alpr export output=model_bin/NAME report=REPORT    or the figures of its own evaluation
  alpr export bundle=cn                              a released bundle, with the settings of configs/bundle/cn.yaml
  alpr export task=PACKAGE.MODULE.CLASS run=RUN output=DIR    a network of your own, as its class exports it

  detector=RUN recogniser=RUN   run folders, checkpoints or safetensors files
  output=DIR                    the bundle's folder; its name is the bundle's name
  images=DIR                    scenes for parity; else generated ones
  report=FILE                   report.json of `alpr evaluate`: its figures go into the card
  reader=true                   also reader.onnx, one graph from frames to texts
  sources=FILE                  origin and licence of your own data; the one line `licence: own` is enough
  licence=TEXT                  of data that neither FILE nor datasets/sources.yaml knows
  input_px=PX score_threshold=S in place of those of the training

{choices}

The rest, with every value and comment:

  alpr export --cfg job
  alpr export --hydra-help      options of Hydra: --config-dir, hydra.*"""


def export(overrides: OverridesArgument = None) -> None:
    """Export two runs as an ONNX bundle."""
    words = overrides or []
    if wants_help(words):
        typer.echo(HELP.format(choices=listed("bundle", choices("bundle"))))
        return
    through_hydra("export", _run, words)


def _run(config: DictConfig) -> None:
    """Exports one bundle. Leaves with 1 after a complaint."""
    from alpr.export.from_runs import bundle_runs
    from alpr.export.own_task import export_run
    from alpr.export.parity import ParityError

    try:
        (bundle_runs if config.task is None else export_run)(config)
    except (ValueError, OSError, ParityError) as error:
        sys.exit(f"alpr export: {error}")
