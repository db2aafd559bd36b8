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

import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from blurgen.errors import InputError
from blurgen.files.hdf5 import check_foreign, foreign_dataset, open_screened
from blurgen.kernels.bank import LARGEST_SIZE, KernelBank
from blurgen.kernels.raster import to_q15
from blurgen.kernels.statistics import center_offsets

_MOST_ELEMENTS = 1 << 28
_SLIGHTLY_NEGATIVE = 1e-6  # of the largest weight: what resampling leaves behind, taken as 0
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SMALLEST_SIZE: Final = 3
_COLOUR_MODES = ("RGB", "RGBA", "LA", "P", "PA")

# What scipy raises on a damaged file depends on where it stumbles.
_MATLAB_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    zlib.error,
)

_Kernels = list[NDArray[np.float64]]


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
    if center not in ("keep", "mass"):
        raise ValueError(f"Argument 'center' must be keep or mass, not {center}.")
    path = Path(path)
    kernels = [_squared(kernel, path, i) for i, kernel in enumerate(_read(path, variable))]
    q15_kernels = [to_q15(kernel) for kernel in kernels]
    offsets = np.array([center_offsets(kernel[None])[0] for kernel in q15_kernels])
    if center == "mass":
        q15_kernels = [_moved(kernel, offset) for kernel, offset in zip(q15_kernels, offsets, strict=True)]
    sizes = np.array([_size(kernel) for kernel in q15_kernels])
    if sizes.max() > LARGEST_SIZE:
        raise InputError(
            f"{path}: kernel {sizes.argmax()} needs {sizes.max()} pixels; {LARGEST_SIZE} is the most."
        )
    largest = int(sizes.max())
    bank = KernelBank(
        np.stack([_framed(_cut(kernel, largest), largest) for kernel in q15_kernels]),
        sizes.astype(np.uint8),
        {
            "imported_from": path.name,
            "variable": variable,
            "center": center,
            "count": len(sizes),
            "min_size": int(sizes.min()),
            "max_size": largest,
        },
    )
    return Imported(bank, np.hypot(offsets[:, 0], offsets[:, 1]))


def _read(path: Path, variable: str | None) -> _Kernels:
    if path.is_dir():
        return _read_pngs(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.suffix.lower() == ".npy":
        return _read_npy(path)
    if path.suffix.lower() == ".mat":
        return _one_variable(path, _read_mat(path, variable), variable)
    raise InputError(f"{path}: expected a .mat or .npy file, or a folder of PNG files.")


def _read_pngs(folder: Path) -> _Kernels:
    files = [file for file in folder.iterdir() if file.suffix.lower() == ".png"]
    if not files:
        raise InputError(f"{folder}: there are no PNG files in this folder.")
    files.sort(key=lambda file: ([int(number) for number in re.findall(r"\d+", file.name)], file.name))
    return [_read_png(file) for file in files]


def _read_png(file: Path) -> NDArray[np.float64]:
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if max(picture.size) > LARGEST_SIZE:
                raise InputError(f"{file}: is {picture.size} pixels; a kernel has at most {LARGEST_SIZE}.")
            pixels = np.asarray(
                picture.convert("RGB") if picture.mode in _COLOUR_MODES else picture, np.float64
            )
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{file}: not a readable PNG file.") from error
    if pixels.ndim == 3:
        if (pixels != pixels[:, :, :1]).any():
            raise InputError(f"{file}: is a colour picture; a kernel is grey.")
        pixels = pixels[:, :, 0]
    return pixels


def _read_npy(path: Path) -> _Kernels:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError) as error:
        raise InputError(f"{path}: not a readable .npy file of numbers.") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: not a .npy file; unpack .npz archives first.")
    kernels = _unstacked(array, last=False)
    if kernels is None:
        raise InputError(
            f"{path}: an array of shape {array.shape} and type {array.dtype} is not kernels "
            f"of {_SMALLEST_SIZE} to {LARGEST_SIZE} pixels."
        )
    return kernels


def _read_mat(path: Path, variable: str | None) -> dict[str, _Kernels]:
    """Return everything in a MATLAB file that can be taken for kernels, by name."""
    with path.open("rb") as file:
        head = file.read(520)
    if head.startswith(_HDF5_SIGNATURE) or head[512:].startswith(_HDF5_SIGNATURE):
        return _read_mat73(path, variable)
    return _read_mat5(path, variable)


