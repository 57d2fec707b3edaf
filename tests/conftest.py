"""Shared fixtures. `alpr` comes first: it installs the torchvision hook before lightning or timm is imported."""

from __future__ import annotations

import alpr  # isort: skip  # noqa: F401

import os
from pathlib import Path

import pytest

from alpr.country import CountryPack

REPOSITORY = Path(__file__).resolve().parent.parent


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
