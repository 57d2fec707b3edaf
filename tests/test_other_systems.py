"""What other systems lack, taken away here: nothing that only POSIX has is needed to import, to read or to write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
from tiny_bundle import scene
from tiny_runs import ENVIRONMENT, REPOSITORY

WITHOUT = """
import builtins, io, multiprocessing, os, pathlib, signal, sys
import asyncio, shutil, socket, subprocess, tempfile, uuid
import cv2, numpy, onnxruntime, rich.progress, typer, yaml  # what others wrote knows on which system it is

sys.modules.update(dict.fromkeys(("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")))
for name in ("sched_getaffinity", "sysconf", "fork", "forkpty", "getuid", "geteuid", "getgid", "chown", "mkfifo",
             "wait4", "killpg", "setsid", "nice", "uname", "getloadavg", "statvfs", "O_NOFOLLOW",
             "O_NONBLOCK", "O_DIRECTORY"):
    delattr(os, name) if hasattr(os, name) else None
for name in ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGCHLD", "setitimer", "alarm", "pthread_sigmask"):
    delattr(signal, name)

def refused(*_, **__):
    raise OSError(1314, "A required privilege is not held by the client")

os.symlink = refused

def without(function):
    def guarded(path, *rest, **options):
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(("/proc", "/sys/")):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return function(path, *rest, **options)
    return guarded

os.stat, os.open, builtins.open, io.open = map(without, (os.stat, os.open, builtins.open, io.open))
assert not pathlib.Path("/proc/cpuinfo").is_file()
"""


def run(code: str, *arguments: object, first: str = "") -> str:
    command = [sys.executable, "-c", f"{first}\n{WITHOUT}\n{code}", *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_picture_is_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "car.png"), scene("A1"))
    code = """
import alpr, alpr.reader.reader, alpr.cli.main
plates = alpr.Reader("cn", threads=1)(sys.argv[1])
sys.argv[1:] = ["predict", sys.argv[1], "--model", "model_bin/cn"]
alpr.cli.main.main()
"""
    assert f'"image": "{tmp_path / "car.png"}"' in run(code, tmp_path / "car.png")


def test_what_is_not_known_is_said() -> None:
    code = """
from alpr.benchmark.reader_speed import peak_memory_mb, resident_memory_mb
from alpr.provenance import UnknownProvenance, memory_bytes, processor
from alpr.reader.cores import available_cores
assert peak_memory_mb() is resident_memory_mb() is None and available_cores() >= 1 and processor(1)
try: memory_bytes()
except UnknownProvenance as error: print(error)
"""
    assert run(code).startswith("The memory of this machine is not known")


def test_a_run_is_imported_and_held(tmp_path: Path) -> None:
    code = """
import pkgutil, importlib, alpr
names = [m.name for m in pkgutil.walk_packages(alpr.__path__, "alpr.")]
for name in names: importlib.import_module(name)
from alpr.training.fit import hold
from alpr.training.fit import precision_of
hold(pathlib.Path(sys.argv[1]))
print(len(names), precision_of("auto", "cpu"))
"""
    first = "import alpr, torch, lightning.pytorch.loggers, timm, torchmetrics, albumentations, hydra, onnxscript"
    count, precision = run(code, tmp_path, first=first).split()
    assert int(count) > 150 and precision == "32-true"


def test_images_are_copied_where_no_link_can_be_made(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "car.png"), scene("A1"))
    code = """
from collections import Counter
from alpr.data.importers.outgoing import Outgoing
made = Outgoing.__new__(Outgoing)
made.target, made.images, made.counts = pathlib.Path(sys.argv[1]) / "out", "link", Counter()
class Scene: source = pathlib.Path(sys.argv[1]) / "car.png"
made.put_image(Scene, "images/car.png")
print(made.notes())
"""
    assert run(code, tmp_path) == "['1 images were copied: no links can be made there.']\n"
    copy = tmp_path / "out" / "images" / "car.png"
    assert not copy.is_symlink() and copy.read_bytes() == (tmp_path / "car.png").read_bytes()
