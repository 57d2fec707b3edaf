"""Sentences about wrong overrides; Hydra's own do not say what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def composed(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """A configuration of `configs/` with overrides, outside a Hydra application."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def complaint_about(arguments: Sequence[str], name: str) -> str | None:
    """A sentence about the first override that does not fit the configuration, or None.

    Args:
        arguments: a command line's, without the program.
        name: the root configuration.
    """
    if any(a in ("-m", "--multirun", "--help", "-h", "--cfg", "-c", "--hydra-help") for a in arguments):
        return None
    overrides = [a for a in arguments if "=" in a and not a.startswith(("-", "hydra", "+", "~"))]
    groups = [o for o in overrides if (CONFIGS / o.split("=", 1)[0]).is_dir()]
    try:
        config = composed(name, groups)
    except (HydraException, OmegaConfBaseException) as error:
        return " ".join(str(error).split())
    for override in overrides:
        if override not in groups:
            complaint = _unknown_key(override, config)
            if complaint is not None:
                return complaint
    try:
        composed(name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        return re.sub(r"\s+", " ", str(error))
    return None


def _unknown_key(override: str, config: DictConfig) -> str | None:
    key = override.split("=", 1)[0]
    node, walked = config, []
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node:
            known = sorted(map(str, node)) if isinstance(node, DictConfig) else []
            place = ".".join(walked) or "the configuration"
            near = difflib.get_close_matches(part, known, n=1)
            guess = f" Did you mean {'.'.join([*walked, near[0]])}?" if near else ""
            return f"Unknown key {part!r} in {override!r}: {place} has {', '.join(known) or 'no keys'}.{guess}"
        walked.append(part)
        node = OmegaConf.select(config, ".".join(walked))
    return None
