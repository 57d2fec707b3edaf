"""The quota of a container is the number of its cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alpr.reader import cores
from alpr.reader.cores import available_cores, cpu_quota


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def own(tmp_path: Path, *lines: str) -> Path:
    (tmp_path / "cgroup").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("text", "quota"),
    [("250000 100000", 2.5), ("max 100000", None), ("50000 100000", 0.5), ("", None), ("1 0", None), ("x y", None)],
)
def test_version_2(tmp_path: Path, text: str, quota: float | None) -> None:
    group(tmp_path / "fs", cpu__max=text)
    assert cpu_quota(tmp_path / "fs", own(tmp_path, "0::/")) == quota
    assert cpu_quota(tmp_path / "fs", tmp_path / "none") == quota


def test_the_tightest_group_above_a_process_counts(tmp_path: Path) -> None:
    group(tmp_path / "fs" / "system" / "one", cpu__max="max 100000")
    group(tmp_path / "fs" / "system", cpu__max="300000 100000")
    group(tmp_path / "fs", cpu__max="800000 100000")
    assert cpu_quota(tmp_path / "fs", own(tmp_path, "0::/system/one")) == 3
    assert cpu_quota(tmp_path / "fs", own(tmp_path, "0::/system/gone")) == 3  # as inside a container
    assert cpu_quota(tmp_path / "fs", own(tmp_path, "0::/../../other")) == 8


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("place", ["", "docker/abc"])
def test_version_1(tmp_path: Path, controllers: str, place: str) -> None:
    group(tmp_path / "fs" / controllers / place, cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
    lines = ("9:memory:/docker/abc", f"4:{controllers}:/docker/abc", "broken")
    assert cpu_quota(tmp_path / "fs", own(tmp_path, *lines)) == 1.5
    group(tmp_path / "fs" / controllers / place, cpu__cfs_quota_us="-1")
    assert cpu_quota(tmp_path / "fs", own(tmp_path, *lines)) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (2.5, 2), (0.3, 1), (64.0, 8)])
def test_threads_follow_the_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert available_cores() == expected


def test_elsewhere_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "no_such", tmp_path / "neither") is None
