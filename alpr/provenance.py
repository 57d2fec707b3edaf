"""What made a result: the commit of the source, the versions and the device."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import cv2
import numpy as np

TRAINED_WITH = ("torch", "lightning", "numpy", "opencv-python-headless", "albumentations", "hydra-core")
"""The packages that the result of a training may depend on."""


class UnknownProvenance(RuntimeError):
    """Something about the source or the machine that cannot be found out; the sentence names it."""


def source_commit(repository: Path | None = None) -> tuple[str, bool]:
    """The commit of a working copy, and whether tracked files differ from it.

    Args:
        repository: the working copy; by default the one this package lies in.

    Raises:
        UnknownProvenance: no working copy there, or no git.
    """
    folder = Path(__file__).resolve().parent.parent if repository is None else repository
    questions = [["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]]
    if repository is None:  # an installed package may lie inside somebody else's working copy
        questions.append(["ls-files", "--error-unmatch", "alpr/__init__.py"])
    answers = []
    for arguments in questions:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or error
            raise UnknownProvenance(f"The commit of {folder} is not known: {str(reason).strip()}.") from error
        answers.append(done.stdout.strip())
    return answers[0], bool(answers[1])


def installed_source() -> tuple[str, bool] | None:
    """What stands for a commit where this package was installed from a wheel: its version and a hash of its files.

    Returns:
        the text, and whether files differ from those that were installed; None where the package lies in a source tree.
    """
    package = Path(__file__).resolve().parent
    try:
        installed = distribution("alpr-train")
    except PackageNotFoundError:
        return None
    if not Path(str(installed.locate_file("alpr"))).is_dir() or not package.samefile(
        str(installed.locate_file("alpr"))
    ):
        return None  # an editable install, or another copy of the package
    if Path(str(installed.locate_file("pyproject.toml"))).is_file():
        return None  # the package data lie in the source tree itself
    digest, changed = hashlib.sha256(), False
    for file in sorted(installed.files or (), key=str):
        if file.suffix == ".py" and file.parts[0] == "alpr":
            data = Path(str(file.locate())).read_bytes()
            digest.update(f"{file.as_posix()}\n{len(data)}\n".encode() + data)
            if file.hash is not None:
                found = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest()).rstrip(b"=").decode()
                changed = changed or found != file.hash.value
    return f"installed {installed.version}, sha256 of its code {digest.hexdigest()}", changed


def commit_label() -> str | None:
    """The commit of the source, with '+changes' where files differ from it; None outside a working copy."""
    try:
        commit, changed = source_commit()
    except UnknownProvenance:
        return None
    return f"{commit}+changes" if changed else commit


def cpu_model() -> str:
    """The processor's name.

    Raises:
        UnknownProvenance: nothing on this machine says it.
    """
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as error:
            raise UnknownProvenance(f"The model of this machine's CPU is not known: {error}.") from error
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    model = named or platform.processor()
    if not model:
        raise UnknownProvenance("The model of this machine's CPU is not known (no 'model name' in /proc/cpuinfo).")
    return model


def memory_bytes() -> int:
    """The memory of this machine.

    Raises:
        UnknownProvenance: nothing on this machine says it.
    """
    if sys.platform == "win32":
        import ctypes

        kibibytes = ctypes.c_ulonglong()
        if ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kibibytes)):
            return 1024 * kibibytes.value
    elif hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    raise UnknownProvenance("The memory of this machine is not known: the system does not say it.")


def package_version() -> str:
    """This package's version, which its `__init__` holds; read without an import: this file stands below all."""
    return str(vars(sys.modules["alpr"])["__version__"])


@dataclass(frozen=True)
class Environment:
    """What the figures were measured on; a part that is not known is an error, never left out."""

    cpu: str
    cores: int
    system: str
    memory_gb: float
    python: str
    numpy: str
    opencv: str
    onnxruntime: str
    alpr: str
    commit: str
    uncommitted_changes: bool


def environment(repository: Path | None = None) -> Environment:
    """The machine, the versions and the commit.

    Args:
        repository: the working copy whose commit counts; by default the one this package lies in, or where it was
            installed from a wheel the version and a hash of its files.

    Raises:
        UnknownProvenance: a part that cannot be found out; the sentence names it.
    """
    commit, changed = (repository is None and installed_source()) or source_commit(repository)
    try:
        runtime = version("onnxruntime")
    except PackageNotFoundError as error:
        raise UnknownProvenance("The version of onnxruntime is not known: its package data are missing.") from error
    return Environment(
        cpu=cpu_model(),
        cores=os.cpu_count() or 0,
        system=platform.platform(),
        memory_gb=round(memory_bytes() / 2**30, 1),
        python=platform.python_version(),
        numpy=np.__version__,
        opencv=cv2.__version__,
        onnxruntime=runtime,
        alpr=package_version(),
        commit=commit,
        uncommitted_changes=changed,
    )


def versions(packages: Sequence[str] = TRAINED_WITH) -> dict[str, str]:
    """The versions of this package, of Python and of packages that a result may depend on."""
    return {"alpr": package_version(), "python": platform.python_version(), **{p: version(p) for p in packages}}


def device_name() -> str:
    """The accelerator, or the processor with the threads in use."""
    import torch  # only what trains has it

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else processor(torch.get_num_threads())


def processor(threads: int) -> str:
    """The processor, or its kind where nothing names it, with the threads in use."""
    try:
        model = cpu_model()
    except UnknownProvenance:
        model = platform.machine()
    return f"{model}, {threads} threads"