def _read_mat5(path: Path, variable: str | None) -> dict[str, _Kernels]:
    found = {}
    try:
        # First what there is, then only what is small enough: a compressed variable may claim any size.
        names = [
            name
            for name, shape, _ in whosmat(path)
            if variable in (None, name) and math.prod(shape) <= _MOST_ELEMENTS
        ]
        contents = loadmat(path, variable_names=names) if names else {}
    except (*_MATLAB_ERRORS, MatReadError) as error:
        raise InputError(f"{path}: not a readable MATLAB file.") from error
    for name in names:
        kernels = _from_matlab(contents[name])
        if kernels:
            found[name] = kernels
    return found


def _from_matlab(value: Any) -> _Kernels | None:
    """Return the kernels of a matrix or of a cell array (cells within cells too), None if it holds others."""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype != object:
        return _unstacked(value, last=True)
    kernels: _Kernels = []
    for cell in value.ravel(order="F"):
        inside = _from_matlab(cell)
        if inside is None:
            return None
        kernels += inside
    return kernels


def _read_mat73(path: Path, variable: str | None) -> dict[str, _Kernels]:
    with open_screened(path) as file:
        names = [name for name in file if not name.startswith("#")] if variable is None else [variable]
        found = {}
        for name in names:
            if variable is None and not isinstance(file.get(name, getlink=True), h5py.HardLink):
                continue
            if isinstance(file.get(name), h5py.Group):
                continue
            kernels = _from_mat73(file, foreign_dataset(file, name, _MOST_ELEMENTS))
            if kernels:
                found[name] = kernels
        return found


def _from_mat73(file: h5py.File, dataset: h5py.Dataset) -> _Kernels | None:
    try:
        # MATLAB counts the first axis fastest, HDF5 the last.
        value = np.asarray(dataset[()]).T
        if value.dtype != object:
            return _unstacked(value, last=True)
        kernels: _Kernels = []
        for reference in value.ravel(order="F"):
            cell = file[reference]
            if not isinstance(cell, h5py.Dataset):
                return None
            check_foreign(cell, f"{file.filename}: a cell of {dataset.name}", LARGEST_SIZE**2)
            inside = _unstacked(np.asarray(cell[()]).T, last=True)
            if inside is None:
                return None
            kernels += inside
        return kernels
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{file.filename}: {dataset.name} cannot be read.") from error


def _one_variable(path: Path, found: dict[str, _Kernels], variable: str | None) -> _Kernels:
    if variable is not None and variable not in found:
        raise InputError(f"{path}: has no variable '{variable}' that holds kernels.")
    if not found:
        raise InputError(
            f"{path}: no variable holds kernels of {_SMALLEST_SIZE} to {LARGEST_SIZE} pixels a side."
        )
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise InputError(f"{path}: several variables could be kernels ({names}); name one with --variable.")
    return next(iter(found.values()))


def _unstacked(array: NDArray[Any], *, last: bool) -> _Kernels | None:
    """Split an array into kernels, or return None if its shape or type is not that of kernels.

    The axis that counts kernels is the one whose removal leaves a square; when there are several, the
    ``last`` or the first of them.
    """
    if array.dtype.kind not in "biuf" or array.size > _MOST_ELEMENTS:
        return None
    if array.ndim > 2:
        array = array.reshape([n for n in array.shape if n != 1] or [1])
    if array.ndim == 2:
        return [np.array(array, np.float64)] if _are_sides(*array.shape) else None
    if array.ndim != 3:
        return None
    axes = [axis for axis in range(3) if _are_sides(*np.delete(array.shape, axis))]
    square = [axis for axis in axes if len(set(np.delete(array.shape, axis))) == 1]
    candidates = square or [axis for axis in axes if axis in (0, 2)]
    if not candidates:
        return None
    stack = np.moveaxis(array, candidates[-1 if last else 0], 0)
    return [np.array(kernel, np.float64) for kernel in stack]


def _are_sides(height: int, width: int) -> bool:
    return min(height, width) >= 1 and _SMALLEST_SIZE <= max(height, width) <= LARGEST_SIZE


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
    """Return the middle [size, size] of a square kernel, or all of it if it is smaller."""
    margin = max(0, (kernel.shape[0] - size) // 2)
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
    return max(_SMALLEST_SIZE, 2 * int(max(abs(rows - radius).max(), abs(columns - radius).max())) + 1)
