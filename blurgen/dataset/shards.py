"""The shard format: a few thousand triplets in one HDF5 file that can be mapped (FORMAT.md, section 4).

A shard is written in two steps. HDF5 lays out an empty file and says where each array will lie; then the
rows go to their places with plain writes, a batch at a time, so a shard of any size needs no memory. It
appears under its name only when it is whole and on disk.
"""

from __future__ import annotations

import io
import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.files.at_offset import open_to_read, write_at
from blurgen.files.atomic import write_aside
from blurgen.files.digests import digest_areas
from blurgen.files.hdf5 import contiguous_offset, create_plain, open_plain, plain_dataset, room_plan
from blurgen.synthesis.recipe import INDEX_DTYPE

FORMAT: Final = "blurgen-shard"
VERSION: Final = 1

Offsets = tuple[int, int, int, int]
"""Where the four arrays of a shard begin in its file, in bytes."""


@dataclass(frozen=True)
class ShardArrays:
    """The rows of one shard or of a batch; ``n`` rows of ``P x P`` pixels."""

    clean: NDArray[np.uint8]
    """uint8 ``[n, P, P, 3]``, RGB."""
    blurry: NDArray[np.uint8]
    """uint8 ``[n, P, P, 3]``, RGB."""
    mask: NDArray[np.uint8]
    """uint8 ``[n, P, P]``, labels (blurgen.labels.Label)."""
    index: NDArray[np.void]
    """INDEX_DTYPE ``[n]``: what each row is made of."""

    def __len__(self) -> int:
        return len(self.index)

    def parts(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the four arrays in the order in which a shard holds them."""
        return self.clean, self.blurry, self.mask, self.index

    def copy_into(self, out: ShardArrays) -> ShardArrays:
        """Copy all rows into the arrays of ``out``, and return it."""
        for target, part in zip(out.parts(), self.parts(), strict=True):
            target[...] = part
        return out


@dataclass(frozen=True)
class MappedShard(ShardArrays):
    """The rows of a shard file, mapped: nothing is read before it is used."""

    buffer: mmap.mmap
    offsets: tuple[int, ...]
    """Where the four arrays begin in ``buffer``, in bytes."""

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """Where they begin in memory, for as long as this object is there."""
        return tuple(part.ctypes.data for part in self.parts())

    def expect_run(self) -> None:
        """Let the system read on behind whatever is touched, as it does with any file."""
        self._advise("MADV_NORMAL")

    def expect_any_row(self) -> None:
        """Let the system read what is touched and no more.

        Left to itself it reads on: for rows here and there, ten times what is wanted.
        """
        self._advise("MADV_RANDOM")

    def read_ahead(self, row: int) -> None:
        """Ask for a row from the disk, without waiting for it."""
        for part, offset in zip(self.parts(), self.offsets, strict=True):
            step = part.strides[0]
            first = offset + row * step
            start = first - first % mmap.PAGESIZE
            self._advise("MADV_WILLNEED", start, first + step - start)

    def _advise(self, what: str, *span: int) -> None:
        if hasattr(self.buffer, "madvise") and hasattr(mmap, what):  # Windows has neither, and needs none
            self.buffer.madvise(getattr(mmap, what), *span)


@dataclass(frozen=True)
class ShardRecord:
    """One shard as ``dataset.json`` lists it: rows, bytes, digest of the file, digest of its arrays.

    ``offsets`` are those of ``ShardLayout``, None where an earlier blurgen listed the shard.
    """

    rows: int
    bytes: int
    digest: str
    content: str
    offsets: Offsets | None = field(default=None, compare=False)  # what they are follows from the file


@dataclass(frozen=True)
class ShardLayout:
    """Where the arrays of a shard lie in its file, in the order of ``ShardArrays``."""

    rows: int
    patch_size: int
    offsets: Offsets

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the four arrays."""
        n, p = self.rows, self.patch_size
        return (n, p, p, 3), (n, p, p, 3), (n, p, p), (n,)

    def areas(self) -> list[tuple[int, int]]:
        """Return ``(offset, bytes)`` of the four arrays."""
        sizes = [math.prod(shape) * kind.itemsize for shape, kind in zip(self.shapes(), _DTYPES, strict=True)]
        return list(zip(self.offsets, sizes, strict=True))

    def arrays(self, buffer: mmap.mmap) -> MappedShard:
        """Return the arrays of a mapped shard file, read-only, without copying."""
        parts = zip(self.shapes(), _DTYPES, self.offsets, strict=True)
        clean, blurry, mask, index = (
            np.frombuffer(buffer, kind, math.prod(shape), offset).reshape(shape)
            for shape, kind, offset in parts
        )
        return MappedShard(clean, blurry, mask, index, buffer, self.offsets)


_NAMES: Final = ("clean", "blurry", "mask", "index")
_DTYPES: Final = (np.dtype(np.uint8), np.dtype(np.uint8), np.dtype(np.uint8), INDEX_DTYPE)


def row_bytes(patch_size: int) -> int:
    """Return how many bytes one triplet takes in a shard."""
    return 7 * patch_size * patch_size + INDEX_DTYPE.itemsize


def empty_rows(rows: int, patch_size: int) -> ShardArrays:
    """Return arrays for a batch, in one block of memory that begins at a multiple of 64 bytes.

    The allocator keeps one block for the next batch. Four it gives back to the system, and then they come
    again page by page, zeroed, which takes longer than filling them. Left to itself it begins a large block
    16 bytes into a page, where some processors take twice as long to copy from the start of another.
    """
    size = rows * row_bytes(patch_size)
    block = np.empty(size + 64, np.uint8)
    block = block[-block.ctypes.data % 64 :][:size]
    shape, pixels = (rows, patch_size, patch_size), rows * patch_size * patch_size
    return ShardArrays(
        block[: 3 * pixels].reshape(*shape, 3),
        block[3 * pixels : 6 * pixels].reshape(*shape, 3),
        block[6 * pixels : 7 * pixels].reshape(shape),
        block[7 * pixels :].view(INDEX_DTYPE),
    )


class ShardWriter:
    """Rows going into a shard that ``create_shard`` opened; ``record`` is there once that context ends."""

    record: ShardRecord

    def __init__(self, file: io.FileIO, layout: ShardLayout) -> None:
        self._file = file
        self._layout = layout
        self._written = 0

    def append(self, rows: ShardArrays) -> None:
        """Write the next rows. Raises ValueError when shapes or types do not fit the shard."""
        count, end = len(rows), self._written + len(rows)
        if end > self._layout.rows:
            raise ValueError(f"Argument 'rows' must leave room for {self._layout.rows} rows, not {end}.")
        for part, shape, kind, offset in zip(
            rows.parts(), self._layout.shapes(), _DTYPES, self._layout.offsets, strict=True
        ):
            if part.dtype != kind or part.shape != (count, *shape[1:]):
                raise ValueError(f"Argument 'rows' must have {(count, *shape[1:])}, not {part.shape}.")
            step = math.prod(shape[1:]) * kind.itemsize
            content = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            write_at(self._file, content, offset + self._written * step)
        self._written = end

    def finish(self) -> None:
        """Check that no row is missing, and take the digests."""
        if self._written != self._layout.rows:
            raise ValueError(f"The shard must get {self._layout.rows} rows, not {self._written}.")
        self.record = _record(self._file, self._layout)


@contextmanager
def create_shard(path: Path, rows: int, patch_size: int) -> Iterator[ShardWriter]:
    """Write a shard of ``rows`` rows with ``append``; it appears at ``path`` whole, or not at all.

    InputError when the disk is full or the folder cannot be written.
    """
    with write_aside(path) as aside:
        layout = _lay_out(aside, rows, patch_size)
        with open(aside, "rb+", buffering=0) as file:
            writer = ShardWriter(file, layout)
            yield writer
            writer.finish()


def read_layout(path: Path) -> ShardLayout:
    """Return where the arrays of a shard lie; InputError when the file is no sound shard."""
    with open_plain(path, FORMAT, VERSION) as file:
        mask = plain_dataset(file, "mask", np.uint8, (None, None, None))
        rows, patch, width = mask.shape
        if patch != width:
            raise InputError(f"{path}: /mask has shape {mask.shape}, expected square patches.")
        shapes = ShardLayout(rows, patch, (0, 0, 0, 0)).shapes()
        offsets = [
            contiguous_offset(plain_dataset(file, name, kind, shape))
            for name, kind, shape in zip(_NAMES, _DTYPES, shapes, strict=True)
        ]
    return ShardLayout(rows, patch, (offsets[0], offsets[1], offsets[2], offsets[3]))


def map_shard(path: Path, layout: ShardLayout) -> MappedShard:
    """Map a shard whose layout is known; InputError when the file is gone or shorter than it says."""
    try:
        # A link in place of the file could lead anywhere: it is not followed.
        file = open_to_read(path, follow_link=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); see 'blurgen verify'.") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if any(offset + length > size for offset, length in layout.areas()):
            raise InputError(f"{path}: is cut off; see 'blurgen verify' and 'blurgen repair'.")
        return layout.arrays(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def open_shard(path: Path) -> MappedShard:
    """Map one shard; the arrays are read-only and nothing is read before it is used."""
    return map_shard(path, read_layout(path))


def record_shard(path: Path) -> ShardRecord:
    """Return rows, size and digests of a shard file; InputError when it is no sound shard."""
    layout = read_layout(path)
    with open_to_read(path) as file:
        return _record(file, layout)


def _lay_out(path: Path, rows: int, patch_size: int) -> ShardLayout:
    plan = room_plan()
    with create_plain(path, FORMAT, VERSION) as file:
        offsets = []
        shapes = ShardLayout(rows, patch_size, (0, 0, 0, 0)).shapes()
        for name, kind, shape in zip(_NAMES, _DTYPES, shapes, strict=True):
            space = h5py.h5s.create_simple(shape)
            dataset = h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(kind), space, plan)
            offsets.append(dataset.get_offset())
    layout = ShardLayout(rows, patch_size, (offsets[0], offsets[1], offsets[2], offsets[3]))
    end = max(offset + size for offset, size in layout.areas())
    os.truncate(path, max(end, path.stat().st_size))
    return layout


def _record(file: io.FileIO, layout: ShardLayout) -> ShardRecord:
    whole, content = digest_areas(file, layout.areas())
    return ShardRecord(layout.rows, whole.bytes, whole.digest, content.hexdigest(), layout.offsets)
