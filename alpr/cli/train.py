"""`alpr train`: train a detector or a recogniser."""

from __future__ import annotations

import sys

import typer

from alpr.cli.overrides import OverridesArgument, choices, listed, through_hydra, wants_help

HELP = """\
alpr train [OVERRIDES]: train a detector or a recogniser into a run folder: checkpoints, metrics.csv, run.json.

  alpr train experiment=ccpd_green_detector data.root=datasets trainer.max_epochs=60
  alpr train experiment=ccpd_green_recogniser name=second seed=2
  alpr train -m experiment=ccpd_green_detector optim.lr=0.001,0.002,0.004     a sweep, a run for each value

An experiment names its data, network and schedule. A group=choice replaces a part, a key=value one value:

{choices}

Keys that are changed most:

  name=NAME                     the run; its folder is runs/NAME
  resume=auto|never             go on where the run stands, or refuse a folder that holds one
  warm_start=RUN                begin with the weights of a run, a checkpoint, a safetensors file or a bundle: world
  warm_start_parts=[encoder]    with these parts of it alone: for another alphabet or country
  seed=N  optim.lr=X  trainer.max_epochs=N  trainer.accelerator=cpu|gpu
  data.root=DIR                 what tables are relative to
  data.manifest=TABLE           or [TABLE,TABLE]
  data.batch_size=N  data.workers=N

The rest, with every value and comment:

  alpr train experiment=NAME --cfg job            the whole configuration; the pack comes from country=NAME or a file
  alpr train experiment=NAME --cfg job --package optim
  alpr train --hydra-help                         options of Hydra: sweeps, --config-dir, hydra.*"""
GROUPS = ("experiment", "country", "model", "data", "augment", "optim", "trainer", "logger")


def train(overrides: OverridesArgument = None) -> None:
    """Train a detector or a recogniser."""
    words = overrides or []
    if wants_help(words):
        typer.echo(HELP.format(choices="\n".join(listed(group, choices(group)) for group in GROUPS)))
        return
    from alpr.training.command import run

    through_hydra("train", run, words)


if __name__ == "__main__":  # a further process of a training on several devices
    train(sys.argv[1:])
