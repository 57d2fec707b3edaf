"""A bundle that the tests of video share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("video") / "tiny")
