"""Other people's kernels: MATLAB files, .npy arrays and PNG folders become a kernel bank.

Read are MATLAB v5 and v7.3 files (``.mat``), ``.npy`` files, and folders of PNG pictures (one grey kernel
each, in the order of the numbers in their names). An array may hold one kernel [h, w] or many, in any axis
order ([K, h, w], [h, w, K], [h, w, 1, K], ...); a cell array holds one kernel per cell, of any size each.

Weights are only scaled to sum 1 and rounded to Q15. A side of even length gets one line of zeros at its
end, which keeps the origin where MATLAB's ``conv2(..., 'same')`` has it; a kernel that is not square is
padded to a square evenly. The size noted for a kernel is the smallest odd square around the centre with
all its weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError, check_choice
from blurgen.files.bounded import Budget
from blurgen.kernels.bank import KernelBank
from blurgen.kernels.foreign import read_kernels
from blurgen.kernels.raster import to_q15
from blurgen.kernels.statistics import center_offsets
from blurgen.limits import LARGEST_KERNEL, SMALLEST_KERNEL

_SLIGHTLY_NEGATIVE: Final = 1e-6  # of the largest weight: what resampling leaves behind, taken as 0
_KERNEL_BYTES: Final = 512  # of memory that a kernel takes beside its weights
_Q15_BYTES: Final = 2


@dataclass(frozen=True)
class Imported:
    """An imported bank and how far each kernel's centre of mass lay from the centre, in pixels [K]."""

    bank: KernelBank
    center_offset: NDArray[np.float64]


def import_bank(
    path: str | os.PathLike[str], *, center: str = "keep", variable: str | None = None
) -> Imported:
    """Read kernels from a ``.mat`` or ``.npy`` file or a folder of PNGs.

    ``center="mass"`` moves every kernel by whole pixels, so that its centre of mass is within half a pixel
    of the centre; ``"keep"`` leaves it. ``variable`` names the MATLAB variable; it may be left out when
    only one looks like kernels. The offsets in the result are those before moving. Raises InputError when
    the file cannot be read or holds no kernels, when a kernel has negative or no weights, or is larger
    than 101 pixels.
    """
    check_choice("center", center, ("keep", "mass"))
    path = Path(path)
    kernels, budget = read_kernels(path, variable)
    q15_kernels = [to_q15(_squared(kernel, path, i)) for i, kernel in enumerate(_counted(kernels, budget))]
    offsets = np.array([center_offsets(kernel[None])[0] for kernel in q15_kernels])
    if center == "mass":
        q15_kernels = [_moved(kernel, offset) for kernel, offset in zip(q15_kernels, offsets, strict=True)]
    sizes = np.array([_size(kernel) for kernel in q15_kernels])
    if sizes.max() > LARGEST_KERNEL:
        raise InputError(
            f"{path}: kernel {sizes.argmax()} needs {sizes.max()} pixels; {LARGEST_KERNEL} is the most."
        )
    budget.spend(_Q15_BYTES * len(sizes) * int(sizes.max()) ** 2)
    cut = [_cut(kernel, size) for kernel, size in zip(q15_kernels, sizes.tolist(), strict=True)]
    made_with = {"imported_from": path.name, "variable": variable, "center": center}
    bank = KernelBank.of_kernels(cut, made_with)
    return Imported(bank, np.hypot(offsets[:, 0], offsets[:, 1]))


def _counted(kernels: Iterator[NDArray[np.float64]], budget: Budget) -> Iterator[NDArray[np.float64]]:
    """Yield kernels, each counted before it is kept."""
    for kernel in kernels:
        budget.spend(_KERNEL_BYTES + _Q15_BYTES * max(kernel.shape) ** 2)
        yield kernel


def _squared(kernel: NDArray[np.float64], path: Path, i: int) -> NDArray[np.float64]:
    """Check the weights of kernel ``i`` and pad it to an odd square."""
    if not np.isfinite(kernel).all() or kernel.max() <= 0:
        raise InputError(f"{path}: kernel {i} has no weights, or some that are not finite.")
    if kernel.min() < -_SLIGHTLY_NEGATIVE * kernel.max():
        raise InputError(f"{path}: kernel {i} has negative weights; blur kernels have none.")
    height, width = kernel.shape
    odd = np.pad(np.maximum(kernel, 0), ((0, 1 - height % 2), (0, 1 - width % 2)))
    return _framed(odd, max(odd.shape))


def _framed(kernel: NDArray[Any], size: int) -> NDArray[Any]:
    """Return a kernel of odd sides with equal margins of zeros in [size, size]."""
    rows, columns = ((size - side) // 2 for side in kernel.shape)
    return np.pad(kernel, ((rows, rows), (columns, columns)))


def _cut(kernel: NDArray[np.uint16], size: int) -> NDArray[np.uint16]:
    """Return the middle [size, size] of a square kernel, padded where that is smaller."""
    margin = (kernel.shape[0] - size) // 2
    if margin < 0:
        return _framed(kernel, size)
    return kernel[margin : kernel.shape[0] - margin, margin : kernel.shape[0] - margin]


def _moved(kernel: NDArray[np.uint16], offset: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return the kernel moved by whole pixels against ``offset`` (x, y), in a square that holds it."""
    x, y = (int(np.floor(o + 0.5)) for o in offset)
    reach = max(abs(x), abs(y))
    return np.roll(np.pad(kernel, reach), (-y, -x), axis=(0, 1))


def _size(kernel: NDArray[np.uint16]) -> int:
    """Return the side of the smallest odd square around the centre that holds all weights, at least 3."""
    rows, columns = np.nonzero(kernel)
    radius = kernel.shape[0] // 2
    return max(SMALLEST_KERNEL, 2 * int(max(abs(rows - radius).max(), abs(columns - radius).max())) + 1)
