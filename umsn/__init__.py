"""UMSN: face deblurring trained from blurgen's shards (Yasarla, Perazzi, Patel 2020).

``train(dataset, out)``, ``load(checkpoint)``, ``deblur(picture)``, ``segment(picture)`` and
``evaluate(checkpoint, test, out)``; what they import is imported when the first of them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from umsn._torch import require_torch

if TYPE_CHECKING:
    from umsn.public import deblur, evaluate, load, segment, train

require_torch()

__all__ = ["deblur", "evaluate", "load", "segment", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'umsn' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module("umsn.public"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
