"""Numbers and cell arrays in MATLAB v5 files, read without trusting a word of them.

The format is MathWorks' "MAT-File Format", level 5: elements of a type, a number of bytes and the bytes;
a variable is an element of elements, and mostly compressed. Not ``scipy.io.loadmat``, which takes as much
memory as a file asks for: here every number of bytes is compared with what there is, and with what the caller
allows, before anything is made of it.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blurgen.files.bounded import Budget

_HEADER: Final = 128
_ORDERS: Final = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL_CLASS: Final = 1
_NUMBER_CLASSES: Final = range(6, 16)  # double, single, and whole numbers of all sizes
_COMPLEX: Final = 0x0800
_MOST_AXES = 32
_DEEPEST = 8  # cells in cells
_BEGINNING: Final = 1 << 12  # bytes of a variable that hold its class, shape and name
_CELL_BYTES: Final = 256  # of memory that even an empty cell takes

Matrix = NDArray[Any]
"""A matrix of numbers, its axes in MATLAB's order; or of objects (Matrix or None): a cell array, flat."""


class NotMatlab(ValueError):
    """The file is none of the format, or is damaged."""


@dataclass(frozen=True)
class Variable:
    """A variable of a file: what it is, before its contents are read."""

    name: str
    shape: tuple[int, ...]
    is_cell: bool
    _element: _Element

    def read(self, budget: Budget) -> Matrix | None:
        """Return the contents; None if they are neither numbers nor cells of them. See ``variables``.

        InputError when it takes more memory than ``budget`` has left, NotMatlab when it is damaged.
        """
        return _read_matrix(self._element.whole(budget), budget, 0)


def variables(content: bytes) -> Iterator[Variable]:
    """Yield the variables of numbers, and of cells, of the file with these bytes. Others are passed over.

    Raises NotMatlab when the bytes are no such file.
    """
    order = _ORDERS.get(content[126:_HEADER])
    if order is None:
        raise NotMatlab("no header of a MATLAB v5 file")
    for element in _elements(content, _HEADER, order):
        head = _head(element.beginning())
        if head is None or head.is_complex:
            continue
        if head.class_number in _NUMBER_CLASSES or head.class_number == _CELL_CLASS:
            yield Variable(head.name, head.shape, head.class_number == _CELL_CLASS, element)


@dataclass(frozen=True)
class _Element:
    """One element: its type, where its bytes are, and in which order numbers have theirs."""

    kind: int
    content: memoryview
    order: str

    def beginning(self) -> _Element:
        """Return the matrix that this element is, or the first part of the one that is compressed in it."""
        return self._inflated(_BEGINNING) if self.kind == _COMPRESSED else self

    def whole(self, budget: Budget) -> _Element:
        """Return the matrix that this element is, inflated if it must be; its bytes are counted."""
        if self.kind != _COMPRESSED:
            return self
        found = self._inflated(budget.left + 1)
        budget.spend(len(found.content))
        return found

    def _inflated(self, most: int) -> _Element:
        try:
            inflated = zlib.decompressobj().decompress(self.content, most)
        except zlib.error as error:
            raise NotMatlab(str(error)) from None
        if len(inflated) < 8:
            raise NotMatlab("a compressed element without contents")
        kind, size = struct.unpack_from(f"{self.order}II", inflated)
        if kind != _MATRIX or (len(inflated) < 8 + size and len(inflated) < most):
            raise NotMatlab("a compressed element that is cut off")
        return _Element(_MATRIX, memoryview(inflated)[8 : 8 + size], self.order)


@dataclass(frozen=True)
class _Head:
    class_number: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    end: int
    """Where the contents begin."""


def _elements(content: bytes | memoryview, place: int, order: str) -> Iterator[_Element]:
    """Yield the elements that follow one another from ``place`` on."""
    view = memoryview(content)
    while place < len(view):
        element, place = _element(view, place, order)
        yield element


def _element(view: memoryview, place: int, order: str) -> tuple[_Element, int]:
    """Return the element at ``place``, and where the next one begins."""
    if place + 8 > len(view):
        raise NotMatlab("cut off in a tag")
    kind, size = struct.unpack_from(f"{order}II", view, place)
    if kind >> 16:  # a small element: type and size in four bytes, and at most four bytes of data
        kind, size, first, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        if size > 4:
            raise NotMatlab("a small element that is not small")
    else:
        first = place + 8
        # Data begin at multiples of eight bytes, but those after compressed ones do not.
        end = first + (size if kind == _COMPRESSED else -(-size // 8) * 8)
    if first + size > len(view):
        raise NotMatlab("an element that is cut off")
    return _Element(kind, view[first : first + size], order), end


def _head(matrix: _Element) -> _Head | None:
    """Return what the first elements of a matrix say; None for an empty one and for other things."""
    view, order = matrix.content, matrix.order
    if matrix.kind != _MATRIX or not len(view):
        return None
    flags, place = _element(view, 0, order)
    axes, place = _element(view, place, order)
    if len(flags.content) != 8 or axes.kind != 5 or not 8 <= len(axes.content) <= 4 * _MOST_AXES:
        return None
    name, place = _element(view, place, order)
    (word,) = struct.unpack_from(f"{order}I", flags.content)
    shape = struct.unpack(f"{order}{len(axes.content) // 4}i", axes.content[: len(axes.content) // 4 * 4])
    if min(shape) < 0:
        raise NotMatlab("a matrix of negative sides")
    return _Head(
        word & 0xFF, bool(word & _COMPLEX), shape, bytes(name.content).decode("utf-8", "replace"), place
    )


def _read_matrix(matrix: _Element, budget: Budget, depth: int) -> Matrix | None:
    head = _head(matrix)
    if head is None or head.is_complex or depth > _DEEPEST:
        return None
    count = math.prod(head.shape)
    if head.class_number == _CELL_CLASS:
        return _read_cells(matrix, head, count, budget, depth)
    if head.class_number not in _NUMBER_CLASSES:
        return None
    data, _ = _element(matrix.content, head.end, matrix.order)
    kind = _NUMBERS.get(data.kind)
    if kind is None or len(data.content) != count * int(kind[1]):
        raise NotMatlab("a matrix with more or fewer numbers than its sides say")
    return np.frombuffer(data.content, matrix.order + kind).reshape(head.shape, order="F")


def _read_cells(matrix: _Element, head: _Head, count: int, budget: Budget, depth: int) -> Matrix:
    if count * 8 > len(matrix.content):  # of each there is a tag at least
        raise NotMatlab("more cells than there are bytes for")
    budget.spend(_CELL_BYTES * count)
    cells = np.empty(count, object)
    place = head.end
    for i in range(count):
        cell, place = _element(matrix.content, place, matrix.order)
        cells[i] = _read_matrix(cell, budget, depth + 1)
    return cells
