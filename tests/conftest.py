"""Shared fixtures. `alpr` comes first: it installs the torchvision hook before lightning or timm is imported."""

from __future__ import annotations

import alpr  # isort: skip  # noqa: F401

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from tiny_runs import Scripts, make_data

from alpr.plates.country import CountryPack

REPOSITORY = Path(__file__).resolve().parent.parent


# A loader process forked beside the threads of OpenCV's pool may wait for them for ever.
cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working copy."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs, named by ALPR_REAL_DATA; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("ALPR_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"No real photographs at {folder}; set ALPR_REAL_DATA to the folder that holds them.")
    return folder


@pytest.fixture(scope="session")
def china() -> CountryPack:
    """The Chinese country pack."""
    return CountryPack.read(REPOSITORY / "configs" / "country" / "cn.yaml")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four synthetic scenes with their table."""
    return make_data(tmp_path_factory.mktemp("tiny_data"))


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    """Runs train.py and evaluate.py without the seconds of their imports."""
    server = Scripts(tmp_path_factory.mktemp("logs"))
    yield server
    server.close()
