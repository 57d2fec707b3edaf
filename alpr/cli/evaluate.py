"""`alpr evaluate`: score a bundle, runs or predictions on labelled plates."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from alpr.cli.overrides import OverridesArgument, choices, listed, through_hydra, wants_help

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """\
alpr evaluate [OVERRIDES]: score a reader on labelled plates: a table, report.json and pages of pictures.

  alpr evaluate bundle=cn data.manifest=labels.csv data.split=val output=runs/evaluate/cn
  alpr evaluate detector=RUN recogniser=RUN data.manifest=labels.csv
  alpr evaluate bundle=cn only=detector threads=1 data.manifest=labels.csv input_px=[320,448,640,960]
  alpr evaluate bundle=cn protocol=ccpd2019 data.manifest=[splits/ccpd_db.txt] data.images=CCPD2019
  alpr evaluate baseline=sobel data.manifest=labels.csv
  alpr evaluate predictions=predictions.jsonl protocol=ccpd2019 data.manifest=labels.csv

  bundle=DIR_OR_NAME            an exported bundle; or
  detector=RUN recogniser=RUN   run folders or checkpoints, one of them or both; or
  baseline=NAME                 an older method, alone or with the other half from bundle=; or
  predictions=FILE              readings of any system, JSON lines as `alpr predict` writes them; or
  task=CLASS run=RUN            a network of your own, by the figures of its class
  only=detector|recogniser      that half alone
  data.manifest=TABLE           or a list; data.split=val, data.root=DIR, data.replace='{{O: "0"}}'
  protocol=NAME                 the rules of a published table
  crops=[corners,detector,box]  by which corners plates are cut out
  slices=[country,rows,note]    by what the figures are split: columns of the table, plate_width, ...
  input_px=PX                   or a list, which gives recall by width of the plate
  output=DIR  drawn=N  worst=N  where results go, how many pictures of scenes and of missed plates
  batch=N  workers=N  threads=N grammar=true

{choices}

The rest, with every value and comment:

  alpr evaluate --cfg job
  alpr evaluate --hydra-help    options of Hydra: sweeps, --config-dir, hydra.*"""
GROUPS = {"protocol": "protocol", "baseline": "evaluate/baseline"}


def evaluate(overrides: OverridesArgument = None) -> None:
    """Score a bundle, runs or predictions."""
    words = overrides or []
    if wants_help(words):
        typer.echo(HELP.format(choices="\n".join(listed(group, choices(at)) for group, at in GROUPS.items())))
        return
    through_hydra("evaluate", _run, words)


def _run(config: DictConfig) -> None:
    """One evaluation; leaves with 1 after a complaint, with 130 after Ctrl-C, whose report is partial."""
    from alpr.evaluation.command import run
    from alpr.evaluation.own_task import evaluate_run

    try:
        if config.task is not None:
            return evaluate_run(config)
        sys.exit(0 if run(config) else 130)
    except (ValueError, OSError) as error:
        sys.exit(f"alpr evaluate: {error}")
