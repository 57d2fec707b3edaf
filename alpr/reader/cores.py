"""How many cores this process may use: those the system leaves it, and no more than a container's quota."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def available_cores() -> int:
    """The number of cores this process may use, at least 1; of a quota of 2.5 cores 2."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota(groups: Path | None = None, own: Path | None = None) -> float | None:
    """The cores that the control groups of this process are limited to; None without a limit, and off Linux.

    Args:
        groups: where the groups are mounted, else `CGROUPS`; both versions are looked at.
        own: the file that names this process's groups, else `OWN_GROUPS`.
    """
    groups, own = groups or CGROUPS, own or OWN_GROUPS
    limits = [
        limit
        for root, group in _places(groups, own)
        for folder in (group, *group.parents)
        if (limit := _limit(root / folder)) is not None
    ]
    return min(limits, default=None)


def _places(groups: Path, own: Path) -> list[tuple[Path, PurePosixPath]]:
    """The mounted trees, each with the group of this process in it; inside a container a tree begins at its group."""
    found = [(groups, PurePosixPath()), (groups / "cpu", PurePosixPath()), (groups / "cpu,cpuacct", PurePosixPath())]
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return found
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        relative = PurePosixPath(path.lstrip("/"))
        if ".." in relative.parts:
            continue
        if not controllers:  # version 2
            found.append((groups, relative))
        elif "cpu" in controllers.split(","):
            found += [(groups / "cpu", relative), (groups / controllers, relative)]
    return found


def _limit(folder: Path) -> float | None:
    """The quota in cores that a group's own files give."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return None
    return cores if cores > 0 else None  # version 1 writes -1 for no limit
