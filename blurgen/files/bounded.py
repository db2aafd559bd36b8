"""Reading what somebody else put there: only a regular file, and no more than is in proportion."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from blurgen.errors import InputError

_FREE_BYTES: Final = 8 << 20
_BYTES_PER_BYTE: Final = 256  # a line in a picture of 101 x 101 double numbers is compressed to a hundredth
_MOST_BYTES: Final = 1 << 31


def read_bounded(path: str | os.PathLike[str], most_bytes: int, where: str | None = None) -> bytes:
    """Return the bytes of a file of at most ``most_bytes``; ``where`` stands for its path in messages.

    InputError when it is larger, cannot be read, or is no regular file (a pipe would never end).
    """
    where = str(Path(path)) if where is None else where
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(f"{where}: is not a regular file; remove it.")
            if facts.st_size > most_bytes:
                raise InputError(
                    f"{where}: has {facts.st_size:,} bytes, more than the {most_bytes:,} that are read."
                )
            return _read(file.fileno(), facts.st_size)
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror or error}).") from None


def _open_at_once(path: str, flags: int) -> int:
    # Opening a pipe without O_NONBLOCK would wait for a writer before its kind can be seen.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(descriptor: int, size: int) -> bytes:
    """Read ``size`` bytes, or what there is by now: also a file that grows is read no further."""
    pieces, left = [], size
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


class Budget:
    """How many bytes the contents of a file may take in memory: in proportion to the file, and some to begin.

    What is compressed, or listed many times over, may stand for any number of bytes. So they are counted
    before they are read.
    """

    def __init__(self, where: str, file_bytes: int) -> None:
        self._where = where
        self.total = min(_MOST_BYTES, _FREE_BYTES + _BYTES_PER_BYTE * file_bytes)
        self.left = self.total

    def spend(self, count: int) -> None:
        """Take ``count`` bytes; InputError when they are more than are left."""
        self.left -= count
        if self.left < 0:
            raise InputError(
                f"{self._where}: stands for more than {self.total:,} bytes, too many for its size."
            )
