"""Files of kernels that other programs wrote: MATLAB v5 and v7.3, .npy, and folders of PNG pictures.

Whatever a file says, reading it takes memory in proportion to its size: all is counted before it is read
(blurgen.files.bounded.Budget).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import Argument, InputError
from blurgen.files.bounded import Budget, read_bounded
from blurgen.files.hdf5 import H5_ERRORS, open_screened
from blurgen.files.hdf5_foreign import foreign_bytes, foreign_dataset, is_references, read_foreign
from blurgen.files.inside import inside
from blurgen.kernels.matlab5 import NotMatlab, variables
from blurgen.kernels.stacks import kernel_count, kernels_in
from blurgen.limits import LARGEST_KERNEL, SMALLEST_KERNEL

_MOST_FILE_BYTES: Final = 1 << 30
_MOST_PICTURE_BYTES: Final = 1 << 20  # of a picture of 101 x 101 pixels, with whatever else is in it
_LEAST_PICTURE_BYTES: Final = 4096  # a file takes on the disk
_HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_COLOUR_MODES: Final = ("RGB", "RGBA", "LA", "P", "PA")

Kernels = Iterator[NDArray[np.float64]]
"""Kernels, float64 [h, w] each, of 3 to 101 pixels, made one at a time."""


def read_kernels(path: Path, variable: str | None) -> tuple[Kernels, Budget]:
    """Return the kernels of a file or folder, at least one, and what memory is left for them.

    ``variable`` names one of a MATLAB file. InputError when there is no such file, it cannot be read, holds
    no kernels or more than one variable of them, or stands for far more bytes than it has.
    """
    if path.is_dir():
        return _read_pngs(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder.")
    budget = Budget(str(path), path.stat().st_size)
    if path.suffix.lower() == ".npy":
        return _read_npy(path), budget
    if path.suffix.lower() == ".mat":
        with path.open("rb") as file:
            head = file.read(520)
        is_hdf5 = head.startswith(_HDF5_SIGNATURE) or head[512:].startswith(_HDF5_SIGNATURE)
        read = _read_mat73 if is_hdf5 else _read_mat5
        arrays = _one_variable(path, read(path, variable, budget), variable)
        return (kernel for array in arrays for kernel in kernels_in(array, last=True)), budget
    raise InputError(f"{path}: expected a .mat or .npy file, or a folder of PNG files.")


def _read_pngs(folder: Path) -> tuple[Kernels, Budget]:
    files = [file for file in folder.iterdir() if file.suffix.lower() == ".png"]
    if not files:
        raise InputError(f"{folder}: there are no PNG files in this folder.")
    files.sort(key=lambda file: ([int(number) for number in re.findall(r"\d+", file.name)], file.name))
    budget = Budget(str(folder), len(files) * _LEAST_PICTURE_BYTES)
    return (_read_png(inside(folder, file.name)) for file in files), budget


def _read_png(file: Path) -> NDArray[np.float64]:
    content = read_bounded(file, _MOST_PICTURE_BYTES)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if max(picture.size) > LARGEST_KERNEL:
                raise InputError(f"{file}: is {picture.size} pixels; a kernel has at most {LARGEST_KERNEL}.")
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


def _read_npy(path: Path) -> Kernels:
    try:
        with np.errstate(over="ignore"):  # in the number of bytes that a header claims
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is Python code, and fails as any such code does
        raise InputError(f"{path}: not a readable .npy file of numbers.") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: not a .npy file; unpack .npz archives first.")
    if not _are_kernels([array], last=False):
        raise InputError(
            f"{path}: an array of shape {array.shape} and type {array.dtype} is not kernels "
            f"of {SMALLEST_KERNEL} to {LARGEST_KERNEL} pixels."
        )
    return kernels_in(array, last=False)


_Arrays = list[NDArray[Any]]


def _read_mat5(path: Path, variable: str | None, budget: Budget) -> dict[str, _Arrays]:
    """Return every variable of a MATLAB v5 file that can be taken for kernels, as arrays, by name."""
    content = read_bounded(path, _MOST_FILE_BYTES)
    found = {}
    try:
        for one in variables(content):
            if variable in (None, one.name) and (one.is_cell or kernel_count(one.shape, last=True)):
                arrays = _flat(one.read(budget))
                if _are_kernels(arrays, last=True):
                    found[one.name] = arrays
    except NotMatlab as error:
        raise InputError(f"{path}: not a readable MATLAB file ({error}).") from None
    return found


def _flat(value: Any) -> _Arrays:
    """Return the matrices in a matrix or in a cell array, cells within cells too."""
    if not isinstance(value, np.ndarray) or value.dtype != object:
        return [value]
    return [matrix for cell in value for matrix in _flat(cell)]


def _read_mat73(path: Path, variable: str | None, budget: Budget) -> dict[str, _Arrays]:
    """Return every variable of a MATLAB v7.3 file that can be taken for kernels, as arrays, by name."""
    found = {}
    try:
        with open_screened(path) as file:
            for name in [variable] if variable is not None else [name for name in file if name[:1] != "#"]:
                if variable is None and not isinstance(file.get(name, getlink=True), h5py.HardLink):
                    continue
                if isinstance(file.get(name), h5py.Group):
                    continue
                arrays = _arrays_of(foreign_dataset(file, name), f"{path}: /{name}", budget)
                if _are_kernels(arrays, last=True):
                    found[name] = arrays
    except H5_ERRORS as error:
        raise InputError(f"{path}: not a readable MATLAB file.") from error
    return found


def _arrays_of(dataset: h5py.Dataset, where: str, budget: Budget) -> _Arrays:
    """Return a matrix, or the matrices that the references of a cell array lead to."""
    # MATLAB counts the first axis fastest, HDF5 the last.
    if not is_references(dataset):
        shape = dataset.shape or ()
        return [_counted(dataset, where, budget).T] if kernel_count(shape[::-1], last=True) else []
    arrays = []
    for reference in _counted(dataset, where, budget).T.ravel(order="F"):
        cell = dataset.file[reference]
        if not isinstance(cell, h5py.Dataset) or is_references(cell):
            return []
        arrays.append(_counted(cell, f"a cell of {where}", budget).T)
    return arrays


def _counted(dataset: h5py.Dataset, where: str, budget: Budget) -> NDArray[Any]:
    budget.spend(foreign_bytes(dataset, where))
    return read_foreign(dataset, where)


def _are_kernels(arrays: Sequence[Any], *, last: bool) -> bool:
    """Return whether these are arrays, at least one, and all of them of kernels."""
    return bool(arrays) and all(
        isinstance(array, np.ndarray)
        and array.dtype.kind in "biuf"
        and kernel_count(array.shape, last=last) > 0
        for array in arrays
    )


def _one_variable(path: Path, found: dict[str, _Arrays], variable: str | None) -> _Arrays:
    if variable is not None and variable not in found:
        raise InputError(f"{path}: has no variable '{variable}' that holds kernels.")
    if not found:
        raise InputError(
            f"{path}: no variable holds kernels of {SMALLEST_KERNEL} to {LARGEST_KERNEL} pixels a side."
        )
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise InputError(
            f"{path}: several variables could be kernels ({names}); name one with ", Argument("variable"), "."
        )
    return next(iter(found.values()))
