"""Sentences about wrong overrides; Hydra's own do not say what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from alpr.files import SMALL_BYTES, packaged, read_regular
from alpr.recognition.mixture.short_words import ENTRIES, KEYS, PLATES
from alpr.training import pack_source
from alpr.training.quoting import SWEEP
from alpr.training.quoting import quoted_paths as quoted_paths

CONFIGS = packaged("configs")
OTHER_ROOTS = ("--config-name", "-cn", "--config-path", "-cp")
HELP = ("--help", "-h", "--cfg", "-c", "--hydra-help", "--info", "-i", "--version", "--shell-completion", "-sc")
SOURCES = "data.sources"
FLAGS = (*SWEEP, "-r", "--run")
FOLDER = ("--config-dir", "-cd")
SEARCH_PATH = "hydra.searchpath"
OPTIONS = (*FOLDER, *FLAGS, *HELP, *OTHER_ROOTS, "--resolve", "--package", "-p")
"""Hydra's own, as far as they make sense here."""

VALUED = (*FOLDER, *OTHER_ROOTS, "--cfg", "-c", "--info", "-i", "--package", "-p", "--shell-completion", "-sc")
"""Of these, the ones that take the next word, unless it is a setting."""

pack_source.register()


def root_of(name: str) -> tuple[Path, str]:
    """The folder and the name of a root: `configs/NAME.yaml`, or `configs/NAME/config.yaml`.

    A folder of its own is for a root with a key that is also a group: `model=...` of an evaluation names a bundle.
    """
    own = CONFIGS / name
    return (own, "config") if own.is_dir() else (CONFIGS, name)


