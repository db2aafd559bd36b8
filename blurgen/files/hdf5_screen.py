"""What HDF5 reads of a file, screened: structures that would keep the library busy for ever never reach it.

HDF5 (seen in 2.0, the one of h5py 3.16) follows two kinds of list without noticing that they end nowhere: the
objects of a global heap, where one of no size stands for the next, and the free blocks of a local heap, where
one may name itself as the next and memory fills up besides. Both heaps begin with a signature. Where what
follows is not sound, the signature is blanked, and HDF5 reports a damaged file.
"""

from __future__ import annotations

import errno
import io
import os
import struct
from abc import abstractmethod
from typing import Any

from blurgen.files.at_offset import read_at, read_into

_GLOBAL = b"GCOL\x01"  # with the version
_LOCAL = b"HEAP\x00"
_LONGEST = len(_GLOBAL)
_MOST_BYTES = 1 << 28  # of a global heap
_MOST_ENTRIES = 1 << 16  # of either list
_MOST_EFFORT = 1 << 22  # entries and pages of all heaps of a file; what is no heap may look like a million
_NO_BLOCKS = (1, 2**64 - 1)  # end the list of free blocks
_SUPERBLOCK = b"\x89HDF\r\n\x1a\n"
_SIZES_AT = {0: 13, 1: 13, 2: 9, 3: 9}  # by version of the superblock: bytes of an address, and of a length


class Positioned(io.RawIOBase):
    """A file object with a position of its own; whoever reads and writes there moves it on."""

    _position = 0

    @abstractmethod
    def length(self) -> int:
        """Return where the file ends."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        self._position = (starts[whence] if whence in starts else self.length()) + offset
        return self._position

    def tell(self) -> int:
        return self._position


class ScreenedFile(Positioned):
    """A file opened for reading, as a file object for ``h5py.File(..., driver="fileobj")``.

    Meant for what HDF5 reads to find its way. Elements of datasets are best read without it: that they look
    like a broken heap by chance is as good as impossible, but they could be made to.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._base = self._find_superblock()
        self._effort_left = _MOST_EFFORT

    def length(self) -> int:
        return self._size

    @property
    def is_usual(self) -> bool:
        """Whether addresses and lengths in the file have 8 bytes, as screening takes for granted."""
        head = read_at(self._file, self._base, 16)
        at = _SIZES_AT.get(head[8]) if head.startswith(_SUPERBLOCK) and len(head) == 16 else None
        return at is not None and head[at : at + 2] == b"\x08\x08"

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; what lies past the end of the file is zero."""
        view = memoryview(buffer).cast("B")
        # An address may be any number, also one that no file can be read at.
        done = read_into(self._file, view, self._position) if self._position < self._size else 0
        view[done:] = bytes(len(view) - done)
        self._screen(view, self._position)
        self._position += len(view)
        return len(view)

    def _screen(self, view: memoryview, start: int) -> None:
        """Blank the signatures in ``view``, which begins at ``start``, of heaps that are not sound."""
        if start >= self._size:
            return
        margin = min(start, _LONGEST - 1)  # a signature may have been read in part before
        around = read_at(self._file, start - margin, margin + len(view) + _LONGEST - 1)
        for signature, is_sound in ((_GLOBAL, self._is_sound_global), (_LOCAL, self._is_sound_local)):
            place = around.find(signature)
            while place >= 0:
                if not is_sound(start - margin + place):
                    first, end = max(place - margin, 0), min(place - margin + _LONGEST, len(view))
                    view[first:end] = bytes(max(end - first, 0))
                place = around.find(signature, place + 1)

    def _is_sound_global(self, address: int) -> bool:
        """Follow the objects of a global heap: number, references, four bytes, size; then their bytes."""
        (size,) = self._numbers(address + 8, 1)
        if not 16 <= size <= min(self._size - address, _MOST_BYTES):
            return False
        self._spend(1 + (size >> 12))
        content = read_at(self._file, address, size)
        place = 16
        for _ in range(_MOST_ENTRIES):
            self._spend(1)
            if place + 16 > len(content):
                return True
            number, length = struct.unpack_from("<H6xQ", content, place)
            step = length if number == 0 else 16 + (length + 7) // 8 * 8  # the free object counts its head
            if step < 16:
                return False
            place += step
        return False

    def _is_sound_local(self, address: int) -> bool:
        """Follow the free blocks of a local heap: next block, size."""
        size, block, segment = self._numbers(address + 8, 3)
        for _ in range(_MOST_ENTRIES):
            self._spend(1)
            if block in _NO_BLOCKS:
                return True
            if block + 16 > min(size, self._size):
                return False
            block, _ = self._numbers(self._base + segment + block, 2)
        return False  # or it would be the longest list ever seen

    def _spend(self, effort: int) -> None:
        """Raise OSError when following heaps has taken more than it could in a file of any use."""
        self._effort_left -= effort
        if self._effort_left < 0:
            raise OSError(errno.EIO, "more heaps than a file of any use has")

    def _find_superblock(self) -> int:
        """Return where it lies: at 0, or after a user block of 512, 1024, 2048 ... bytes."""
        place = 0
        while place < self._size:
            if read_at(self._file, place, len(_SUPERBLOCK)) == _SUPERBLOCK:
                return place
            place = max(512, 2 * place)
        return 0

    def _numbers(self, address: int, count: int) -> tuple[int, ...]:
        content = read_at(self._file, address, 8 * count) if address < self._size else b""
        return struct.unpack(f"<{count}Q", content.ljust(8 * count, b"\0"))
