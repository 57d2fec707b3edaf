"""Lets Hydra take a country pack from a file: `country=/path/to/pack.yaml`, or `override /country:` in YAML."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from alpr.files import SMALL_BYTES, open_regular_text
from alpr.plates.country import CountryPack

GROUP = "country"
SUFFIXES = (".yaml", ".yml")


class CountryPackFiles(ConfigSource):
    """The files that `country=` names by their paths, relative to the working folder; they are checked as packs."""

    @staticmethod
    def scheme() -> str:
        return "country-pack"

    def load_config(self, config_path: str) -> ConfigResult:
        """A pack's values as they stand in its file.

        Raises:
            ValueError: a file that is no valid pack.
        """
        path = _named(config_path)
        CountryPack.read(path)
        with open_regular_text(path, SMALL_BYTES) as file:
            pack = OmegaConf.load(file)
        return ConfigResult(self.provider, f"{self.scheme()}://", pack, header={"package": None})

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.partition("/")
        return group == GROUP and Path(name).suffix in SUFFIXES and _named(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


class CountryPackPath(SearchPathPlugin):
    """Puts them on the search path of every composition, behind the project's own packs."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("country packs", f"{CountryPackFiles.scheme()}://")


def register() -> None:
    """Makes both known to Hydra; a second call changes nothing."""
    for plugin in (CountryPackFiles, CountryPackPath):
        Plugins.instance().register(plugin)


def _named(config_path: str) -> Path:
    return Path(config_path.partition("/")[2]).expanduser()
