"""What made a result: the commit of the source, the versions and the device."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TypeVar

TRAINED_WITH = ("torch", "lightning", "numpy", "opencv-python-headless", "albumentations", "hydra-core")
"""The packages that the result of a training may depend on."""
DEPLOYED_WITH = ("numpy", "opencv-python-headless", "onnxruntime")
"""Those that a deployed reader's may."""
T = TypeVar("T")


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
    """The commit of the source, or what stands for it, with '+changes' where files differ; None outside of both."""
    try:
        return _commit()
    except UnknownProvenance:
        return None


def _commit() -> str:
    commit, changed = installed_source() or source_commit()
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
class Provenance:
    """What made a result. In a record that must be whole no part is None."""

    commit: str | None  # as `commit_label` gives it
    device: str  # the accelerator, or the processor with the threads in use
    versions: Mapping[str, str]
    cpu: str | None
    cores: int
    memory_gb: float | None  # of 2^30 bytes
    system: str


def provenance(
    device: str | None = None, packages: Sequence[str] = DEPLOYED_WITH, *, whole: bool = False
) -> Provenance:
    """What makes a result here and now.

    Args:
        device: what computes; by default this machine's processor.
        packages: whose versions count.
        whole: refuse a record that lacks the commit or the machine.

    Raises:
        UnknownProvenance: a part that cannot be found out; the sentence names it.
    """

    def known(find: Callable[[], T]) -> T | None:
        try:
            return find()
        except UnknownProvenance:
            if whole:
                raise
            return None

    cpu, memory = known(cpu_model), known(memory_bytes)
    return Provenance(
        commit=known(_commit),
        device=device or cpu or platform.machine(),
        versions=versions(packages),
        cpu=cpu,
        cores=os.cpu_count() or 0,
        memory_gb=None if memory is None else round(memory / 2**30, 1),
        system=platform.platform(),
    )


def versions(packages: Sequence[str] = TRAINED_WITH) -> dict[str, str]:
    """The versions of this package, of Python and of packages that a result may depend on.

    Raises:
        UnknownProvenance: a package whose data are missing.
    """
    try:
        found = {package: version(package) for package in packages}
    except PackageNotFoundError as error:
        raise UnknownProvenance(f"The version of {error.name} is not known: its package data are missing.") from error
    return {"alpr": package_version(), "python": platform.python_version(), **found}


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