def composed(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """A configuration of `configs/` with overrides, outside a Hydra application.

    Args:
        overrides: as on a command line; `hydra.searchpath=[DIR]` adds folders of one's own.
    """
    folder, root = root_of(name)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose(root, overrides=hydra_words(overrides))


def hydra_words(arguments: Sequence[str]) -> list[str]:
    """The same arguments as Hydra takes them: paths of packs in quotes; what may be new below `data` is added there."""
    words: list[str] = []
    for word in quoted_paths(arguments):
        if word.startswith(f"{SOURCES}=["):  # an older list in place of a mapping, which Hydra would not replace by it
            words.append(f"{SOURCES}=null")
        words.append(f"++{word}" if _may_be_new(_key(word)) else word)
    return words


def _may_be_new(key: str) -> bool:
    return key.startswith(ENTRIES) or (key.startswith("data.") and key.removeprefix("data.") in KEYS)


def options_first(words: Sequence[str]) -> list[str]:
    """The words with the options before the settings: Hydra takes no settings on both sides of an option."""
    options: list[str] = []
    settings: list[str] = []
    for word in words:
        takes = bool(options) and options[-1] in VALUED and "=" not in word
        (options if word.startswith("-") or takes else settings).append(word)
    return [*options, *settings]


def complaint_about(arguments: Sequence[str], name: str) -> str | None:
    """A sentence about the first override that does not fit the configuration, or None.

    A key that is not there, a value of another type, a choice that does not exist, and values that nothing gives.

    Args:
        arguments: a command line's, without the program. Of a sweep (-m) only the keys are looked at.
        name: the root configuration.
    """
    names = [a.split("=", 1)[0] for a in arguments]
    option = next((n for n in names if n.startswith("-") and n not in OPTIONS), None)
    if option is not None:
        return f"Unknown option {option}; expected --config-dir DIR, --multirun, --cfg job, --help, or key=value."
    if set(names) & {*HELP, *OTHER_ROOTS}:
        return None
    given, own = _with_search_path(quoted_paths([a for a in arguments if a not in FLAGS]))
    bare = next((a for a in given if "=" not in a and not a.startswith("~")), None)
    if bare is not None:
        return f"{bare!r} is no setting; expected key=value."
    complaint = next((c for c in map(_folder_complaint, own) if c is not None), None)
    if complaint is not None:
        return complaint
    path = [a for a in given if a.startswith(SEARCH_PATH)]
    overrides = [a for a in given if not a.startswith(("hydra", "+", "~"))]
    folder, _ = root_of(name)
    groups = [o for o in overrides if any((place / _key(o)).is_dir() for place in (folder, *own))]
    sweep = any(a in SWEEP for a in arguments)
    first = [f"{_key(o)}={o.split('=', 1)[1].split(',')[0]}" for o in groups] if sweep else groups
    try:
        config = composed(name, [*path, *first])
        for override in overrides:
            free = _may_be_new(_key(override)) and config.get("data", {}).get("_target_") == PLATES
            complaint = _unknown_key(override, config) if override not in groups and not free else None
            if complaint is not None:
                return complaint
        for added in (a for a in given if a.startswith("+")):  # below what is there; a new root key nothing would read
            root = _key(added).lstrip("+").split(".")[0]
            complaint = _unknown_key(f"{root}=", config) if not root.startswith("hydra") else None
            if complaint is not None:
                return complaint
        if sweep:
            return None
        final = composed(name, [*path, *(a for a in given if not a.lstrip("+~").startswith("hydra"))])
    except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:  # ValueError: a group set to null
        return _flat(error)
    complaints = (_wrong_type(o, config, final) for o in overrides if o not in groups)
    missing = next((c for c in complaints if c is not None), None)
    return missing or _missing(final, [place / "experiment" for place in (folder, *own)])


def plain_sentence(error: BaseException) -> str:
    """What an error says; Hydra wraps those of the classes that it makes, torch those of loader processes."""
    if str(error).startswith("Caught ") and "DataLoader worker" in str(error):
        last = str(error).strip().splitlines()[-1]  # after the traceback: "ValueError: the sentence"
        return last.partition(": ")[2] or last
    if not isinstance(error, InstantiationException):
        return str(error)
    where = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
    cause = error.__cause__
    if cause is None:
        return _flat(error)
    at_key = f"{where}: " if where and isinstance(cause, TypeError) else ""
    return f"{at_key}{cause}"


def _with_search_path(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Arguments with --config-dir as the first place of hydra.searchpath, where Hydra puts it; and all such folders."""
    given: list[str] = []
    places: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in FOLDER:
            places = [value if equals else next(rest, "")]
        else:
            given.append(argument)
    for override in [a for a in given if _key(a) == SEARCH_PATH]:
        given.remove(override)
        parsed = OmegaConf.from_dotlist([override]).hydra.searchpath
        places += map(str, [parsed] if isinstance(parsed, str) else parsed or [])
    own = [Path(place.removeprefix("file://")) for place in places if not place.startswith("pkg://")]
    if places:
        quoted = ",".join(f"'{place}'" for place in places)
        given.append(f"{SEARCH_PATH}=[{quoted}]")
    return given, own


def _folder_complaint(place: Path) -> str | None:
    """Why a folder of one's own cannot be used: it is not there, or the project's own file would be read for one of it.

    Hydra takes the first file of a name that it finds, and looks into the application's own configurations first.
    """
    if not place.is_dir():
        return f"{str(place)!r} is no folder; expected one of configurations, such as experiment/NAME.yaml below it."
    for path in sorted(place.glob("*/*.yaml")):
        ours = CONFIGS / path.relative_to(place)
        if ours.is_file() and ours.read_bytes() != read_regular(path, SMALL_BYTES):
            return f"{path}: alpr has a {path.parent.name}={path.stem} of its own, which is read first; rename yours."
    return None


def _key(override: str) -> str:
    return override.split("=", 1)[0]


def _unknown_key(override: str, config: DictConfig) -> str | None:
    node: Any = config
    walked: list[str] = []
    for part in _key(override).split("."):
        if not isinstance(node, DictConfig) or part not in node.keys():  # noqa: SIM118 - without keys() a value that is ??? is not in it
            known = sorted(map(str, node)) if isinstance(node, DictConfig) else []
            place = ".".join(walked) or "the configuration"
            near = difflib.get_close_matches(part, known, n=1)
            guess = f" Did you mean {'.'.join([*walked, near[0]])}?" if near else ""
            return f"Unknown key {part!r} in {override!r}: {place} has {', '.join(known) or 'no keys'}.{guess}"
        walked.append(part)
        if OmegaConf.is_missing(node, part):
            return None
        node = OmegaConf.select(config, ".".join(walked))
    return None


def _wrong_type(override: str, config: DictConfig, final: DictConfig) -> str | None:
    """A value whose kind is not that of the value in the configuration; null is left to what reads it."""
    key = _key(override)
    before, now = (_value(c, key) for c in (config, final))
    kinds: tuple[type[Any], ...]
    if isinstance(before, bool):
        expected, kinds = "true or false", (bool,)
    elif isinstance(before, int):
        expected, kinds = "a whole number", (int,)
    elif isinstance(before, float):
        expected, kinds = "a number", (int, float)
    elif isinstance(before, ListConfig):
        texts = all(isinstance(entry, str) for entry in before)  # of files, say; one is as good as a list of one
        expected, kinds = "a list", (ListConfig, str) if texts else (ListConfig,)
    elif isinstance(before, DictConfig):
        expected, kinds = "keys and values", (DictConfig, ListConfig) if key == SOURCES else (DictConfig,)
    else:
        return None
    fits = isinstance(now, kinds) and (isinstance(before, bool) or not isinstance(now, bool))
    if now is None or fits:
        return None
    return f"{key} is {override.split('=', 1)[1]!r}; expected {expected}, such as {before}."


def _value(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except OmegaConfBaseException:  # it refers to a value that nothing gives yet
        return None


def _missing(config: DictConfig, experiments: Sequence[Path]) -> str | None:
    missing = sorted(_unset(OmegaConf.to_container(config, resolve=False)))
    if not missing:
        return None
    if "trainer" not in config:
        return f"Nothing gives {', '.join(missing)}. Give key=value for each."
    names = ", ".join(sorted({path.stem for folder in experiments for path in folder.glob("*.yaml")}))
    return f"Nothing gives {', '.join(missing)}. Give experiment=NAME (one of {names}), or key=value for each."


def _unset(node: Any, at: str = "") -> list[str]:
    if isinstance(node, dict):
        return [key for name, value in node.items() for key in _unset(value, f"{at}.{name}" if at else str(name))]
    return [at] if node == "???" else []


def _flat(error: BaseException) -> str:
    """On one line, and without Hydra's list of where it looked."""
    if isinstance(error, MissingConfigException) and error.options:
        return f"There is no {error.missing_cfg_file}; expected one of {', '.join(error.options)}."
    return " ".join(str(error).split()).partition(" Config search path:")[0]
