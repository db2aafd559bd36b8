"""Synthetic camera-shake datasets for image deblurring, reproducible to the bit.

What the command line gives, in Python:

>>> import blurgen
>>> bank = blurgen.make_kernels(40, seed=1)
>>> dataset = blurgen.build_dataset("procedural:2", bank, new_folder, per_image=3)
>>> dataset
Dataset('...', 6 triplets of 128 x 128, complete)
>>> blurgen.open_dataset(new_folder)[-1].blurry.shape
(128, 128, 3)

Everything is imported when it is first used: ``import blurgen`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from blurgen._version import __version__
from blurgen.errors import InputError

if TYPE_CHECKING:
    from blurgen.building.build import build_dataset
    from blurgen.building.repair import repair
    from blurgen.check import verify
    from blurgen.dataset.reading import Dataset, open_dataset
    from blurgen.faces import read_faces
    from blurgen.kernels.bank import KernelBank
    from blurgen.kernels.bank import make_bank as make_kernels
    from blurgen.synthesis.blur import blur

__all__ = [
    "Dataset",
    "InputError",
    "KernelBank",
    "__version__",
    "blur",
    "build_dataset",
    "make_kernels",
    "open_dataset",
    "read_faces",
    "repair",
    "verify",
]

_FOUND_IN = {
    "Dataset": ("blurgen.dataset.reading", "Dataset"),
    "KernelBank": ("blurgen.kernels.bank", "KernelBank"),
    "blur": ("blurgen.synthesis.blur", "blur"),
    "build_dataset": ("blurgen.building.build", "build_dataset"),
    "make_kernels": ("blurgen.kernels.bank", "make_bank"),
    "open_dataset": ("blurgen.dataset.reading", "open_dataset"),
    "read_faces": ("blurgen.faces", "read_faces"),
    "repair": ("blurgen.building.repair", "repair"),
    "verify": ("blurgen.check", "verify"),
}


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'blurgen' has no attribute '{name}'")
    module, attribute = _FOUND_IN[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
