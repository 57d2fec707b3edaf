"""Lets `import torchvision` succeed where a CUDA-built torchvision stands beside a CPU-only torch.

The wheel cannot load its C extension there, and timm, torchmetrics and lightning fail with it
("operator torchvision::nms does not exist"). Nothing of torchvision's C extension is used in this project, so the
two operator schemas that its import looks for are declared without an implementation. Where the extension loads,
nothing is done. Installing the hook imports nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


class _TorchvisionOperators(importlib.abc.MetaPathFinder):
    _kept: Any = None  # a library's operators live as long as it is referenced

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torchvision")
        if spec is None or spec.origin is None:
            return None
        import torch

        folder = Path(spec.origin).parent
        extension = next((p for pattern in ("_C*.so", "_C*.pyd") for p in folder.glob(pattern)), None)
        if extension is None:
            return None
        try:
            torch.ops.load_library(str(extension))  # type: ignore[no-untyped-call]
        except OSError:
            library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            for operator in ("nms", "qnms"):
                schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                library.define(schema)  # type: ignore[no-untyped-call]
            type(self)._kept = library
        return None


def install() -> None:
    """Puts the hook first in the import path, once."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _TorchvisionOperators) for f in sys.meta_path):
        sys.meta_path.insert(0, _TorchvisionOperators())
