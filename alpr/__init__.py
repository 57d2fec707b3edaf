"""Train, evaluate and deploy licence-plate readers. `from alpr import Reader` needs no torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from alpr import torchvision_hook

if TYPE_CHECKING:
    from alpr.reader.reader import Reader

__version__ = "0.1.0"
__all__ = ["Reader", "__version__"]

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its version at every import
torchvision_hook.install()


def __getattr__(name: str) -> Any:
    if name == "Reader":
        from alpr.reader.reader import Reader

        return Reader
    raise AttributeError(f"module 'alpr' has no attribute {name!r}")
