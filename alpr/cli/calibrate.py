"""`alpr calibrate`: a recogniser's temperature and thresholds."""

from __future__ import annotations

import typer

from alpr.cli.overrides import OverridesArgument, through_hydra, wants_help

HELP = """\
alpr calibrate [OVERRIDES]: fit a recogniser's temperature and thresholds on held-back training plates.

  alpr calibrate recogniser=runs/RECOGNISER
  alpr calibrate recogniser=model_bin/cn/recogniser.safetensors data.root=datasets data.manifest=TABLE

calibration.json and calibration.html are written beside the weights. `alpr train` does it at the end of a training;
`alpr evaluate` and `alpr export` use what lies beside the weights.

  recogniser=RUN                a run folder or a file of weights
  draws=N                       augmented crops of each plate, besides the plain one
  plates=N                      the most plates that are read
  corrections=TABLE             labels that are wrong
  data.root=DIR data.manifest=TABLE   in place of the run's own

The rest: alpr calibrate --cfg job recogniser=RUN; alpr calibrate --hydra-help"""


def calibrate(overrides: OverridesArgument = None) -> None:
    """Fit a recogniser's temperature and thresholds."""
    words = overrides or []
    if wants_help(words):
        typer.echo(HELP)
        return
    from alpr.training.command import calibrate

    through_hydra("calibrate", calibrate, words)
